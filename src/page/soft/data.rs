//! Frameworks that fetch a page's data from a path beside the page, and Astro, whose fetch has no mark.

use memchr::memchr;

use crate::facts::RequestFacts;

use super::kind::{SoftKind, SoftRequest};

/// What ends the path of a page's data.
const SVELTEKIT: &str = "/__data.json";
const SVELTEKIT_HTML: &str = ".html__data.json";
const REACT_ROUTER: &str = ".data";
const NUXT: &str = "/_payload.json";

/// React Router's names for the data of `/`, and of a path that ends with a slash.
const REACT_ROUTER_ROOT: &str = "/_root.data";
const REACT_ROUTER_SLASH: &str = "/_.data";

const SVELTEKIT_INVALIDATED: &str = "x-sveltekit-invalidated";
const SVELTEKIT_SLASH: &str = "x-sveltekit-trailing-slash";
/// The routes whose data a script of React Router's app wants: a page's own one, or one that shows something of
/// another page in the page that is shown.
const REACT_ROUTER_ROUTES: &str = "_routes";

/// What the request is, by its path or its `Accept`.
pub(super) fn recognise(request: &RequestFacts<'_>) -> Option<SoftRequest> {
    if request.method != "GET" || request.script {
        return None;
    }
    let path = request.path();
    let has = |name| parameters(request.target).any(|parameter| name_of(parameter) == name);
    let (kind, ahead) = if path.ends_with("data.json")
        && (path.ends_with(SVELTEKIT) || path.ends_with(SVELTEKIT_HTML))
        && has(SVELTEKIT_INVALIDATED)
    {
        // It sends the same where a link is only pointed at, by default.
        (SoftKind::SvelteKit, true)
    } else if path.ends_with(REACT_ROUTER) {
        (
            SoftKind::ReactRouter,
            request.prefetch || has(REACT_ROUTER_ROUTES),
        )
    } else if path.ends_with(NUXT) {
        (SoftKind::Nuxt, true)
    } else if request.accept == Some(b"*/*") && !request.prefetch && is_of_a_page(request) {
        (SoftKind::Plain, false)
    } else {
        return None;
    };
    Some(SoftRequest {
        kind,
        ahead,
        post: false,
    })
}

/// Whether a page has made the request, and no tool: those ask for anything, too.
fn is_of_a_page(request: &RequestFacts<'_>) -> bool {
    request.fetch_dest.is_some() || request.referer.is_some()
}

/// The path of the page that a request of this kind belongs to.
pub(super) fn page_path(kind: SoftKind, target: &str) -> &str {
    let path = memchr(b'?', target.as_bytes()).map_or(target, |end| &target[..end]);
    let without = |end: &str| path.strip_suffix(end).unwrap_or(path);
    let page = match kind {
        SoftKind::SvelteKit if path.ends_with(SVELTEKIT_HTML) => without("__data.json"),
        SoftKind::SvelteKit if parameters(target).any(|p| name_of(p) == SVELTEKIT_SLASH) => {
            without(&SVELTEKIT[1..])
        }
        SoftKind::SvelteKit => without(SVELTEKIT),
        SoftKind::Nuxt => without(NUXT),
        SoftKind::ReactRouter if path.ends_with(REACT_ROUTER_ROOT) => without(REACT_ROUTER_ROOT),
        SoftKind::ReactRouter if path.ends_with(REACT_ROUTER_SLASH) => without(&REACT_ROUTER_SLASH[1..]),
        SoftKind::ReactRouter => without(REACT_ROUTER),
        _ => path,
    };
    if page.is_empty() { "/" } else { page }
}

/// Whether a query parameter belongs to the fetch and not to the page's url.
pub(super) fn is_own_parameter(kind: SoftKind, parameter: &str) -> bool {
    let name = name_of(parameter);
    match kind {
        SoftKind::Next => name == "_rsc",
        SoftKind::Pjax => name == "_pjax",
        SoftKind::SvelteKit => [SVELTEKIT_INVALIDATED, SVELTEKIT_SLASH].contains(&name),
        // The index route's own mark; a page that has it in its url says `index=`.
        SoftKind::ReactRouter => parameter == "index" || name == REACT_ROUTER_ROUTES,
        // Nothing but the build's number.
        SoftKind::Nuxt => true,
        _ => false,
    }
}

pub(super) fn parameters(target: &str) -> impl Iterator<Item = &str> {
    let query = memchr(b'?', target.as_bytes()).map_or("", |at| &target[at + 1..]);
    query.split('&').filter(|parameter| !parameter.is_empty())
}

fn name_of(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or(parameter)
}
