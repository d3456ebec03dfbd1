//! Copies the fields that are passed on.

use httparse::Header;

use crate::field;

use super::{
    connection::ConnectionOptions,
    names,
    rewritten::{FieldFate, HeadChange},
};

/// Appends the lines of a request that are passed to the app, with their names as sent. Left out are
/// hop-by-hop fields, those that `Connection` removes, framing, `Expect`, `Gatecount-*`, and the names that
/// `skip` returns true for.
pub fn to_app(
    fields: &[Header<'_>],
    connection: &ConnectionOptions<'_>,
    skip: impl Fn(&str) -> bool,
    out: &mut Vec<u8>,
) {
    for line in fields {
        let ends_here = names::ends_here(line.name) || names::is_expect(line.name);
        if !ends_here && !connection.removes(line.name) && !skip(line.name) {
            write(line, out);
        }
    }
}

/// Appends the lines of a response that are passed to the client, with their names as sent. Left out are
/// hop-by-hop fields, those that `Connection` removes, framing and `Gatecount-*`. `change` says what becomes
/// of the others.
pub fn to_client(
    fields: &[Header<'_>],
    connection: &ConnectionOptions<'_>,
    change: HeadChange,
    out: &mut Vec<u8>,
) {
    for line in for_client(fields, connection) {
        match change.fate(line) {
            FieldFate::Kept => write(line, out),
            FieldFate::Dropped => {}
            FieldFate::Weakened => {
                for part in [line.name.as_bytes(), b": W/", field::trim(line.value), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
    }
}

/// The lines that [`to_client`] copies.
pub fn for_client<'f, 'b>(
    fields: &'f [Header<'b>],
    connection: &'f ConnectionOptions<'b>,
) -> impl Iterator<Item = &'f Header<'b>> {
    fields
        .iter()
        .filter(|line| !names::ends_here(line.name) && !connection.removes(line.name))
}

/// Whether `TE` says that the client accepts trailers (RFC 9110 §10.1.4). That is the one part of `TE` that
/// the app needs to know.
pub fn accepts_trailers(fields: &[Header<'_>]) -> bool {
    field::list(fields, "te").any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// One line. The parser has made sure that the value has no line break.
fn write(line: &Header<'_>, out: &mut Vec<u8>) {
    debug_assert!(
        !line.value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)),
        "{line:?}"
    );
    out.extend_from_slice(line.name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(line.value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(lines: &[(&'a str, &'a str)]) -> Vec<Header<'a>> {
        let field = |(name, value): &(&'a str, &'a str)| Header {
            name,
            value: value.as_bytes(),
        };
        lines.iter().map(field).collect()
    }

    fn app(lines: &[(&str, &str)]) -> String {
        let fields = fields(lines);
        let mut out = Vec::new();
        to_app(
            &fields,
            &ConnectionOptions::read(&fields),
            |name| name == "skipped",
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    fn client(lines: &[(&str, &str)]) -> String {
        let fields = fields(lines);
        let mut out = Vec::new();
        to_client(
            &fields,
            &ConnectionOptions::read(&fields),
            HeadChange::None,
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn of_a_rewritten_page_the_tag_is_weak_and_checksums_are_gone() {
        let fields = fields(&[
            ("Content-Type", "text/html"),
            ("ETag", " \"a\" "),
            ("Repr-Digest", "x"),
            ("Accept-Ranges", "bytes"),
        ]);
        let mut out = Vec::new();
        let connection = ConnectionOptions::read(&fields);
        to_client(&fields, &connection, HeadChange::Body, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Content-Type: text/html\r\nETag: W/\"a\"\r\n"
        );
    }

    #[test]
    fn what_is_for_the_app_goes_on_as_it_was_sent() {
        assert_eq!(
            app(&[
                ("Host", "example.com"),
                ("X-Odd_Name", " a\tb\u{e9} "),
                ("Cookie", "a=1"),
                ("cookie", "b=2"),
                ("Empty", ""),
                ("Trailer", "grpc-status"),
            ]),
            "Host: example.com\r\nX-Odd_Name:  a\tb\u{e9} \r\nCookie: a=1\r\ncookie: b=2\r\nEmpty: \r\nTrailer: grpc-status\r\n"
        );
    }

    #[test]
    fn what_ends_here_goes_nowhere() {
        for name in [
            "Connection",
            "keep-alive",
            "Proxy-Connection",
            "TE",
            "Transfer-Encoding",
            "transfer_encoding",
            "Upgrade",
            "HTTP2-Settings",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Content-Length",
            "CONTENT_LENGTH",
            "Gatecount-Event",
            "gatecount_page",
            "GATECOUNT-",
        ] {
            assert_eq!(app(&[(name, "x")]), "", "{name}");
            assert_eq!(client(&[(name, "x")]), "", "{name}");
        }
        assert_eq!(app(&[("Expect", "100-continue"), ("skipped", "x")]), "");
        assert_eq!(client(&[("Expect", "x")]), "Expect: x\r\n");
    }

    #[test]
    fn what_connection_names_on_any_line_is_taken_out() {
        let lines = [
            ("Connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("connection", "\tCookie ,, authorization"),
            ("Cookie", "a=1"),
            ("Authorization", "Basic x"),
            ("X-Kept", "1"),
        ];
        assert_eq!(app(&lines), "X-Kept: 1\r\n");
        assert_eq!(client(&lines), "X-Kept: 1\r\n");
    }

    #[test]
    fn connection_cannot_take_out_what_a_message_needs() {
        let lines = [
            (
                "Connection",
                "Host, Content-Type, content-encoding, Cache-Control, ETag, Date, Vary, Location",
            ),
            ("Host", "example.com"),
            ("Content-Type", "text/html"),
            ("Content-Encoding", "br"),
            ("Cache-Control", "no-store"),
            ("ETag", "x"),
        ];
        assert_eq!(app(&lines).lines().count(), 5);
        assert_eq!(client(&lines).lines().count(), 5);
    }
}
