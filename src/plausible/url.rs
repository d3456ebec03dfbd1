//! The url of an event, split into the parts that Plausible uses.

use std::net::IpAddr;

/// The longest url, in bytes, host and query included.
const MAX_BYTES: usize = 2_000;

/// The query parameters that are kept.
const TAGS: [&str; 7] = [
    "ref",
    "source",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
];

/// A valid url.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) text: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) tags: Vec<(String, String)>,
}

impl Url {
    /// Reads an absolute url; the error says what is wrong. `hash_mode`: the fragment is part of the page.
    pub(super) fn read(text: &str, hash_mode: bool) -> Result<Url, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("must be at most 2000 bytes");
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("must not hold blanks or control characters");
        }
        let (scheme, rest) = text.split_once(':').ok_or("must be absolute")?;
        if !is_scheme(scheme) {
            return Err("must be absolute");
        }
        if scheme.eq_ignore_ascii_case("data") {
            return Err("scheme is not allowed");
        }

        let (authority, rest) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut path = if path.is_empty() {
            "/".to_owned()
        } else {
            path.to_owned()
        };
        if hash_mode {
            path.push_str(fragment);
        }
        let host = host(authority);
        Ok(Url {
            text: text.to_owned(),
            host: if host.is_empty() {
                "(none)".to_owned()
            } else {
                host
            },
            path,
            tags: tags(query),
        })
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The host of an authority (RFC 3986 §3.2): no credentials, no port, lower case, no leading `www.`.
fn host(authority: &str) -> String {
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    without_www(&host.to_ascii_lowercase()).to_owned()
}

/// A host or domain as Plausible stores it.
pub(super) fn without_www(host: &str) -> &str {
    let host = host.trim();
    host.strip_prefix("www.").unwrap_or(host)
}

/// The kept parameters of a query, decoded, in its order.
fn tags(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .filter(|(name, value)| TAGS.contains(&name.as_str()) && !value.is_empty())
        .collect()
}

/// A form value (`application/x-www-form-urlencoded`) as text. A malformed escape is left as it is.
fn decoded(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = if first == b'%' { hex(tail) } else { None };
        out.push(escaped.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte of the first two hex digits.
fn hex(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The registrable domain of a host, approximated without the public suffix list: the last two labels, or
/// three if the last two look like a country's suffix (`co.uk`).
pub(super) fn registrable(host: &str) -> &str {
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    let mut dots = host.rmatch_indices('.').map(|(i, _)| i);
    let (Some(last), Some(second)) = (dots.next(), dots.next()) else {
        return host;
    };
    let looks_like_suffix = host.len() - last - 1 == 2 && last - second - 1 <= 3;
    match (looks_like_suffix, dots.next()) {
        (true, Some(third)) => &host[third + 1..],
        (true, None) => host,
        (false, _) => &host[second + 1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, host, path) in [
            ("https://example.com", "example.com", "/"),
            ("https://www.Example.com:8443/a/b?c=d#e", "example.com", "/a/b"),
            ("http://user:pw@example.com?x", "example.com", "/"),
            ("http://[2001:db8::1]:80/x", "2001:db8::1", "/x"),
            ("app://local/start", "local", "/start"),
            ("file:///etc/motd", "(none)", "/etc/motd"),
            ("about:blank", "(none)", "blank"),
            ("https://example.com/käse", "example.com", "/käse"),
        ] {
            let url = Url::read(text, false).unwrap();
            assert_eq!((url.host.as_str(), url.path.as_str()), (host, path), "{text}");
        }
        assert_eq!(
            Url::read("https://a.example/#/cart", true).unwrap().path,
            "/#/cart"
        );
    }

    #[test]
    fn what_is_no_absolute_url_is_refused() {
        let long = format!("https://example.com/{}", "a".repeat(1_981));
        assert_eq!(long.len(), 2_001);
        for text in [
            "",
            "/a",
            "example.com/a",
            "//example.com",
            "1http://x",
            "data:text/html,x",
            "DATA:,",
            "https://example.com/a b",
            "https://example.com/\n",
            &long,
        ] {
            assert!(Url::read(text, false).is_err(), "{text}");
        }
        assert!(Url::read(&long[..2_000], false).is_ok());
    }

    #[test]
    fn only_the_kept_parameters_are_kept_and_decoded() {
        let url = Url::read(
            "https://e.example/?q=1&utm%5Fsource=a%20b+c&ref=&ref=d%zz%C3%A4&utm_x=1",
            false,
        )
        .unwrap();
        assert_eq!(
            url.tags,
            [("utm_source", "a b c"), ("ref", "d%zzä")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn hosts_of_one_registration_are_one() {
        for (host, registered) in [
            ("example.com", "example.com"),
            ("shop.a.example.com", "example.com"),
            ("a.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(registrable(host), registered);
        }
    }
}
