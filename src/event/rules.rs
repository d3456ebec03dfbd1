//! The rules by which events are made.

use std::borrow::Cow;

use crate::page::Glob;

use super::sites::Sites;
use super::url::QueryRule;
use super::web_page::WebPage;

/// `[[sites]]`, `[pages] query` and `[pages] mask`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRules {
    /// Which host belongs to which domain.
    pub sites: Sites,
    /// Which query parameters stay in the url.
    pub query: QueryRule,
    /// Paths that match one of these are sent as the pattern.
    pub mask: Vec<Glob>,
}

impl EventRules {
    /// What is sent for a path: itself, or the first pattern that it matches.
    pub(super) fn shown_path<'a>(&'a self, path: &'a [u8]) -> &'a [u8] {
        masked(&self.mask, path)
    }

    /// A referrer, its path masked if it is on the host of the event or of a site.
    pub(super) fn shown_referrer<'a>(&self, referrer: Cow<'a, [u8]>, own_host: &[u8]) -> Cow<'a, [u8]> {
        if self.mask.is_empty() {
            return referrer;
        }
        let shown = WebPage::split(&referrer).and_then(|page| {
            let path = masked(&self.mask, page.path());
            let is_own = page.host == own_host || self.names(page.host).is_some();
            let scheme: &[u8] = if page.https { b"https://" } else { b"http://" };
            (path != page.path() && is_own).then(|| [scheme, page.host, path].concat())
        });
        shown.map_or(referrer, Cow::Owned)
    }

    /// The page of this site that has a link, by the `Referer` of the request that follows it. `own_host` is
    /// the link's.
    pub(super) fn linking_page<'a>(
        &self,
        referer: Option<&'a [u8]>,
        own_host: &[u8],
        domain: &[u8],
    ) -> Option<WebPage<'a>> {
        let page = WebPage::split(referer?)?;
        let is_own = page.host == own_host || self.names(page.host) == Some(domain);
        is_own.then_some(page)
    }

    /// The domains of a host that a site names.
    fn names(&self, host: &[u8]) -> Option<&[u8]> {
        let found = self.sites.find_named(std::str::from_utf8(host).ok()?)?;
        Some(found.as_bytes())
    }
}

/// The first pattern that the path matches, else the path.
pub(super) fn masked<'a>(mask: &'a [Glob], path: &'a [u8]) -> &'a [u8] {
    let text = || std::str::from_utf8(path).ok();
    if mask.is_empty() {
        return path;
    }
    let pattern = text().and_then(|path| mask.iter().find(|pattern| pattern.matches(path)));
    pattern.map_or(path, |pattern| pattern.text().as_bytes())
}
