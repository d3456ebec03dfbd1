//! Which fields of a message go on, and which end here.
//!
//! Pure: field lists in, lines out. The codec writes framing, `Connection`, `Upgrade` for a tunnel, `TE: trailers`
//! and `Expect` by itself; none of them is copied. What replaces the forwarding headers comes from elsewhere: the
//! caller says which names to skip.
//!
//! Names are compared as an app behind CGI or WSGI would: without case, `_` being `-` (RFC 3875 §4.1.18), so that
//! `Transfer_Encoding` does not slip through as a field of no meaning.

mod connection;
mod names;

use httparse::Header;

pub use connection::Connection;
pub use names::{is_hop_by_hop, may_be_trailer};

/// Appends the lines of a request that go on to the app, names as sent: no hop-by-hop field, none that `Connection`
/// takes out, no framing, no `Expect`, no `Gatecount-*`, and none that `skip` speaks for.
pub fn to_app(
    fields: &[Header<'_>],
    connection: &Connection<'_>,
    skip: impl Fn(&str) -> bool,
    out: &mut Vec<u8>,
) {
    for field in fields {
        let ends_here = names::ends_here(field.name) || names::is_expect(field.name);
        if !ends_here && !connection.removes(field.name) && !skip(field.name) {
            write(field, out);
        }
    }
}

/// Appends the lines of a response that go back to the client, names as sent: no hop-by-hop field, none that
/// `Connection` takes out, no framing, no `Gatecount-*`.
pub fn to_client(fields: &[Header<'_>], connection: &Connection<'_>, out: &mut Vec<u8>) {
    for field in fields {
        if !names::ends_here(field.name) && !connection.removes(field.name) {
            write(field, out);
        }
    }
}

/// Whether `TE` says that trailers are understood (RFC 9110 §10.1.4); the one thing of that field that concerns the
/// next hop as well.
pub fn accepts_trailers(fields: &[Header<'_>]) -> bool {
    fields
        .iter()
        .filter(|f| f.name.len() == 2 && f.name.eq_ignore_ascii_case("te"))
        .any(|f| {
            f.value
                .split(|b| *b == b',')
                .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        })
}

/// One line. Whoever parsed it let no line break in.
fn write(field: &Header<'_>, out: &mut Vec<u8>) {
    debug_assert!(
        !field.value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)),
        "{field:?}"
    );
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(field.value);
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
            &Connection::read(&fields),
            |name| name == "skipped",
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    fn client(lines: &[(&str, &str)]) -> String {
        let fields = fields(lines);
        let mut out = Vec::new();
        to_client(&fields, &Connection::read(&fields), &mut out);
        String::from_utf8(out).unwrap()
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
