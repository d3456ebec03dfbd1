//! How long a fetched script is fresh, by its own header fields (RFC 9111 §4.2.1).

use std::time::Duration;

use http::{HeaderMap, header};

/// Without a word about it.
const UNSAID: Duration = Duration::from_mins(1);
/// However often it is to be checked, it is fetched no more often than this.
const LEAST: Duration = Duration::from_secs(1);
/// However long it may be kept: sooner or later a correction has to arrive.
const MOST: Duration = Duration::from_hours(24 * 7);

/// How long from its arrival on.
pub(super) fn freshness(fields: &HeaderMap) -> Duration {
    let age = fields.get(header::AGE).and_then(number).unwrap_or_default();
    let lifetime = lifetime(fields).unwrap_or(UNSAID);
    lifetime.saturating_sub(age).clamp(LEAST, MOST)
}

fn lifetime(fields: &HeaderMap) -> Option<Duration> {
    let lines = fields.get_all(header::CACHE_CONTROL).iter();
    let directives = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let mut max_age = None;
    let mut shared = None;
    for directive in directives.map(<[u8]>::trim_ascii) {
        let (name, value) = match directive.iter().position(|b| *b == b'=') {
            Some(at) => (&directive[..at], &directive[at + 1..]),
            None => (directive, &b""[..]),
        };
        let seconds = || {
            seconds(
                value
                    .strip_prefix(b"\"")
                    .map_or(value, |v| &v[..v.len().max(1) - 1]),
            )
        };
        if name.eq_ignore_ascii_case(b"no-cache") || name.eq_ignore_ascii_case(b"no-store") {
            return Some(Duration::ZERO);
        } else if name.eq_ignore_ascii_case(b"max-age") {
            max_age = seconds();
        } else if name.eq_ignore_ascii_case(b"s-maxage") {
            shared = seconds();
        }
    }
    shared.or(max_age).or_else(|| {
        let date = |name| httpdate::parse_http_date(fields.get(name)?.to_str().ok()?).ok();
        let (expires, sent) = (date(header::EXPIRES)?, date(header::DATE)?);
        Some(expires.duration_since(sent).unwrap_or_default())
    })
}

fn number(value: &http::HeaderValue) -> Option<Duration> {
    seconds(value.as_bytes())
}

fn seconds(digits: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(digits).ok()?;
    text.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_say_how_long() {
        let date = "Thu, 26 Nov 2026 10:00:00 GMT";
        for (fields, seconds) in [
            (&[("cache-control", "public, max-age=300, no-transform")][..], 300),
            (&[("cache-control", "max-age=86400, must-revalidate")], 86_400),
            (&[("cache-control", "max-age=60, s-maxage=\"120\"")], 120),
            (
                &[("cache-control", "public"), ("cache-control", "Max-Age=90")],
                90,
            ),
            (&[("cache-control", "max-age=300"), ("age", "100")], 200),
            (&[("cache-control", "max-age=300"), ("age", "400")], 1),
            (&[("cache-control", "max-age=300, no-cache")], 1),
            (&[("cache-control", "max-age=99999999")], 604_800),
            (
                &[("date", date), ("expires", "Thu, 26 Nov 2026 10:02:00 GMT")],
                120,
            ),
            (&[("date", date), ("expires", "0")], 60),
            (&[("cache-control", "max-age=x")], 60),
            (&[("cache-control", "max-age=\"")], 60),
            (&[], 60),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(freshness(&map), Duration::from_secs(seconds), "{fields:?}");
        }
    }
}
