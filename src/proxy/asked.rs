//! A request's head, whichever protocol it came in.

use httparse::Header;

/// What a client asks for. Both HTTP/1.1 and HTTP/2 requests become this, so every decision about a request
/// is made in one place: [`plan`](super::plan::plan()).
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The method as sent; GET where an extended CONNECT asks for a WebSocket, as HTTP/1.1 does (RFC 8441
    /// §5).
    pub(super) method: &'a str,
    /// Path and query as sent, or `*`.
    pub(super) target: &'a str,
    /// The authority that the request is for: `:authority`, that of an absolute target, or `Host`.
    pub(super) host: Option<&'a str>,
    /// The client's connection is over TLS.
    pub(super) https: bool,
    pub(super) version: http::Version,
    /// All fields, without pseudo-fields.
    pub(super) fields: &'a [Header<'a>],
    pub(super) framing: Framing,
    /// `Expect: 100-continue` (RFC 9110 §10.1.1).
    pub(super) expects_continue: bool,
    /// An extended CONNECT asks for a WebSocket (RFC 8441 §4).
    pub(super) websocket: bool,
}

/// How the end of a request's body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// The body itself says where it ends. It is sent to the app in chunks.
    Chunked,
}
