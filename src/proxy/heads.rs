//! Writes the two heads: the request's for the app, and the response's for the client.

use base64::Engine;
use httparse::Header;

use super::{
    asked::{Asked, Framing},
    errors::reason_phrase,
    settings::Upstream,
};
use crate::{
    client,
    headers::{self, ConnectionOptions, HeadChange},
    http1::ResponseHead,
    tracker::{DedicatedAnswer, inject::PageRequest},
};

/// Who asks, as far as that is known.
pub(super) struct Requester<'a> {
    pub(super) peer: client::Peer,
    pub(super) resolved: &'a client::ResolvedClient,
    /// What this connection shows of scheme and host.
    pub(super) arrived: &'a client::Visible<'a>,
    /// What the client saw.
    pub(super) visible: &'a client::Visible<'a>,
}

/// Writes the head that the app gets. Returns whether it asks to switch protocols. `upstream` is the host if
/// the client named none, as HTTP/1.0 allows. `page`: its response may get the tracker script.
pub(super) fn write_request(
    settings: &client::Settings,
    upstream: &Upstream,
    requester: &Requester<'_>,
    asked: &Asked<'_>,
    connection: &ConnectionOptions<'_>,
    page: Option<&PageRequest>,
    out: &mut Vec<u8>,
) -> bool {
    line(
        out,
        &[
            asked.method.as_bytes(),
            b" ",
            asked.target.as_bytes(),
            b" HTTP/1.1",
        ],
    );
    match asked.host {
        Some(host) => line(out, &[b"Host: ", host.as_bytes()]),
        None => line(out, &[b"Host: ", upstream.authority().as_bytes()]),
    }
    let skip = |name: &str| {
        name.eq_ignore_ascii_case("host")
            || (asked.websocket && name.eq_ignore_ascii_case("sec-websocket-key"))
            || page.is_some_and(|page| page.replaces(name))
            || client::is_forwarding(settings, requester.resolved, name)
    };
    headers::to_app(asked.fields, connection, skip, out);
    for field in page.into_iter().flat_map(PageRequest::replacements) {
        line(out, &[field.name.as_bytes(), b": ", field.value]);
    }
    client::forward(
        settings,
        requester.resolved,
        requester.peer,
        asked.fields,
        requester.arrived,
        requester.visible,
        &mut |name, value| {
            line(out, &[name.as_bytes(), b": ", value]);
        },
    );
    match asked.framing {
        Framing::Length(n) => line(
            out,
            &[b"Content-Length: ", itoa::Buffer::new().format(n).as_bytes()],
        ),
        Framing::Chunked => line(out, &[b"Transfer-Encoding: chunked"]),
        // RFC 9110 §8.6: a method that usually has a body says that there is none.
        Framing::None if matches!(asked.method, "POST" | "PUT" | "PATCH") => {
            line(out, &[b"Content-Length: 0"]);
        }
        Framing::None => {}
    }
    if asked.expects_continue && asked.framing != Framing::None {
        line(out, &[b"Expect: 100-continue"]);
    }
    let upgrade = if asked.websocket {
        write_websocket(out);
        true
    } else {
        asked.version == http::Version::HTTP_11 && connection.upgrade() && write_upgrade(asked.fields, out)
    };
    if !upgrade && headers::accepts_trailers(asked.fields) {
        line(out, &[b"TE: trailers\r\nConnection: TE"]);
    }
    out.extend_from_slice(b"\r\n");
    upgrade
}

/// Writes what a request's record needs to know of its head where the app gets none: the request line and
/// `Host`.
pub(super) fn write_start(asked: &Asked<'_>, out: &mut Vec<u8>) {
    let target = asked.target.as_bytes();
    line(out, &[asked.method.as_bytes(), b" ", target, b" HTTP/1.1"]);
    line(out, &[b"Host: ", asked.host.unwrap_or_default().as_bytes()]);
}

