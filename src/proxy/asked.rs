//! A request's head, as either protocol's front has read it.

use httparse::Header;

/// What a client asks for. HTTP/1.1 and HTTP/2 both come down to this, so that whatever is decided of a request is decided
/// in one place, by [`plan`](super::plan::plan()).
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The method as sent; GET where an extended CONNECT asks for a WebSocket, as HTTP/1.1 does (RFC 8441 §5).
    pub(super) method: &'a str,
    /// Path and query as sent, or `*`.
    pub(super) target: &'a str,
    /// The authority that the request is for: `:authority`, that of an absolute target, or `Host`.
    pub(super) host: Option<&'a str>,
    /// The connection is ours over TLS.
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
    /// So many bytes.
    Length(u64),
    /// It says so itself when it ends: chunked to the app.
    Chunked,
}
