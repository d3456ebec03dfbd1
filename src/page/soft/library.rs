//! Libraries that name themselves in a header.

use crate::facts::{Library, RequestFacts};
use crate::field;

use super::kind::{NoSoftNavigation, SoftKind, SoftRequest};
use super::place::{path_of, same_path};

const PART: NoSoftNavigation = "A script's request for a part of a page.";
const FORM: NoSoftNavigation = "A script sends a form; the page that follows counts.";

/// What the request of a library is.
pub(super) fn recognise(
    library: Library,
    request: &RequestFacts<'_>,
) -> Result<SoftRequest, NoSoftNavigation> {
    let post = request.method == "POST";
    let (kind, ahead) = match library {
        Library::Turbo => (turbo(request)?, request.prefetch),
        Library::Turbolinks => (SoftKind::Turbolinks, request.prefetch),
        Library::Htmx => htmx(request),
        Library::Inertia => (inertia(request)?, request.prefetch),
        Library::Unpoly => unpoly(request)?,
        Library::Next => next(request)?,
        Library::Swup => (SoftKind::Swup, request.prefetch),
        Library::Pjax => (SoftKind::Pjax, request.prefetch),
        Library::Barba => (SoftKind::Barba, request.prefetch || !is_pushed(request)),
        Library::Livewire => (SoftKind::Livewire, request.prefetch),
    };
    let takes_forms = matches!(
        kind,
        SoftKind::Htmx
            | SoftKind::HtmxPart
            | SoftKind::Inertia
            | SoftKind::NextAction
            | SoftKind::Pjax
            | SoftKind::Swup
    );
    if post && !takes_forms {
        return Err(FORM);
    }
    Ok(SoftRequest { kind, ahead, post })
}

fn has(request: &RequestFacts<'_>, name: &str) -> bool {
    field::first(request.fields, name).is_some()
}

fn says(request: &RequestFacts<'_>, name: &str, word: &str) -> bool {
    field::first(request.fields, name).is_some_and(|value| value.eq_ignore_ascii_case(word.as_bytes()))
}

fn turbo(request: &RequestFacts<'_>) -> Result<SoftKind, NoSoftNavigation> {
    if has(request, "turbo-frame") {
        return Err(PART);
    }
    Ok(SoftKind::Turbo)
}

/// htmx 2 marks boosted links and forms; htmx 4 says of each request what it wants.
fn htmx(request: &RequestFacts<'_>) -> (SoftKind, bool) {
    let kind = if says(request, "hx-history-restore-request", "true") {
        SoftKind::HtmxReturn
    } else if says(request, "hx-request-type", "partial") {
        SoftKind::HtmxPart
    } else if says(request, "hx-boosted", "true") || says(request, "hx-request-type", "full") {
        SoftKind::Htmx
    } else {
        SoftKind::HtmxPart
    };
    // Of its extension `preload`.
    (kind, request.prefetch || says(request, "hx-preloaded", "true"))
}

fn inertia(request: &RequestFacts<'_>) -> Result<SoftKind, NoSoftNavigation> {
    if has(request, "x-inertia-partial-data") || has(request, "x-inertia-partial-component") {
        return Err(PART);
    }
    Ok(SoftKind::Inertia)
}

/// Unpoly replaces what a link names. A page is what replaces the main element, in the page itself or in an
/// overlay. Another overlay may have a url or not, so it is held like what is fetched ahead.
fn unpoly(request: &RequestFacts<'_>) -> Result<(SoftKind, bool), NoSoftNavigation> {
    if has(request, "x-up-validate") {
        return Err("A script validates a form.");
    }
    let mode = field::first(request.fields, "x-up-mode").unwrap_or_default();
    let is_overlay = [&b"modal"[..], b"drawer", b"cover"].contains(&mode);
    let target = field::first(request.fields, "x-up-target").unwrap_or_default();
    let is_page = target.split(|b| *b == b',').map(field::trim).any(is_main);
    if is_page && (is_overlay || mode == b"root") {
        Ok((SoftKind::Unpoly, request.prefetch))
    } else if is_overlay {
        Ok((SoftKind::Unpoly, true))
    } else {
        Err(PART)
    }
}

fn is_main(selector: &[u8]) -> bool {
    [&b"main"[..], b"body", b":main", b":layout"].contains(&selector) || selector.starts_with(b"[up-main")
}

fn next(request: &RequestFacts<'_>) -> Result<(SoftKind, bool), NoSoftNavigation> {
    if has(request, "next-action") {
        return Ok((SoftKind::NextAction, false));
    }
    // The outline of a page, and what it has in common with others.
    if field::first(request.fields, "next-router-segment-prefetch").is_some_and(|part| !is_whole(part)) {
        return Err("A script fetches a part of a page ahead (Next-Router-Segment-Prefetch).");
    }
    // A refresh leaves out on which page it is made.
    if !request.prefetch && !has(request, "next-url") {
        return Err("A script's refresh of the page that is shown (no Next-Url).");
    }
    Ok((SoftKind::Next, request.prefetch))
}

/// Whether a segment is the page itself, and none of the layouts around it.
fn is_whole(segment: &[u8]) -> bool {
    memchr::memmem::find(segment, b"__PAGE__").is_some()
}

/// Whether the page that asks has the target's url already. Barba changes the url before it fetches a page
/// that is to be shown, and not for one that it fetches ahead.
fn is_pushed(request: &RequestFacts<'_>) -> bool {
    request
        .referer
        .is_none_or(|referer| same_path(path_of(referer), request.path().as_bytes()))
}
