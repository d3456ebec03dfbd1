//! The combined format of Apache and nginx:
//!
//! ```text
//! PEER - USER [26/Nov/2026:10:00:00 +0000] "GET /a?b HTTP/1.1" 200 1234 "REFERER" "USER AGENT"
//! ```
//!
//! nginx's `main` has a last field with `X-Forwarded-For`, which is read too. In quotes, `\xHH` and a few
//! other escapes stand for bytes.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::{line::LogLine, time};

/// Reads a line.
pub(super) fn parse(text: &str) -> Option<LogLine<'_>> {
    let (before, rest) = text.split_once(" [")?;
    let (at, rest) = rest.split_once("] \"")?;
    let (request, rest) = quoted(rest)?;
    let (status, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let mut line = LogLine {
        time: Some(time::common(at)?),
        peer: Some(Cow::Borrowed(before.split(' ').next()?)),
        status: Some(status.parse().ok()?),
        ..LogLine::default()
    };
    set_request(&mut line, request);
    let (_size, mut rest) = rest.split_once(' ')?;
    for name in ["referer", "user-agent", "x-forwarded-for"] {
        match rest.strip_prefix('"').and_then(quoted) {
            Some((value, after)) => {
                line.push(Cow::Borrowed(name), value);
                rest = after.strip_prefix(' ').unwrap_or_default();
            }
            // What follows the user agent may be anything.
            None if name == "x-forwarded-for" => break,
            None => return None,
        }
    }
    Some(line)
}

/// Takes method and target out of a request line. What was no request has neither.
fn set_request<'a>(line: &mut LogLine<'a>, request: Cow<'a, str>) {
    match request {
        Cow::Borrowed(text) => {
            if let Some((method, target)) = words(text) {
                line.method = Cow::Borrowed(method);
                line.set_target(Cow::Borrowed(target));
            }
        }
        Cow::Owned(text) => {
            if let Some((method, target)) = words(&text) {
                line.method = Cow::Owned(method.to_owned());
                line.set_target(Cow::Owned(target.to_owned()));
            }
        }
    }
}

/// The method and the target of a request line (RFC 9112 §3).
fn words(request: &str) -> Option<(&str, &str)> {
    let (method, rest) = request.split_once(' ')?;
    let (target, version) = rest.rsplit_once(' ')?;
    version.starts_with("HTTP/").then_some((method, target))
}

/// The content of quotes whose first is read, and what follows the last.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut at = memchr2(b'"', b'\\', bytes)?;
    if bytes[at] == b'"' {
        return Some((Cow::Borrowed(&text[..at]), &text[at + 1..]));
    }
    while bytes[at] == b'\\' {
        at += 2;
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
    }
    Some((Cow::Owned(unescaped(&bytes[..at])), &text[at + 1..]))
}

fn unescaped(mut text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    while let Some(at) = memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let (byte, used) = match &text[at + 1..] {
            [b'x' | b'X', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'x', 2),
            },
            [b'n', ..] => (b'\n', 2),
            [b'r', ..] => (b'\r', 2),
            [b't', ..] => (b'\t', 2),
            [other, ..] => (*other, 2),
            [] => (b'\\', 1),
        };
        out.push(byte);
        text = &text[at + used..];
    }
    out.extend_from_slice(text);
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}
