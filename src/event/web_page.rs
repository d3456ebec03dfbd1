//! The parts of a page's url, as a `Referer` has it.

use memchr::{memchr, memchr2, memrchr};

/// A page's url, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebPage<'a> {
    /// Its scheme is https.
    pub https: bool,
    /// Its host, perhaps with a port.
    pub host: &'a [u8],
    /// Its path and query, which may be empty.
    pub target: &'a [u8],
}

impl<'a> WebPage<'a> {
    /// Takes an absolute http or https url apart; the fragment and credentials are left out.
    pub fn split(url: &'a [u8]) -> Option<Self> {
        let scheme = |scheme: &[u8]| {
            let (start, rest) = url.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (https, rest) = match scheme(b"https://") {
            Some(rest) => (true, rest),
            None => (false, scheme(b"http://")?),
        };
        let rest = &rest[..memchr(b'#', rest).unwrap_or(rest.len())];
        let (authority, target) = rest.split_at(memchr2(b'/', b'?', rest).unwrap_or(rest.len()));
        let host = memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..]);
        (!host.is_empty()).then_some(WebPage { https, host, target })
    }

    /// The path alone.
    pub fn path(&self) -> &'a [u8] {
        let path = &self.target[..memchr(b'?', self.target).unwrap_or(self.target.len())];
        if path.is_empty() { b"/" } else { path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_browsers_do() {
        for (url, expected, path) in [
            ("https://a.test/b?c=d#e", Some((true, "a.test", "/b?c=d")), "/b"),
            ("HTTP://u:p@a.test:81", Some((false, "a.test:81", "")), "/"),
            ("https://a.test?x", Some((true, "a.test", "?x")), "/"),
            ("https:///a", None, ""),
            ("android-app://a.test/", None, ""),
            ("/a", None, ""),
        ] {
            let page = WebPage::split(url.as_bytes());
            let parts = page.map(|page| (page.https, page.host, page.target));
            assert_eq!(
                parts,
                expected.map(|(s, h, t)| (s, h.as_bytes(), t.as_bytes())),
                "{url}"
            );
            assert!(page.is_none_or(|page| page.path() == path.as_bytes()), "{url}");
        }
    }
}
