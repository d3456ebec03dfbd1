//! §8: requests as HTTP/2 writes them; RFC 7541: their fields, compressed.

use super::{
    super::frames::{
        COMPRESSION_ERROR, DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, block, field, frame, get,
        headers, integer, post, request,
    },
    Case,
    Reaction::{Answer, ConnectionError, Malformed, StreamError},
    assert_conforms,
};

/// A GET with further fields.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    request(1, &[get("/"), block(fields)].concat())
}

/// Malformed requests, each by its fields.
fn malformed<'a>(cases: &[(&'static str, &'a [(&'a str, &'a str)])]) -> Vec<Case> {
    cases
        .iter()
        .map(|(name, fields)| (*name, request(1, &block(fields)), Malformed(1)))
        .collect()
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "example.com");
const PATH: (&str, &str) = (":path", "/");

#[test]
fn section_8_1_a_request_is_a_head_a_body_and_trailers() {
    assert_conforms(|| {
        let open = headers(1, &post("/"));
        let body = frame(DATA, 0, 1, b"body");
        vec![
            (
                "§8.1 trailers",
                [open.clone(), body.clone(), request(1, &field("x", "y"))].concat(),
                Answer(1, 200),
            ),
            (
                "§8.1 a second head that does not end the stream",
                [open.clone(), body.clone(), headers(1, &field("x", "y"))].concat(),
                StreamError(1, &[PROTOCOL_ERROR]),
            ),
            // A deviation: h2 takes the request and drops such a field, which so reaches nobody.
            (
                "§8.1 a pseudo field among the trailers",
                [open, body, request(1, &block(&[METHOD]))].concat(),
                Answer(1, 200),
            ),
        ]
    });
}

#[test]
fn section_8_1_1_a_body_is_as_long_as_its_length_says() {
    assert_conforms(|| {
        let open = headers(1, &[post("/"), field("content-length", "4")].concat());
        let data = |flags, text: &str| frame(DATA, flags, 1, text.as_bytes());
        vec![
            (
                "§8.1.1 just so long",
                [open.clone(), data(0, "bo"), data(END_STREAM, "dy")].concat(),
                Answer(1, 200),
            ),
            (
                "§8.1.1 shorter",
                [open.clone(), data(END_STREAM, "bod")].concat(),
                Malformed(1),
            ),
            (
                "§8.1.1 longer",
                [open.clone(), data(END_STREAM, "body!")].concat(),
                Malformed(1),
            ),
            (
                "§8.1.1 longer in pieces",
                [open, data(0, "body"), data(END_STREAM, "!")].concat(),
                Malformed(1),
            ),
            (
                "§8.1.1 a length and no body",
                request(1, &[post("/"), field("content-length", "4")].concat()),
                Malformed(1),
            ),
            (
                "§8.1.1 a length that is none",
                request(1, &[post("/"), field("content-length", "4x")].concat()),
                Malformed(1),
            ),
            (
                "§8.1.1 two lengths",
                [
                    headers(
                        1,
                        &[
                            post("/"),
                            block(&[("content-length", "4"), ("content-length", "5")]),
                        ]
                        .concat(),
                    ),
                    data(END_STREAM, "body"),
                ]
                .concat(),
                Malformed(1),
            ),
        ]
    });
}

#[test]
fn section_8_2_1_names_and_values_are_fields() {
    assert_conforms(|| {
        [
            ("§8.2.1 upper case", ("X-Upper", "y")),
            ("§8.2.1 a space in a name", ("x y", "z")),
            ("§8.2.1 a colon in a name", ("x:y", "z")),
            ("§8.2.1 a control in a name", ("x\u{7f}", "z")),
            ("§8.2.1 an empty name", ("", "z")),
            ("§8.2.1 NUL in a value", ("x", "y\0")),
            ("§8.2.1 LF in a value", ("x", "y\nz: a")),
            ("§8.2.1 CR in a value", ("x", "y\rz")),
        ]
        .into_iter()
        .map(|(name, field)| (name, with(&[field]), Malformed(1)))
        .chain([("§8.2.1 an ordinary field", with(&[("x", "y")]), Answer(1, 200))])
        .collect()
    });
}

