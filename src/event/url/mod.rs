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
    /// The names, as sent, of a target's query parameters that are not kept.
    pub fn cuts<'t>(&self, target: &'t str) -> impl Iterator<Item = &'t str> {
        let query = target.split('#').next().and_then(|t| Some(t.split_once('?')?.1));
        let parameters = query.into_iter().flat_map(|query| query.split('&'));
        parameters
            .filter(|parameter| !parameter.is_empty() && !self.keeps(parameter.as_bytes()))
            .map(|parameter| parameter.split('=').next().unwrap_or(parameter))
    }

    fn keeps(&self, parameter: &[u8]) -> bool {
        match self {
            QueryRule::All => true,
            QueryRule::Names(names) => {
                let end = memchr2(b'=', b'%', parameter).unwrap_or(parameter.len());
                if parameter.get(end) == Some(&b'%') {
                    let end = memchr(b'=', parameter).unwrap_or(parameter.len());
                    return names.iter().any(|n| decodes_to(&parameter[..end], n.as_bytes()));
                }
                names.iter().any(|n| n.as_bytes() == &parameter[..end])
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

/// Path and query of a target; the fragment is left out.
pub(super) fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr2(b'?', b'#', target) {
        Some(at) if target[at] == b'?' => {
            let rest = &target[at + 1..];
            let end = memchr(b'#', rest).unwrap_or(rest.len());
            (&target[..at], Some(&rest[..end]))
        }
        Some(at) => (&target[..at], None),
        None => (target, None),
    }
}

/// Appends the absolute url: scheme and host, the path as sent, and as many of the kept parameters, in their
/// order, as fit into [`MAX_URL`] bytes. A path that is too long is cut at a character. In the path, a `%`
/// without two hex digits after it is written as `%25`, because some editions of Plausible fail on it.
/// Returns where the path starts and ends.
///
/// `host` is the host that the visitor's browser used, with its port. What a browser does not show in a url
/// is left out: credentials and the scheme's default port. If `host` is no host, the first of `domains` is
/// used.
pub(super) fn write(
    https: bool,
    host: &[u8],
    domains: &[u8],
    (path, parameters): (&[u8], Option<&[u8]>),
    query: &QueryRule,
    out: &mut Vec<u8>,
) -> std::ops::Range<usize> {
    let url = out.len();
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
    put_with_valid_escapes(path, out);
    cut(out, url + MAX_URL);
    let end = out.len();

    let mut between = b'?';
    for parameter in parameters
        .into_iter()
        .flat_map(|q| q.split(|b| *b == b'&'))
        .filter(|p| query.keeps(p))
    {
        if out.len() - url + 1 + parameter.len() <= MAX_URL {
            out.push(between);
            out.extend_from_slice(parameter);
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
mod tests;