/// Passes on the protocols that the client offers to switch to, except other versions of HTTP: `h2c` would
/// carry requests past every rule here (RFC 9113 §3.1 has dropped it). A server may ignore `Upgrade` (RFC
/// 9110 §7.8), so the request is then served without it.
fn write_upgrade(fields: &[Header<'_>], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for f in fields.iter().filter(|f| f.name.eq_ignore_ascii_case("upgrade")) {
        for protocol in f.value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            let is_http = protocol.eq_ignore_ascii_case(b"h2c")
                || protocol.eq_ignore_ascii_case(b"h2")
                || protocol.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"http"));
            if !is_http && !protocol.is_empty() {
                out.extend_from_slice(if out.len() == start {
                    b"Connection: upgrade\r\nUpgrade: "
                } else {
                    b", "
                });
                out.extend_from_slice(protocol);
            }
        }
    }
    if out.len() == start {
        return false;
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// Asks for a WebSocket as HTTP/1.1 does (RFC 6455 §4.1). HTTP/2 has no `Sec-WebSocket-Key`, so the key is
/// ours.
fn write_websocket(out: &mut Vec<u8>) {
    let nonce = fastrand::u128(..).to_le_bytes();
    let key = base64::engine::general_purpose::STANDARD.encode(nonce);
    line(
        out,
        &[
            b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ",
            key.as_bytes(),
        ],
    );
}

/// How an HTTP/1.1 client reads where the response's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    /// By `Content-Length`, or there is no body.
    Length,
    /// In chunks.
    Chunked,
    /// By the connection's end.
    Close,
}

/// Writes the head that an HTTP/1.x client gets, `change`d. `close`: the connection ends with this response;
/// `http10`: the client speaks HTTP/1.0, and closes unless it is told otherwise.
pub(super) fn write_response(
    head: &ResponseHead<'_, '_>,
    change: HeadChange,
    framing: ResponseFraming,
    close: bool,
    http10: bool,
    out: &mut Vec<u8>,
) {
    write_status(head, out);
    headers::to_client(head.fields, &ConnectionOptions::read(head.fields), change, out);
    match (
        framing,
        head.content_length.filter(|_| change == HeadChange::None),
    ) {
        (ResponseFraming::Chunked, _) => line(out, &[b"Transfer-Encoding: chunked"]),
        (_, Some(length)) => line(
            out,
            &[b"Content-Length: ", itoa::Buffer::new().format(length).as_bytes()],
        ),
        _ => {}
    }
    if close {
        line(out, &[b"Connection: close"]);
    } else if http10 {
        line(out, &[b"Connection: keep-alive"]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an answer of gatecount's own. `close`: the connection ends with it.
pub(super) fn write_own(answer: &DedicatedAnswer, close: bool, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let status = digits.format(answer.status).as_bytes();
    line(
        out,
        &[
            b"HTTP/1.1 ",
            status,
            b" ",
            reason_phrase(answer.status).as_bytes(),
        ],
    );
    for (name, value) in &answer.fields {
        line(out, &[name.as_bytes(), b": ", value.as_bytes()]);
    }
    if let Some(length) = answer.length() {
        line(
            out,
            &[b"Content-Length: ", itoa::Buffer::new().format(length).as_bytes()],
        );
    }
    if close {
        line(out, &[b"Connection: close"]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a 1xx for an HTTP/1.1 client: interim ones have fields and no framing; 101 names the protocol.
pub(super) fn write_interim(head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    write_status(head, out);
    headers::to_client(
        head.fields,
        &ConnectionOptions::read(head.fields),
        HeadChange::None,
        out,
    );
    if head.status == 101 {
        line(out, &[b"Connection: upgrade"]);
        for f in head
            .fields
            .iter()
            .filter(|f| f.name.eq_ignore_ascii_case("upgrade"))
        {
            line(out, &[b"Upgrade: ", f.value]);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status(head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let status = digits.format(head.status).as_bytes();
    line(out, &[b"HTTP/1.1 ", status, b" ", head.reason.as_bytes()]);
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}
