//! What the response makes of a script's request.

use crate::facts::ResponseFacts;
use crate::field;

use super::super::decision::{Decision, Verdict};
use super::super::known::{Doubt, Known};
use super::super::sniff;
use super::kind::{SoftKind, SoftRequest};

/// What became of a script's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftOutcome<'a> {
    /// It is no page view.
    Settled(Verdict),
    /// A page was shown.
    Shown {
        /// Path and query, if the response says them.
        at: Option<&'a str>,
    },
    /// A page was fetched that may be shown later.
    Ahead,
}

/// What the response makes of a script's request.
pub fn soft_outcome<'a>(
    soft: SoftRequest,
    response: &ResponseFacts<'a>,
    known: Known<'_>,
) -> SoftOutcome<'a> {
    let outcome = by_response(soft, response, known);
    match outcome {
        SoftOutcome::Shown { .. } if soft.ahead => SoftOutcome::Ahead,
        SoftOutcome::Settled(_) if soft.ahead => silent(
            Decision::Prefetch,
            "A script fetches ahead, and what came is no page.",
        ),
        // What such a request is for is no page's in any case.
        SoftOutcome::Settled(_) if soft.kind.is_seldom_a_page() => {
            silent(Decision::NotPage, "A script's request, and no soft navigation.")
        }
        _ => outcome,
    }
}

/// What settles a script's request that was answered with 200, if the heads alone do not.
pub(in super::super) fn soft_doubt(soft: SoftRequest, response: &ResponseFacts<'_>) -> Option<Doubt> {
    match soft.kind {
        SoftKind::HtmxPart if !soft.post && response.is_document() => Some(Doubt::Announcement),
        SoftKind::Plain if response.is_document() => Some(Doubt::BodyStart),
        SoftKind::SvelteKit if response.is_of_type("application/json") => Some(Doubt::BodyStart),
        SoftKind::Next if response.is_of_type(COMPONENT) => Some(Doubt::BodyStart),
        // A file that was built ahead has the type that the server gives to unknown files.
        SoftKind::ReactRouter if !response.is_of_type(STREAM) => Some(Doubt::BodyStart),
        _ => None,
    }
}

/// Whether these first bytes of the body settle it.
pub(in super::super) fn soft_body_suffices(soft: SoftRequest, body: &[u8]) -> bool {
    match soft.kind {
        SoftKind::Plain => {
            !sniff::begins_with_doctype(body) || sniff::is_astros(body) || sniff::has_head(body)
        }
        // It comes as the page is made.
        SoftKind::Next => sniff::is_nexts_redirect(body),
        _ => true,
    }
}

/// The types of a page's data, of Next.js and of React Router.
const COMPONENT: &str = "text/x-component";
const STREAM: &str = "text/x-script";

