//! The message in a syslog datagram, as RFC 3164 and RFC 5424 write it. Pure.

use memchr::{memchr, memmem};

/// The message, without the header before it. What has no priority is a message without a header.
pub(super) fn message(datagram: &[u8]) -> &[u8] {
    let Some(rest) = after_priority(datagram) else {
        return datagram;
    };
    if let Some(rest) = rest.strip_prefix(b"1 ") {
        return rfc5424(rest).unwrap_or(rest);
    }
    rfc3164(rest)
}

/// What follows `<PRI>`.
fn after_priority(datagram: &[u8]) -> Option<&[u8]> {
    let rest = datagram.strip_prefix(b"<")?;
    let end = memchr(b'>', rest.get(..rest.len().min(4))?)?;
    rest[..end]
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| &rest[end + 1..])
}

/// `Nov 26 10:00:00 HOST TAG: MESSAGE`; nginx leaves the host out if it is told to.
fn rfc3164(rest: &[u8]) -> &[u8] {
    const TIME: usize = "Nov 26 10:00:00 ".len();
    let has_time = rest.len() > TIME && rest[3] == b' ' && rest[TIME - 1] == b' ' && rest[9] == b':';
    let after_time = if has_time { &rest[TIME..] } else { rest };
    // A tag has no blank, and a host no colon before one, so the first `: ` ends the tag (RFC 3164 §4.1.3).
    match memmem::find(after_time, b": ") {
        Some(at) if !after_time[..at].contains(&b'{') => &after_time[at + 2..],
        _ => after_time,
    }
}

/// `TIME HOST APP PROCESS ID DATA MESSAGE` (RFC 5424 §6).
fn rfc5424(rest: &[u8]) -> Option<&[u8]> {
    let mut rest = rest;
    for _ in 0..5 {
        rest = &rest[memchr(b' ', rest)? + 1..];
    }
    let message = match rest {
        [b'-', after @ ..] => after,
        _ => after_data(rest)?,
    };
    let message = message.strip_prefix(b" ").unwrap_or(message);
    Some(message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message))
}

/// What follows the elements of structured data: `[a b="c"][d]`. In a value, `"`, `\` and `]` are escaped.
fn after_data(mut rest: &[u8]) -> Option<&[u8]> {
    while let [b'[', element @ ..] = rest {
        let (mut at, mut in_quotes) = (0, false);
        loop {
            match element.get(at)? {
                b'\\' if in_quotes => at += 1,
                b'"' => in_quotes = !in_quotes,
                b']' if !in_quotes => break,
                _ => {}
            }
            at += 1;
        }
        rest = &element[at + 1..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_behind_any_header() {
        for (datagram, expected) in [
            (
                "<190>Nov 26 10:00:00 web nginx: {\"uri\": \"/\"}",
                "{\"uri\": \"/\"}",
            ),
            ("<190>Nov  6 10:00:00 nginx: {\"a\": 1}", "{\"a\": 1}"),
            (
                "<190>Nov 26 10:00:00 fe80::1 nginx: 1.2.3.4 - - [x]",
                "1.2.3.4 - - [x]",
            ),
            ("<13>nginx[12]: hello", "hello"),
            ("<13>{\"a\": 1}", "{\"a\": 1}"),
            (
                "<165>1 2026-11-26T10:00:00Z web app 12 - - {\"a\": 1}",
                "{\"a\": 1}",
            ),
            (
                "<165>1 2026-11-26T10:00:00Z web app - id [a b=\"c\\\"]]\" d=\"e\"][f] \u{feff}{\"a\": 1}",
                "{\"a\": 1}",
            ),
            ("<165>1 - - - - - -", ""),
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("<no priority>", "<no priority>"),
            ("", ""),
            ("<", "<"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(message(datagram.as_bytes())),
                expected,
                "{datagram}"
            );
        }
    }
}
