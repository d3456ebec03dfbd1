//! What becomes of the fields of a response whose body is rewritten on its way.
//!
//! A HEAD's response and a 304 speak of the same representation, so their fields change in the same way (RFC
//! 9110 §9.3.2, §15.4.5).

use httparse::Header;

use crate::field;

use super::entity_tag;

/// What becomes of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFate {
    /// It goes on as it came.
    Kept,
    /// It says something of the body's bytes that holds no more.
    Dropped,
    /// It is a strong entity tag, and becomes weak by `W/` before it: the page means the same, and its bytes
    /// differ (RFC 9110 §8.8.1).
    Weakened,
}

/// Whose fields they are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum HeadChange {
    /// Of a response that goes on as it came.
    #[default]
    None,
    /// Of a response whose body is rewritten, or of a HEAD's to the same page.
    Body,
    /// Of a 304 that says that a rewritten page is still good.
    NotModified,
}

impl HeadChange {
    /// What becomes of a field. `Content-Length` is no concern of this: the proxy writes its own.
    #[inline]
    pub fn fate(self, line: &Header<'_>) -> FieldFate {
        if self == HeadChange::None {
            return FieldFate::Kept;
        }
        match line.name.len() {
            4 if line.name.eq_ignore_ascii_case("etag") => {
                if entity_tag::is_strong(field::trim(line.value)) {
                    FieldFate::Weakened
                } else {
                    FieldFate::Kept
                }
            }
            // A part of the app's bytes is no part of the page that the client has.
            13 if line.name.eq_ignore_ascii_case("accept-ranges") => FieldFate::Dropped,
            _ if is_digest(line.name) => FieldFate::Dropped,
            _ => FieldFate::Kept,
        }
    }

    /// Whether a field may be passed on in the trailer section, beside the rules for all trailers.
    pub fn may_be_trailer(self, name: &str) -> bool {
        self != HeadChange::Body || !(is_digest(name) || name.eq_ignore_ascii_case("etag"))
    }
}

/// Whether a field has a checksum of the body (RFC 9530, RFC 3230, RFC 1864).
fn is_digest(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        6 => is("digest"),
        11 => is("content-md5") || is("repr-digest"),
        14 => is("content-digest"),
        _ => false,
    }
}

/// Whether `Cache-Control` forbids intermediaries to change the content (RFC 9111 §5.2.1.6, §5.2.2.6).
pub fn forbids_transform(fields: &[Header<'_>]) -> bool {
    field::list(fields, "cache-control").any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(change: HeadChange, name: &str, value: &str) -> FieldFate {
        change.fate(&Header {
            name,
            value: value.as_bytes(),
        })
    }

    #[test]
    fn what_speaks_of_the_bytes_does_not_outlive_them() {
        for (name, value, expected) in [
            ("ETag", "\"a\"", FieldFate::Weakened),
            ("etag", " \"a\" ", FieldFate::Weakened),
            ("ETag", "W/\"a\"", FieldFate::Kept),
            ("ETag", "unquoted", FieldFate::Kept),
            ("Accept-Ranges", "bytes", FieldFate::Dropped),
            ("Content-MD5", "x", FieldFate::Dropped),
            ("Digest", "x", FieldFate::Dropped),
            ("repr-digest", "x", FieldFate::Dropped),
            ("Content-Digest", "x", FieldFate::Dropped),
            ("Want-Digest", "x", FieldFate::Kept),
            ("Last-Modified", "x", FieldFate::Kept),
            ("Content-Encoding", "gzip", FieldFate::Kept),
        ] {
            assert_eq!(fate(HeadChange::Body, name, value), expected, "{name}");
            assert_eq!(fate(HeadChange::NotModified, name, value), expected, "{name}");
            assert_eq!(fate(HeadChange::None, name, value), FieldFate::Kept, "{name}");
        }
        for (name, passes) in [("Digest", false), ("ETag", false), ("Server-Timing", true)] {
            assert_eq!(HeadChange::Body.may_be_trailer(name), passes, "{name}");
            assert!(HeadChange::None.may_be_trailer(name));
        }
    }

    #[test]
    fn no_transform_is_found_on_any_line() {
        let lines = |values: &'static [&'static str]| -> Vec<Header<'static>> {
            let line = |value: &&'static str| Header {
                name: "Cache-Control",
                value: value.as_bytes(),
            };
            values.iter().map(line).collect()
        };
        assert!(forbids_transform(&lines(&[
            "public",
            "max-age=60 , No-Transform"
        ])));
        assert!(!forbids_transform(&lines(&["public, x-no-transform"])));
    }
}
