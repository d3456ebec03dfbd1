//! Whether a page's body can be rewritten on its way: its status, type, charset and coding.

use encoding_rs::{Encoding, UTF_8};
use httparse::Header;

use crate::{field, headers};

/// A body that can be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritable {
    /// How it is coded.
    pub coding: ContentCoding,
    /// The charset that its type names, else UTF-8: which one is of no concern, as long as every ASCII
    /// character is one byte in it.
    pub charset: &'static Encoding,
}

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, and without its frame as some servers send it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// How to read a response's body, if it may and can be rewritten. `None`: it goes on as it came.
pub fn rewritable(status: u16, fields: &[Header<'_>]) -> Option<Rewritable> {
    if status != 200 || headers::forbids_transform(fields) {
        return None;
    }
    Some(Rewritable {
        charset: charset(fields)?,
        coding: content_coding(fields)?,
    })
}

/// The charset of `text/html`. `None`: another type, a charset that nobody knows, or one in which ASCII looks
/// different, such as UTF-16.
fn charset(fields: &[Header<'_>]) -> Option<&'static Encoding> {
    let mut types = field::lines(fields, "content-type");
    let kind = types.next().filter(|_| types.next().is_none())?;
    let mut parts = kind.split(|b| *b == b';').map(field::trim);
    if !parts.next()?.eq_ignore_ascii_case(b"text/html") {
        return None;
    }
    let label = parts.find_map(|parameter| {
        let (name, value) = parameter.split_at(parameter.iter().position(|b| *b == b'=')?);
        let is_charset = field::trim(name).eq_ignore_ascii_case(b"charset");
        is_charset.then(|| field::trim(&value[1..]))
    });
    let Some(label) = label else { return Some(UTF_8) };
    let label = label
        .strip_prefix(b"\"")
        .and_then(|label| label.strip_suffix(b"\""))
        .unwrap_or(label);
    Encoding::for_label(label).filter(|encoding| encoding.is_ascii_compatible())
}

/// The one coding of a response's body, if it is known.
pub fn content_coding(fields: &[Header<'_>]) -> Option<ContentCoding> {
    let mut codings =
        field::list(fields, "content-encoding").filter(|c| !c.eq_ignore_ascii_case(b"identity"));
    let Some(coding) = codings.next() else {
        return Some(ContentCoding::Identity);
    };
    if codings.next().is_some() {
        return None;
    }
    let known: [(&[u8], ContentCoding); 5] = [
        (b"gzip", ContentCoding::Gzip),
        (b"x-gzip", ContentCoding::Gzip),
        (b"deflate", ContentCoding::Deflate),
        (b"br", ContentCoding::Brotli),
        (b"zstd", ContentCoding::Zstd),
    ];
    let known = known.iter().find(|(name, _)| coding.eq_ignore_ascii_case(name));
    known.map(|(_, coding)| *coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, lines: &[(&'static str, &'static str)]) -> Option<(ContentCoding, &'static str)> {
        let line = |(name, value): &(&'static str, &'static str)| Header {
            name,
            value: value.as_bytes(),
        };
        let fields: Vec<_> = lines.iter().map(line).collect();
        let found = rewritable(status, &fields)?;
        Some((found.coding, found.charset.name()))
    }

    #[test]
    fn html_in_a_charset_that_has_ascii_can_be_rewritten() {
        for (kind, charset) in [
            ("text/html", Some("UTF-8")),
            ("Text/HTML;charset=UTF-8", Some("UTF-8")),
            ("text/html; a=b; Charset=\"latin1\"", Some("windows-1252")),
            ("text/html; charset=shift_jis", Some("Shift_JIS")),
            ("text/html; charset=utf-16", None),
            ("text/html; charset=utf-16le", None),
            ("text/html; charset=iso-2022-jp", None),
            ("text/html; charset=hz-gb-2312", None),
            ("text/html; charset=utf-7", None),
            ("text/html; charset=", None),
            ("application/xhtml+xml; charset=utf-8", None),
            ("text/plain", None),
        ] {
            let read = read(200, &[("Content-Type", kind)]);
            assert_eq!(read.map(|(_, charset)| charset), charset, "{kind}");
        }
        assert_eq!(read(200, &[]), None);
        let two = [("Content-Type", "text/html"), ("content-type", "text/html")];
        assert_eq!(read(200, &two), None);
    }

    #[test]
    fn a_body_of_one_known_coding_can_be_rewritten() {
        use ContentCoding::{Brotli, Deflate, Gzip, Identity, Zstd};
        for (coding, expected) in [
            ("identity", Some(Identity)),
            ("gzip", Some(Gzip)),
            ("X-GZip", Some(Gzip)),
            ("identity, deflate", Some(Deflate)),
            ("br", Some(Brotli)),
            ("zstd", Some(Zstd)),
            ("gzip, br", None),
            ("dcb", None),
            ("compress", None),
        ] {
            let read = read(
                200,
                &[("Content-Type", "text/html"), ("Content-Encoding", coding)],
            );
            assert_eq!(read.map(|(coding, _)| coding), expected, "{coding}");
        }
    }

    #[test]
    fn only_a_200_that_may_be_changed_is() {
        let page = ("Content-Type", "text/html");
        for status in [201, 203, 206, 304, 404, 500] {
            assert_eq!(read(status, &[page]), None, "{status}");
        }
        assert_eq!(
            read(200, &[page, ("Cache-Control", "public, no-transform")]),
            None
        );
        assert!(read(200, &[page, ("Cache-Control", "public")]).is_some());
    }
}
