//! Where a soft navigation leads, and from where it comes.

use std::borrow::Cow;

use memchr::{memchr2, memmem};

use crate::facts::RequestFacts;
use crate::field;

use super::data;
use super::kind::{SoftKind, SoftRequest};

/// Url and referrer of a soft navigation's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftPlace<'a> {
    /// Path and query, as the browser shows them.
    pub target: Cow<'a, str>,
    /// The page that it comes from.
    pub referrer: Option<&'a [u8]>,
}

impl<'a> SoftPlace<'a> {
    /// The place of a page that was shown. `at`: where the response says that it is.
    pub(super) fn of(soft: SoftRequest, request: &RequestFacts<'a>, at: Option<&'a str>) -> Self {
        let referrer = match soft.kind {
            SoftKind::Htmx | SoftKind::HtmxReturn | SoftKind::HtmxPart => {
                field::first(request.fields, "hx-current-url").or(request.referer)
            }
            SoftKind::Turbolinks => field::first(request.fields, "turbolinks-referrer").or(request.referer),
            // It has the new page's url already.
            SoftKind::Barba => None,
            _ => request.referer,
        };
        SoftPlace {
            target: at.map_or_else(|| own_target(soft.kind, request.target), Cow::Borrowed),
            referrer,
        }
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }
}

/// The request's target, without what belongs to the fetch alone.
fn own_target(kind: SoftKind, target: &str) -> Cow<'_, str> {
    let mut page = Cow::Borrowed(data::page_path(kind, target));
    let mut between = '?';
    for parameter in data::parameters(target).filter(|p| !data::is_own_parameter(kind, p)) {
        let page = page.to_mut();
        page.push(between);
        page.push_str(parameter);
        between = '&';
    }
    page
}

/// The url or the path of the page that a request comes from, where that says whether it is shown already.
pub(super) fn before<'a>(kind: SoftKind, request: &RequestFacts<'a>) -> Option<&'a [u8]> {
    let or_referer = |name| field::first(request.fields, name).or(request.referer);
    match kind {
        SoftKind::Htmx => or_referer("hx-current-url"),
        SoftKind::Turbolinks => or_referer("turbolinks-referrer"),
        SoftKind::Next => or_referer("next-url"),
        SoftKind::Barba | SoftKind::HtmxReturn | SoftKind::HtmxPart | SoftKind::NextAction => None,
        SoftKind::Unpoly if is_return_of_unpoly(request) => None,
        _ => request.referer,
    }
}

/// Whether Unpoly restores a page of the history, whose url the browser has already. It asks for the whole
/// body, and for nothing in case of a failure.
fn is_return_of_unpoly(request: &RequestFacts<'_>) -> bool {
    field::first(request.fields, "x-up-target") == Some(b"body")
        && field::first(request.fields, "x-up-fail-target").is_none()
}

/// As [`before`], for a page that the response names.
pub(super) fn before_named<'a>(kind: SoftKind, request: &RequestFacts<'a>) -> Option<&'a [u8]> {
    match kind {
        SoftKind::Htmx | SoftKind::HtmxPart => {
            field::first(request.fields, "hx-current-url").or(request.referer)
        }
        _ => request.referer,
    }
}

/// The path of a url, or of a path with what follows it.
pub(super) fn path_of(url: &[u8]) -> &[u8] {
    let end = memchr2(b'?', b'#', url).unwrap_or(url.len());
    let url = &url[..end];
    let Some(start) = memmem::find(url, b"://").filter(|_| !url.starts_with(b"/")) else {
        return url;
    };
    let rest = &url[start + 3..];
    memchr::memchr(b'/', rest).map_or(b"/", |at| &rest[at..])
}

/// Whether two paths are one page's: a slash at the end makes no difference.
pub(super) fn same_path(one: &[u8], other: &[u8]) -> bool {
    let bare = |path: &[u8]| path.len() - usize::from(path.ends_with(b"/"));
    one[..bare(one)] == other[..bare(other)]
}
