//! What a request is for, by its own signs: a navigation, a script's fetch, a part of a page.

use crate::facts::{RequestFacts, names_document};
use crate::field;

use super::soft::{self, SoftRequest};
use super::upgrades;

/// What the browser will do with the response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// Show it in the main frame.
    Navigation,
    /// The same; sent while the service worker starts.
    Preload,
    /// The same; fetched by the service worker.
    WorkerFetch,
    /// The same; asked for by the browser once its service worker has failed it.
    Fallback,
    /// Save it.
    Saved,
    /// Keep it until the page is shown.
    Prefetch,
    /// Hand it to a script.
    Soft(SoftRequest),
}

/// The request's kind, or why it is no navigation.
pub(super) fn kind(request: &RequestFacts<'_>) -> Result<RequestKind, &'static str> {
    match request.method {
        "GET" | "POST" => {}
        "HEAD" => return Err("A HEAD request shows nothing."),
        _ => return Err("Only GET and POST bring pages."),
    }
    if request.range {
        return Err("The request is for a part of a file (Range).");
    }
    let document = request.accept.is_some_and(names_document);
    let is =
        |value: Option<&[u8]>, word: &str| value.is_some_and(|v| v.eq_ignore_ascii_case(word.as_bytes()));
    let navigate = is(request.fetch_mode, "navigate");

    if is(request.fetch_dest, "document") {
        return match request.fetch_mode {
            None if request.navigation_preload => Ok(RequestKind::Preload),
            None => Ok(RequestKind::Navigation),
            Some(_) if navigate && request.navigation_preload => Ok(RequestKind::Preload),
            // What it asks for itself says at first which types are best.
            Some(_) if navigate && request.accept == Some(b"*/*") => Ok(RequestKind::Fallback),
            Some(_) if navigate => Ok(RequestKind::Navigation),
            Some(_) => Err("A document is fetched, but not to navigate to it (Sec-Fetch-Mode)."),
        };
    }
    if is(request.fetch_dest, "empty") {
        return match () {
            () if request.prefetch => ahead(request),
            () if navigate && document => Ok(RequestKind::WorkerFetch),
            () if navigate => Ok(RequestKind::Saved),
            // Firefox. No script can send this upgrade.
            () if document && request.upgrade_insecure && is(request.fetch_mode, "same-origin") => {
                Ok(RequestKind::WorkerFetch)
            }
            () => by_script(request, "A script's request (Sec-Fetch-Dest: empty)."),
        };
    }
    if request.fetch_dest.is_some() {
        return Err("A part of a page or a frame in it, by Sec-Fetch-Dest.");
    }
    // Chrome 76 to 79 sent the mode without the destination, and nested-navigate for frames.
    if request.fetch_mode.is_some() && !navigate {
        return by_script(request, "Not a navigation, by Sec-Fetch-Mode.");
    }
    if request.navigation_preload {
        return Ok(RequestKind::Preload);
    }
    if request.script {
        return by_script(request, "A script's request (X-Requested-With or its kin).");
    }
    if document && (navigate || request.prefetch || request.upgrade_insecure) {
        return Ok(RequestKind::Navigation);
    }
    if document {
        return without_upgrade(request);
    }
    if request.prefetch {
        return ahead(request);
    }
    by_script(request, "No navigation: Accept does not name text/html.")
}

/// What a script's request may be, or why it is no navigation.
fn by_script(request: &RequestFacts<'_>, why: &'static str) -> Result<RequestKind, &'static str> {
    match soft::recognise(request) {
        Some(found) => found.map(RequestKind::Soft),
        None => Err(why),
    }
}

/// What is fetched ahead: for a script, or a document.
fn ahead(request: &RequestFacts<'_>) -> Result<RequestKind, &'static str> {
    match soft::recognise(request) {
        Some(found) => found.map(RequestKind::Soft),
        None => Ok(RequestKind::Prefetch),
    }
}

/// A request for a document by a browser that sends no `Sec-Fetch-*`, without `Upgrade-Insecure-Requests`. No
/// script asks for just what the browser itself asks for.
fn without_upgrade(request: &RequestFacts<'_>) -> Result<RequestKind, &'static str> {
    let agent = request.user_agent.unwrap_or_default();
    if !upgrades::asks_to_upgrade(agent) {
        return Ok(RequestKind::Navigation);
    }
    match request.accept {
        Some(SAFARIS) if upgrades::is_webkit(agent) && is_saved_by_webkit(request, agent) => {
            Ok(RequestKind::Saved)
        }
        Some(accept) if accept.starts_with(BROWSERS) => Ok(RequestKind::Navigation),
        _ => Err("A script's request: this browser's navigations have Upgrade-Insecure-Requests."),
    }
}

/// Whether it is for a link with `download`. Safari's engine follows such a link to its own site alone, and asks as
/// for a page, but without the sign of a page: over plain http that is `Upgrade-Insecure-Requests`; over https, where
/// it never sends that, it is `Sec-Fetch-*`, and of an engine that is too old for these nobody can tell.
fn is_saved_by_webkit(request: &RequestFacts<'_>, agent: &[u8]) -> bool {
    let Some(referer) = request.referer else {
        return false;
    };
    match referer.strip_prefix(b"http://") {
        Some(page) => field::first(request.fields, "host").is_some_and(|host| {
            let rest = page.strip_prefix(host);
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        }),
        None => upgrades::webkit_sends_metadata(agent),
    }
}

/// How the `Accept` of a browser's own requests for documents begins, and all of it where it is Safari's.
const BROWSERS: &[u8] = b"text/html,application/xhtml+xml,application/xml;q=0.9,";
const SAFARIS: &[u8] = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
