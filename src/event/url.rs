//! The event's url and referrer, as the tracker script would have sent them.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem, memrchr};

/// The most bytes of a url, and the most characters of a referrer, that Plausible accepts.
pub const MAX_URL: usize = 2_000;

/// `[pages] query`: the query parameters that stay in the url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRule {
    /// All of them.
    All,
    /// Those with these names. A parameter's name is compared after decoding, as Plausible does.
    Names(Vec<String>),
}

impl Default for QueryRule {
    /// Those that Plausible reads.
    fn default() -> Self {
        let names = [
            "ref",
            "source",
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_content",
            "utm_term",
        ];
        QueryRule::Names(names.map(str::to_owned).to_vec())
    }
}

impl QueryRule {
    fn keeps(&self, parameter: &[u8]) -> bool {
        match self {
            QueryRule::All => true,
            QueryRule::Names(names) => {
                let name = memchr(b'=', parameter).map_or(parameter, |at| &parameter[..at]);
                if memchr(b'%', name).is_some() {
                    names.iter().any(|n| decodes_to(name, n.as_bytes()))
                } else {
                    names.iter().any(|n| n.as_bytes() == name)
                }
            }
        }
    }
}

/// Whether a parameter's name, with its escapes decoded, is `name`.
fn decodes_to(mut sent: &[u8], name: &[u8]) -> bool {
    for byte in name {
        let (sent_byte, len) = match (sent.first(), sent.get(..3).and_then(escaped)) {
            (_, Some(decoded)) => (decoded, 3),
            (Some(plain), None) => (*plain, 1),
            (None, None) => return false,
        };
        if sent_byte != *byte {
            return false;
        }
        sent = &sent[len..];
    }
    sent.is_empty()
}

/// Appends the absolute url: scheme and host, the path as sent, and as many of the kept parameters, in their
/// order, as fit into [`MAX_URL`] bytes. A path that is too long is cut at a character. A `%` without two hex
/// digits after it is written as `%25`, because some editions of Plausible fail on it. Returns where the path
/// starts and ends.
///
/// `host` is the host that the visitor's browser used, with its port. What a browser does not show in a url
/// is left out: credentials and the scheme's default port. If `host` is no host, the first of `domains` is
/// used.
pub(super) fn write(
    https: bool,
    host: &[u8],
    domains: &[u8],
    target: &[u8],
    query: &QueryRule,
    out: &mut Vec<u8>,
) -> std::ops::Range<usize> {
    let put = if memchr(b'%', target).is_some() {
        put_with_valid_escapes
    } else {
        |text: &[u8], out: &mut Vec<u8>| out.extend_from_slice(text)
    };
    let url = out.len();
    let (path, parameters) = match memchr2(b'?', b'#', target) {
        Some(at) if target[at] == b'?' => {
            let rest = &target[at + 1..];
            let end = memchr(b'#', rest).unwrap_or(rest.len());
            (&target[..at], Some(&rest[..end]))
        }
        Some(at) => (&target[..at], None),
        None => (target, None),
    };

    out.extend_from_slice(if https { b"https://" } else { b"http://" });
    let host = shown(host, if https { b":443" } else { b":80" })
        .unwrap_or_else(|| domains.split(|b| *b == b',').next().unwrap_or_default());
    let authority = out.len();
    out.extend_from_slice(host);
    out[authority..].make_ascii_lowercase();
    cut(out, url + MAX_URL - 1);
    let start = out.len();
    if path.first() != Some(&b'/') {
        out.push(b'/');
    }
    put(path, out);
    cut(out, url + MAX_URL);
    let end = out.len();

    let mut between = b'?';
    for parameter in parameters
        .into_iter()
        .flat_map(|q| q.split(|b| *b == b'&'))
        .filter(|p| query.keeps(p))
    {
        let before = out.len();
        out.push(between);
        put(parameter, out);
        if out.len() - url > MAX_URL {
            out.truncate(before);
        } else {
            between = b'&';
        }
    }
    start..end
}

/// Appends a text; each `%` that two hex digits do not follow becomes `%25`.
fn put_with_valid_escapes(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'%', text) {
        let end = at + 1;
        out.extend_from_slice(&text[..end]);
        if text.get(at..at + 3).and_then(escaped).is_none() {
            out.extend_from_slice(b"25");
        }
        text = &text[end..];
    }
    out.extend_from_slice(text);
}

/// The host as a browser shows it, or `None` if it is no host.
fn shown<'a>(host: &'a [u8], own_port: &[u8]) -> Option<&'a [u8]> {
    let host = memrchr(b'@', host).map_or(host, |at| &host[at + 1..]);
    let host = host.strip_suffix(own_port).unwrap_or(host);
    let host = host.strip_suffix(b":").unwrap_or(host);
    let known = host
        .iter()
        .fold(true, |known, byte| known & SHOWN[usize::from(*byte)]);
    (known && !host.is_empty() && host.len() <= 300).then_some(host)
}