fn silent(decision: Decision, why: &'static str) -> SoftOutcome<'static> {
    SoftOutcome::Settled(Verdict::silent(decision, why))
}

fn by_response<'a>(soft: SoftRequest, response: &ResponseFacts<'a>, known: Known<'_>) -> SoftOutcome<'a> {
    let shown = SoftOutcome::Shown { at: None };
    let not_page = |why| silent(Decision::NotPage, why);
    match response.status {
        // An action's redirect is followed by the script, and its target comes with the response.
        200..=399 if soft.kind == SoftKind::NextAction => return next_action(response),
        202 if soft.kind == SoftKind::ReactRouter => {
            return silent(Decision::Redirect, "A redirect, which the script follows (202).");
        }
        204..=206 => return not_page("The response has no content that a script could show."),
        200..=299 => {}
        304 if soft.post => return not_page("A 304 says nothing about a POST."),
        // The script gets the page out of the browser's cache, and knows nothing of the 304.
        304 => {
            return match soft.kind {
                // Astro asks again for what a browser has fetched ahead for it.
                SoftKind::Plain if known != Known::FetchedAhead => not_page(UNKNOWN),
                SoftKind::HtmxPart if known != Known::Announced => not_page(UNKNOWN),
                // Other files have such names, too.
                SoftKind::ReactRouter => SoftOutcome::Ahead,
                _ => shown,
            };
        }
        300..=399 => return silent(Decision::Redirect, "A redirect: its target is the page."),
        404 => {
            return silent(
                Decision::NotFound,
                "A soft navigation to what is not there (404).",
            );
        }
        409 if soft.kind == SoftKind::Inertia => {
            return not_page("The app asks for the whole page (409), which counts when it is loaded.");
        }
        _ => return silent(Decision::ErrorStatus, "A soft navigation answered with an error."),
    }
    let is_page = match soft.kind {
        SoftKind::Htmx | SoftKind::HtmxReturn | SoftKind::HtmxPart => return htmx(soft, response, known),
        SoftKind::Unpoly if response.is_document() => {
            return SoftOutcome::Shown {
                at: field::first(response.fields, "x-up-location").and_then(target_of),
            };
        }
        SoftKind::Turbo
        | SoftKind::Turbolinks
        | SoftKind::Unpoly
        | SoftKind::Swup
        | SoftKind::Pjax
        | SoftKind::Barba
        | SoftKind::Livewire => response.is_document(),
        SoftKind::Inertia => response.status == 200 && says_true(response, "x-inertia"),
        SoftKind::Next | SoftKind::SvelteKit => {
            if let Known::BodyStart(body) = known
                && (sniff::is_redirect(body) || sniff::is_nexts_redirect(body))
            {
                return silent(Decision::Redirect, "A redirect, which the script follows.");
            }
            response.is_of_type(if soft.kind == SoftKind::Next {
                COMPONENT
            } else {
                "application/json"
            })
        }
        SoftKind::ReactRouter => {
            response.is_of_type(STREAM)
                || matches!(known, Known::BodyStart(body) if sniff::is_react_routers(body))
        }
        SoftKind::Nuxt => response.is_of_type("application/json"),
        SoftKind::Plain => {
            let body = match known {
                Known::BodyStart(body) if response.is_document() => body,
                _ => b"",
            };
            // Any script may fetch a whole page, to show a part of it.
            if sniff::begins_with_doctype(body) && !sniff::is_astros(body) {
                return SoftOutcome::Ahead;
            }
            sniff::begins_with_doctype(body)
        }
        SoftKind::NextAction => false,
    };
    if is_page { shown } else { not_page(UNKNOWN) }
}

const UNKNOWN: &str = "A script's request that was answered with no page.";

/// What htmx does with a response: the app's own words come first.
fn htmx<'a>(soft: SoftRequest, response: &ResponseFacts<'a>, known: Known<'_>) -> SoftOutcome<'a> {
    let word = |name| field::first(response.fields, name);
    let goes_elsewhere = ["hx-location", "hx-redirect", "hx-refresh"];
    if goes_elsewhere.iter().any(|name| word(name).is_some()) {
        return silent(
            Decision::NotPage,
            "The script is sent to another page, which counts when it is fetched.",
        );
    }
    let is_page = response.is_document();
    if let Some(url) = word("hx-push-url").or_else(|| word("hx-push")) {
        return match target_of(url) {
            Some(at) => SoftOutcome::Shown { at: Some(at) },
            None if url == b"true" && is_page => SoftOutcome::Shown { at: None },
            None => silent(
                Decision::NotPage,
                "The app says that the url stays (HX-Push-Url).",
            ),
        };
    }
    if word("hx-replace-url").is_some() && soft.kind != SoftKind::HtmxReturn {
        return silent(
            Decision::NotPage,
            "The app has the url replaced, which is no new page (HX-Replace-Url).",
        );
    }
    let is_whole = soft.kind != SoftKind::HtmxPart || known == Known::Announced;
    if is_whole && is_page {
        return SoftOutcome::Shown { at: None };
    }
    silent(Decision::NotPage, UNKNOWN)
}

/// `x-action-redirect: /a;push`. With `replace` no page is added to the history, and the tracker counts none.
fn next_action<'a>(response: &ResponseFacts<'a>) -> SoftOutcome<'a> {
    let target = field::first(response.fields, "x-action-redirect").and_then(|value| {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        (field::trim(&value[end..]) != b";replace").then(|| target_of(&value[..end]))?
    });
    match target {
        Some(at) => SoftOutcome::Shown { at: Some(at) },
        None => silent(Decision::NotPage, UNKNOWN),
    }
}

fn says_true(response: &ResponseFacts<'_>, name: &str) -> bool {
    field::first(response.fields, name).is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

/// Path and query of a url on the same site, or of a path.
fn target_of(url: &[u8]) -> Option<&str> {
    let url = std::str::from_utf8(url).ok()?;
    let url = url.split('#').next().unwrap_or(url);
    if url.starts_with("//") || url.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return None;
    }
    if url.starts_with('/') {
        return Some(url);
    }
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => Some(&rest[at..]),
        Some(_) => None,
        None => Some("/"),
    }
}

/// Where the response to what a script fetches ahead leads, if it is a redirect. The address that was asked for may be
/// shown first (Turbo).
pub fn led_to<'a>(soft: SoftRequest, response: &ResponseFacts<'a>) -> Option<&'a str> {
    let location = || field::first(response.fields, "location").and_then(target_of);
    (soft.ahead && matches!(response.status, 301 | 302 | 303 | 307 | 308)).then(location)?
}

/// Where an htmx response sends the script: the next request for that path is a page's.
pub fn announced<'a>(response: &ResponseFacts<'a>) -> Option<&'a str> {
    let value = field::first(response.fields, "hx-location")?;
    if !value.starts_with(b"{") {
        return target_of(value);
    }
    // `{"path": "/a", "target": "#main"}`
    let at = memchr::memmem::find(value, b"\"path\"")? + b"\"path\"".len();
    let rest = field::trim(&value[at..]).strip_prefix(b":")?;
    let text = field::trim(rest).strip_prefix(b"\"")?;
    target_of(&text[..memchr::memchr(b'"', text)?])
}