#[test]
fn section_8_2_2_fields_of_a_connection_have_no_place() {
    assert_conforms(|| {
        [
            ("§8.2.2 Connection", ("connection", "close")),
            ("§8.2.2 Keep-Alive", ("keep-alive", "timeout=5")),
            ("§8.2.2 Proxy-Connection", ("proxy-connection", "close")),
            ("§8.2.2 Transfer-Encoding", ("transfer-encoding", "chunked")),
            ("§8.2.2 Upgrade", ("upgrade", "websocket")),
            ("§8.2.2 TE", ("te", "gzip")),
        ]
        .into_iter()
        .map(|(name, field)| (name, with(&[field]), Malformed(1)))
        .chain([("§8.2.2 TE: trailers", with(&[("te", "trailers")]), Answer(1, 200))])
        .collect()
    });
}

#[test]
fn section_8_3_pseudo_fields() {
    assert_conforms(|| {
        malformed(&[
            (
                "§8.3 an unknown one",
                &[METHOD, SCHEME, AUTHORITY, PATH, (":x", "y")],
            ),
            (
                "§8.3 one of a response",
                &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")],
            ),
            (
                "§8.3 behind a field",
                &[METHOD, SCHEME, ("x", "y"), AUTHORITY, PATH],
            ),
            (
                "§8.3.1 an empty path",
                &[METHOD, SCHEME, AUTHORITY, (":path", "")],
            ),
            (
                "§8.3.1 a path without a slash",
                &[METHOD, SCHEME, AUTHORITY, (":path", "x")],
            ),
            ("§8.3.1 * with GET", &[METHOD, SCHEME, AUTHORITY, (":path", "*")]),
            ("§8.3.1 no method", &[SCHEME, AUTHORITY, PATH]),
            ("§8.3.1 no scheme", &[METHOD, AUTHORITY, PATH]),
            ("§8.3.1 no path", &[METHOD, SCHEME, AUTHORITY]),
            ("§8.3.1 no host", &[METHOD, SCHEME, PATH]),
            ("§8.3.1 two methods", &[METHOD, METHOD, SCHEME, AUTHORITY, PATH]),
            ("§8.3.1 two schemes", &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH]),
            ("§8.3.1 two paths", &[METHOD, SCHEME, AUTHORITY, PATH, PATH]),
            (
                "§8.3.1 two authorities",
                &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH],
            ),
            (
                "§8.3.1 user information",
                &[METHOD, SCHEME, (":authority", "a@example.com"), PATH],
            ),
            (
                "§8.3.1 another Host",
                &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "evil.example")],
            ),
            (
                "§8.5 CONNECT with a path",
                &[(":method", "CONNECT"), SCHEME, AUTHORITY, PATH],
            ),
        ])
    });
}

#[test]
fn rfc_7541_a_block_that_cannot_be_decoded_ends_the_connection() {
    assert_conforms(|| {
        let with = |bytes: &[u8]| request(1, &[&get("/"), bytes].concat());
        let mut beyond_the_setting = Vec::new();
        integer(4097, 0x1f, 0x20, &mut beyond_the_setting);
        let error = ConnectionError(&[COMPRESSION_ERROR]);
        vec![
            ("RFC 7541 §2.3.3 an index beyond the tables", with(&[0xc6]), error),
            (
                "RFC 7541 §2.3.3 a name's index beyond the tables",
                with(&[0x7f, 0x07, 0x01, b'x']),
                error,
            ),
            (
                "RFC 7541 §4.2 a table's size behind a field",
                with(&[0x20]),
                error,
            ),
            (
                "RFC 7541 §5.2 Huffman padding of a whole octet",
                with(&[0, 0x82, 0x1f, 0xff, 0x01, b'x']),
                error,
            ),
            (
                "RFC 7541 §5.2 Huffman padding that is not ones",
                with(&[0, 0x81, 0x18, 0x01, b'x']),
                error,
            ),
            (
                "RFC 7541 §5.2 Huffman EOS",
                with(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'x']),
                error,
            ),
            ("RFC 7541 §6.1 index 0", with(&[0x80]), error),
            (
                "RFC 7541 §6.3 a table's size beyond the setting",
                request(1, &[beyond_the_setting, get("/")].concat()),
                error,
            ),
            (
                "RFC 7541 §5.1 an integer without end",
                with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
                error,
            ),
            (
                "RFC 7541 §4.2 a smaller table",
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &[&[0x20][..], &get("/")].concat(),
                ),
                Answer(1, 200),
            ),
        ]
    });
}