/// The bytes that hosts and ports consist of.
const SHOWN: [bool; 256] = {
    let mut shown = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        shown[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']');
        byte += 1;
    }
    shown
};

/// Cuts UTF-8 text to at most `max` bytes, and never inside a character: neither between its bytes, nor in a
/// `%XX`, nor between several `%XX` that are one character.
fn cut(text: &mut Vec<u8>, max: usize) {
    if text.len() <= max {
        return;
    }
    let bytes = &text[..];
    let mut end = max;
    while end > 0 && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    end = match &bytes[..end] {
        [.., b'%'] => end - 1,
        [.., b'%', digit] if digit.is_ascii_hexdigit() => end - 2,
        _ => end,
    };
    // With escapes on both sides of the cut: does a character start before it and end after it?
    let mut from = end;
    for seen in 1..=3 {
        let Some(byte) = from.checked_sub(3).and_then(|at| escaped(&bytes[at..from])) else {
            break;
        };
        from -= 3;
        if byte & 0xc0 != 0x80 {
            let takes = byte.leading_ones() as usize;
            if (2..=4).contains(&takes) && takes > seen && bytes.get(end..end + 3).is_some_and(continues) {
                end = from;
            }
            break;
        }
    }
    text.truncate(end);
}

/// Whether an escape is a continuation byte of UTF-8.
fn continues(escape: &[u8]) -> bool {
    escaped(escape).is_some_and(|b| b & 0xc0 == 0x80)
}

/// The byte that `%XX` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low] = text else {
        return None;
    };
    let digit = |b: u8| (b as char).to_digit(16);
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// The referrer: the `Referer` without query, fragment and credentials, at most [`MAX_URL`] characters;
/// `None` if it is empty. If it must be cut, invalid UTF-8 becomes U+FFFD, as it does in the body.
pub(super) fn referrer(sent: &[u8]) -> Option<Cow<'_, [u8]>> {
    let end = memchr2(b'?', b'#', sent).unwrap_or(sent.len());
    let mut referrer = Cow::Borrowed(sent[..end].trim_ascii());
    if let Some(credentials) = credentials(&referrer) {
        referrer.to_mut().drain(credentials);
    }
    if referrer.len() > MAX_URL {
        let text = String::from_utf8_lossy(&referrer).into_owned();
        let end = text
            .char_indices()
            .nth(MAX_URL)
            .map_or(text.len(), |(end, _)| end);
        let mut bytes = text.into_bytes();
        cut(&mut bytes, end);
        referrer = Cow::Owned(bytes);
    }
    (!referrer.is_empty()).then_some(referrer)
}

