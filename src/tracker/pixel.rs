//! The pixel: an image of one transparent pixel, whose request is a page view of the page that shows it.

use std::net::IpAddr;

use bytes::Bytes;

use super::answer::DedicatedAnswer;
use crate::{event::Sighting, facts::RequestFacts, page::EventKind};

/// A GIF of 1×1 transparent pixel (43 bytes).
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\
    \x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// The page that was viewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewedPage {
    /// Its scheme is https.
    pub https: bool,
    /// Its host, perhaps with a port.
    pub host: String,
    /// Its path and query.
    pub target: String,
}

impl ViewedPage {
    /// The page that a request for the pixel names: by the parameter `url` of its target, else by its
    /// `Referer`. `None` if that is no page's URL.
    pub fn of(target: &str, referer: Option<&[u8]>) -> Option<Self> {
        match parameter(target) {
            Some(url) => ViewedPage::parse(&decoded(url)?),
            None => ViewedPage::parse(std::str::from_utf8(referer?).ok()?),
        }
    }

    /// Its path alone.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }

    /// What is told of its view by `client`, whose request for the pixel these facts are of.
    pub fn sighting<'a>(
        &'a self,
        kind: EventKind<'a>,
        client: IpAddr,
        facts: &RequestFacts<'a>,
        domain: &'a [u8],
    ) -> Sighting<'a> {
        Sighting {
            at_ns: 0,
            at_ms: 0,
            kind,
            client,
            user_agent: facts.user_agent.unwrap_or_default(),
            https: self.https,
            host: self.host.as_bytes(),
            target: self.target.as_bytes(),
            // What led to the page is not known.
            referrer: None,
            domain,
            members: b"",
        }
    }

    fn parse(url: &str) -> Option<Self> {
        if url.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let https = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let slash = if target.starts_with('/') { "" } else { "/" };
        (!host.is_empty()).then(|| ViewedPage {
            https,
            host: host.to_owned(),
            target: format!("{slash}{target}"),
        })
    }
}

/// The pixel itself.
pub(super) fn image() -> DedicatedAnswer {
    DedicatedAnswer::new(200, Bytes::from_static(GIF)).with("Content-Type", "image/gif")
}

/// The value of the parameter `url`, as sent.
fn parameter(target: &str) -> Option<&str> {
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("url="))
}

/// A value with its escapes decoded; `None` where they are no UTF-8.
fn decoded(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail
            .first_chunk()
            .filter(|_| *first == b'%')
            .and_then(|[high, low]| {
                let digit = |b: u8| char::from(b).to_digit(16);
                Some((digit(*high)? * 16 + digit(*low)?) as u8)
            });
        out.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(target: &str, referer: Option<&str>) -> Option<(bool, String, String)> {
        ViewedPage::of(target, referer.map(str::as_bytes)).map(|page| (page.https, page.host, page.target))
    }

    #[test]
    fn the_page_is_the_parameters_else_the_referers() {
        let of = |https, host: &str, target: &str| Some((https, host.to_owned(), target.to_owned()));
        let referer = Some("https://example.com/a?b=c");
        for (target, referer, expected) in [
            ("/p.gif", referer, of(true, "example.com", "/a?b=c")),
            (
                "/p.gif?x=1",
                Some("HTTP://u:p@Example.com:8080"),
                of(false, "Example.com:8080", "/"),
            ),
            (
                "/p.gif?x=1&url=https%3A%2F%2Fb.example%2Fd%25C3%25A4%3Fe%3Df%26g#x",
                referer,
                of(true, "b.example", "/d%C3%A4?e=f&g"),
            ),
            (
                "/p.gif?url=http://b.example?utm_source=feed",
                referer,
                of(false, "b.example", "/?utm_source=feed"),
            ),
            (
                "/p.gif?url=https://b.example/a%23b",
                None,
                of(true, "b.example", "/a"),
            ),
            ("/p.gif?url=nonsense", referer, None),
            ("/p.gif?url=%ff", referer, None),
            ("/p.gif?url=https://b.example/%0d%0aX:1", referer, None),
            ("/p.gif?url=", referer, None),
            ("/p.gif", Some("ftp://example.com/"), None),
            ("/p.gif", Some("https:///a"), None),
            ("/p.gif", None, None),
        ] {
            assert_eq!(page(target, referer), expected, "{target} {referer:?}");
        }
    }

    #[test]
    fn the_image_has_43_bytes() {
        assert_eq!(image().body.len(), 43);
    }
}
