//! The url that the app gives a page view or an event.

use crate::event::Sites;
use crate::http1::is_authority;

use super::occasion::Occasion;

/// Where a page is, as the app names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageUrl {
    pub(super) https: bool,
    /// None: the host that the visitor used.
    pub(super) host: Option<String>,
    /// Path and query.
    pub(super) target: String,
}

impl PageUrl {
    /// Reads a path, or an absolute url on a host of the request's own site. Without a query, the request's
    /// is kept, so that a campaign's tags are not lost.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(super) fn read(text: &str, occasion: &Occasion<'_>, sites: &Sites) -> Result<Self, &'static str> {
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("its url has blanks or control characters; they are written as %20 and the like");
        }
        let scheme = |scheme: &str| {
            let start = text.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
        };
        let absolute = scheme("https://")
            .map(|rest| (true, rest))
            .or_else(|| scheme("http://").map(|rest| (false, rest)));
        let (https, host, target) = match absolute {
            Some((https, rest)) => {
                let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                let known = !host.is_empty() && is_authority(host);
                if !known
                    || sites
                        .find(Some(host))
                        .is_none_or(|found| Some(found) != occasion.domain)
                {
                    return Err("its url is on a host of another site, or of none");
                }
                (https, Some(host.to_owned()), target)
            }
            None if text.starts_with('/') && !text.starts_with("//") => (occasion.https, None, text),
            None => return Err("its url is neither a path nor an absolute http or https url"),
        };
        let target = target.split('#').next().unwrap_or(target);
        let slash = if target.starts_with('/') { "" } else { "/" };
        let mut target = format!("{slash}{target}");
        if let (false, Some(query)) = (target.contains('?'), occasion.query()) {
            target.push('?');
            target.push_str(query);
        }
        Ok(PageUrl { https, host, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{HostPattern, Site};
    use crate::facts::{RequestFacts, ResponseFacts};

    /// `https`, host and target of a url in the answer to `http://example.com/form?utm_source=a`.
    fn read(text: &str) -> Result<(bool, Option<String>, String), &'static str> {
        let site = |host: &str, domain: &str| Site {
            hosts: vec![host.parse::<HostPattern>().unwrap()],
            domains: vec![domain.to_owned()],
        };
        let sites = Sites::new(vec![
            site("example.com", "example.com"),
            site("www.example.com", "example.com"),
            site("other.example", "other"),
        ]);
        let response = ResponseFacts::of_status(200);
        let occasion = Occasion {
            mask: &[],
            request: RequestFacts {
                method: "GET",
                target: "/form?utm_source=a",
                ..RequestFacts::default()
            },
            https: false,
            host: Some("example.com"),
            client: None,
            domain: Some("example.com"),
            response: &response,
        };
        PageUrl::read(text, &occasion, &sites).map(|url| (url.https, url.host, url.target))
    }

    #[test]
    fn it_is_a_path_or_absolute_on_the_same_site() {
        let host = |host: &str| Some(host.to_owned());
        for (text, url) in [
            ("/a", (false, None, "/a?utm_source=a")),
            ("/a?b=c#d", (false, None, "/a?b=c")),
            ("/a?", (false, None, "/a?")),
            (
                "https://www.example.com/ä",
                (true, host("www.example.com"), "/ä?utm_source=a"),
            ),
            (
                "HTTP://example.com:8080",
                (false, host("example.com:8080"), "/?utm_source=a"),
            ),
            ("https://example.com?x=1", (true, host("example.com"), "/?x=1")),
        ] {
            assert_eq!(read(text), Ok((url.0, url.1, url.2.to_owned())), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "a",
            "//example.com/a",
            "https://other.example/a",
            "https://elsewhere.test/a",
            "https:///a",
            "https://me@example.com/a",
            "ftp://example.com/a",
            "data:,x",
            "/a b",
            "/a\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