/// The place of user and password in a url, including the `@` after them.
fn credentials(url: &[u8]) -> Option<std::ops::Range<usize>> {
    memchr(b'@', url)?;
    let start = memmem::find(url, b"://")? + 3;
    let authority = memchr(b'/', &url[start..]).map_or(url.len(), |at| start + at);
    memrchr(b'@', &url[start..authority]).map(|at| start..start + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(https: bool, host: &str, target: &str) -> String {
        let mut out = Vec::new();
        write(
            https,
            host.as_bytes(),
            b"fallback.example,other.example",
            target.as_bytes(),
            &QueryRule::default(),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_url_is_what_the_browser_shows_without_what_is_private() {
        for (https, host, target, expected) in [
            (true, "Example.com", "/", "https://example.com/"),
            (false, "example.com:80", "/", "http://example.com/"),
            (true, "example.com:443", "/", "https://example.com/"),
            (true, "example.com:80", "/", "https://example.com:80/"),
            (false, "example.com:443", "/", "http://example.com:443/"),
            (false, "localhost:3000", "/a", "http://localhost:3000/a"),
            (false, "localhost:", "/a", "http://localhost/a"),
            (false, "localhost:8080", "/a", "http://localhost:8080/a"),
            (true, "[2001:DB8::1]:8443", "/", "https://[2001:db8::1]:8443/"),
            (true, "user:secret@example.com", "/", "https://example.com/"),
            (true, "", "/a", "https://fallback.example/a"),
            (true, "a/b", "/a", "https://fallback.example/a"),
            (true, "a b", "/a", "https://fallback.example/a"),
            (
                true,
                "a.test",
                "/A%20b/../c//d;e=f",
                "https://a.test/A%20b/../c//d;e=f",
            ),
            (true, "a.test", "/größe", "https://a.test/größe"),
            (true, "a.test", "/a#secret", "https://a.test/a"),
            (true, "a.test", "*", "https://a.test/*"),
            (true, "a.test", "/?token=1", "https://a.test/"),
            (true, "a.test", "/?", "https://a.test/"),
            (
                true,
                "a.test",
                "/?ref=x%20Y&token=1&utm_source=a+b&&ref",
                "https://a.test/?ref=x%20Y&utm_source=a+b&ref",
            ),
            (true, "a.test", "/?UTM_SOURCE=a&utm_sourcex=b", "https://a.test/"),
            (true, "a.test", "/50%-off", "https://a.test/50%25-off"),
            (true, "a.test", "/a%zz%", "https://a.test/a%25zz%25"),
            (true, "a.test", "/%%41%4", "https://a.test/%25%41%254"),
            (true, "a.test", "/?ref=5%&token=%", "https://a.test/?ref=5%25"),
            (
                true,
                "a.test",
                "/a?utm%5Fsource=x&%72ef=y&utm%5Fsourc=z&%72e%=z&utm%5fsourcex=z",
                "https://a.test/a?utm%5Fsource=x&%72ef=y",
            ),
            (true, "a.test", "/?ref=a?b=c#d", "https://a.test/?ref=a?b=c"),
        ] {
            assert_eq!(url(https, host, target), expected);
        }
    }

    #[test]
    fn all_keeps_the_query_as_it_is() {
        let mut out = b"before".to_vec();
        write(true, b"a.test", b"", b"/?b=2&&a=1&", &QueryRule::All, &mut out);
        assert_eq!(out, b"beforehttps://a.test/?b=2&&a=1&");
    }

    #[test]
    fn what_is_too_long_keeps_the_parameters_that_fit_then_the_path_is_cut() {
        let long = format!(
            "/{}?ref={}&source=x&utm_term=y",
            "p".repeat(900),
            "r".repeat(1_067)
        );
        let kept = url(true, "a.test", &long);
        assert_eq!(kept.len(), 1_996);
        assert!(kept.ends_with("r&source=x"), "{kept}");
        let longer = format!("/{}?ref={}&utm_term=t", "p".repeat(900), "r".repeat(2_000));
        assert_eq!(
            url(true, "a.test", &longer),
            format!("https://a.test/{}?utm_term=t", "p".repeat(900))
        );
        let longest = url(true, "a.test", &format!("/{}?ref=x", "p".repeat(3_000)));
        assert_eq!(longest, format!("https://a.test/{}", "p".repeat(1_985)));
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        // "https://a.test/" is 15 bytes long: 1,985 are left.
        for (fill, tail, kept) in [
            (1_984, "ä", 0),
            (1_983, "ä", 2),
            (1_984, "%41", 0),
            (1_983, "%41", 0),
            (1_982, "%41", 3),
            (1_982, "%C3%A4", 0),
            (1_981, "%C3%A4", 0),
            (1_979, "%C3%A4", 6),
            (1_976, "%E2%82%AC", 9),
            (1_977, "%E2%82%AC", 0),
            (1_979, "%E2%82%AC", 0),
            (1_982, "%E2%82%AC", 0),
            (1_974, "%F0%9F%98%80", 0),
            (1_982, "%A4%A4", 3),
            (1_982, "%C3xx", 3),
        ] {
            let cut = url(
                true,
                "a.test",
                &format!("/{}{tail}{}", "p".repeat(fill), "q".repeat(50)),
            );
            let expected = format!("https://a.test/{}{}", "p".repeat(fill), &tail[..kept]);
            assert_eq!(
                cut.strip_suffix(&"q".repeat(2_000 - expected.len().min(2_000)))
                    .unwrap_or(&cut),
                expected,
                "{fill} {tail}"
            );
        }
    }

    #[test]
    fn the_referrer_has_no_query_no_fragment_and_no_credentials() {
        for (sent, expected) in [
            (
                &b"https://news.example/a/b?q=secret#x"[..],
                Some("https://news.example/a/b"),
            ),
            (b"https://news.example/#x?y", Some("https://news.example/")),
            (
                b"https://me:secret@news.example/a@b",
                Some("https://news.example/a@b"),
            ),
            (
                b"android-app://com.example.app/",
                Some("android-app://com.example.app/"),
            ),
            (
                b"https://news.example/caf\xc3\xa9",
                Some("https://news.example/café"),
            ),
            (b"about:blank", Some("about:blank")),
            (b"", None),
            (b"  ", None),
            (b"?q", None),
        ] {
            assert_eq!(referrer(sent).as_deref(), expected.map(str::as_bytes));
        }
        let long = format!("https://news.example/{}", "ä".repeat(3_000));
        let cut = String::from_utf8(referrer(long.as_bytes()).unwrap().into_owned()).unwrap();
        assert_eq!(cut.chars().count(), MAX_URL);
        let long = format!("https://news.example/{}%C3%A4", "a".repeat(1_976));
        assert_eq!(referrer(long.as_bytes()).unwrap().len(), 21 + 1_976);
    }
}
