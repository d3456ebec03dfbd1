//! Soft navigations: a script fetches a page and puts it in the place of the one that is shown, with a new url
//! and without a document request. Each library is recognised by what it sends. Requests by which the same
//! library updates a part of a page are no page views.
//!
//! [`recognise`] says by the request what it may be, at the cost of a few comparisons and without an
//! allocation. [`soft_outcome`] says by the response what became of it. Only for what was shown, or fetched
//! ahead, [`judge_soft`](super::judge_soft) looks at the rules, and [`SoftPlace`] gives url and referrer.
//!
//! The tracker script counts a new path, and neither a new query nor the same page again. So a request for the
//! path of the page that it comes from is a refresh and no view. Exceptions are libraries that change the url
//! before they fetch: Barba, and a return in htmx.
//!
//! | file | contents |
//! | --- | --- |
//! | `library.rs` | libraries with a header of their own |
//! | `kind.rs` | the ways in which a page is replaced |
//! | `data.rs` | frameworks that fetch a page's data from a path beside it, and Astro |
//! | `response.rs` | what the response decides |
//! | `place.rs` | url and referrer |

mod data;
mod kind;
mod library;
mod place;
mod response;
#[cfg(test)]
mod tests;

use crate::facts::RequestFacts;

use kind::NoSoftNavigation;

pub use kind::SoftRequest;
pub use place::SoftPlace;
pub use response::{SoftOutcome, announced, led_to, soft_outcome};

pub(super) use response::{soft_body_suffices, soft_doubt};

pub(super) const REFRESH: NoSoftNavigation =
    "A script's request for the page that is shown already: a refresh, or another query of it.";

/// What a script's GET or POST may be, by its library's marks, its path or its `Accept`. `None`: none of these
/// know it.
pub(super) fn recognise(request: &RequestFacts<'_>) -> Option<Result<SoftRequest, NoSoftNavigation>> {
    let found = match request.library {
        Some(library) => library::recognise(library, request),
        None => Ok(data::recognise(request)?),
    };
    Some(found.and_then(|soft| {
        let path = data::page_path(soft.kind, request.target);
        if place::before(soft.kind, request).is_some_and(|before| is_page(before, path)) {
            return Err(REFRESH);
        }
        Ok(soft)
    }))
}

/// Whether a url is that of the page with this path.
pub(super) fn is_page(url: &[u8], path: &str) -> bool {
    place::same_path(place::path_of(url), path.as_bytes())
}

/// The path of the page that this request is for.
pub fn page_path<'a>(soft: SoftRequest, request: &RequestFacts<'a>) -> &'a str {
    data::page_path(soft.kind, request.target)
}

/// Url and referrer of a page that was shown. `at`: where the response says that it is. `None`: it is the page
/// that was shown before.
pub(super) fn place<'a>(
    soft: SoftRequest,
    request: &RequestFacts<'a>,
    at: Option<&'a str>,
) -> Option<SoftPlace<'a>> {
    let place = SoftPlace::of(soft, request, at);
    let stays = at.is_some()
        && place::before_named(soft.kind, request).is_some_and(|before| is_page(before, place.path()));
    (!stays).then_some(place)
}
