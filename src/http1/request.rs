//! A request's head (RFC 9112 §3) and how its body is framed (§6.3).

use httparse::{Header, Status};

use crate::field;

use super::{
    body::Body,
    chunked::Chunked,
    head::{FieldSlots, Version, content_length},
};

/// A request head with exactly one possible interpretation.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// The method, as sent.
    pub method: &'b str,
    /// Path and query, as sent; `*` for an `OPTIONS` of the whole server.
    pub target: &'b str,
    /// The authority of an absolute-form target, else the value of `Host` (RFC 9112 §3.2.2). None in HTTP/1.0
    /// without `Host`.
    pub host: Option<&'b str>,
    /// The version.
    pub version: Version,
    /// All field lines.
    pub fields: &'h [Header<'b>],
    /// How the body is framed.
    pub body: Body,
    /// The client sent `Expect: 100-continue` (RFC 9110 §10.1.1); always false in HTTP/1.0.
    pub expects_continue: bool,
    /// The head's length in bytes, including the empty line.
    pub len: usize,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The head is not HTTP/1.
    #[error("the request head is malformed")]
    Malformed,
    /// More field lines than [`MAX_FIELDS`](super::MAX_FIELDS), or more bytes than `max_head_bytes`.
    #[error("the request head is too large")]
    TooLarge,
    /// A version other than 1.0 and 1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// No `Host`, several of them, or one that is no authority (RFC 9112 §3.2).
    #[error("the request needs exactly one valid Host")]
    Host,
    /// The target has none of the forms of RFC 9112 §3.2.
    #[error("the request target is malformed")]
    Target,
    /// Parsers could disagree about where the body ends (RFC 9112 §6.3).
    #[error("the request's length is ambiguous or malformed")]
    Framing,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    #[error("the transfer coding is not supported")]
    Coding,
    /// `CONNECT`: this is a gateway and offers no tunnels.
    #[error("CONNECT is not offered here")]
    Connect,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation is not supported")]
    Expectation,
}

impl Refusal {
    /// The status of the response.
    pub fn status(self) -> u16 {
        match self {
            Refusal::Malformed | Refusal::Host | Refusal::Target | Refusal::Framing => 400,
            Refusal::TooLarge => 431,
            Refusal::Version => 505,
            Refusal::Coding => 501,
            Refusal::Connect => 405,
            Refusal::Expectation => 417,
        }
    }
}

/// Where the head in `bytes` ends: just after the first empty line. The search starts at `from`, so a head
/// that arrives byte by byte is searched only once.
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    for at in memchr::memchr_iter(b'\n', bytes.get(from..)?) {
        let rest = &bytes[from + at + 1..];
        if rest.starts_with(b"\n") {
            return Some(from + at + 2);
        }
        if rest.starts_with(b"\r\n") {
            return Some(from + at + 3);
        }
    }
    None
}

/// What a request asks for that is understood and not offered, in any version of HTTP.
pub fn not_offered(method: &str, fields: &[Header<'_>]) -> Option<Refusal> {
    if method == "CONNECT" {
        return Some(Refusal::Connect);
    }
    fields
        .iter()
        .any(|f| f.name.len() == 6 && f.name.eq_ignore_ascii_case("expect") && !is_continue(f.value))
        .then_some(Refusal::Expectation)
}

/// The one expectation there is (RFC 9110 §10.1.1).
fn is_continue(value: &[u8]) -> bool {
    field::trim(value).eq_ignore_ascii_case(b"100-continue")
}

/// Whether a method is idempotent (RFC 9110 §9.2.2), so that a request may be sent again if it got no
/// response.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Parses a head. `Ok(None)`: more bytes are needed.
///
/// # Errors
/// A [`Refusal`] where the bytes are no request, or one that two parsers could understand differently.
pub fn parse_request<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut FieldSlots<'b>,
) -> Result<Option<RequestHead<'h, 'b>>, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(httparse::Error::Version) => return other_version(bytes).map_or(Ok(None), Err),
        Err(_) => return Err(Refusal::Malformed),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::Malformed);
    };
    // httparse accepts a bare LF as a line's end; other parsers do not (RFC 9112 §2.2).
    if memchr::memchr_iter(b'\n', &bytes[..len]).any(|at| at == 0 || bytes[at - 1] != b'\r') {
        return Err(Refusal::Malformed);
    }
    let version = if version == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let fields: &'h [Header<'b>] = parsed.headers;
    let framing = FramingFields::read(fields)?;
    let (authority, target) = split_target(method, target)?;
    let host = match (framing.hosts, framing.host) {
        (0, _) if version == Version::Http10 => None,
        (1, Some(host)) => Some(host),
        _ => return Err(Refusal::Host),
    };
    let body = framing.body(version)?;
    Ok(Some(RequestHead {
        method,
        target,
        host: authority.or(host),
        version,
        fields,
        body,
        expects_continue: framing.expects_continue && version == Version::Http11,
        len,
    }))
}

/// The refusal of a request line whose version the parser does not know: [`Refusal::Version`] if its third
/// and last part is another version of HTTP, else [`Refusal::Malformed`]. `None` until the line is complete,
/// so that the answer does not depend on how the bytes were split.
fn other_version(bytes: &[u8]) -> Option<Refusal> {
    let is_end = |b: &u8| matches!(b, b'\r' | b'\n');
    let start = bytes.iter().position(|b| !is_end(b))?;
    let line = &bytes[start..];
    let line = &line[..line.iter().position(is_end)?];
    let mut parts = line.split(|b| *b == b' ').skip(2);
    let is_version = matches!(
        parts.next(),
        Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
    );
    Some(if is_version && parts.next().is_none() {
        Refusal::Version
    } else {
        Refusal::Malformed
    })
}

/// The fields that decide how the message is parsed.
#[derive(Default)]
struct FramingFields<'b> {
    hosts: usize,
    host: Option<&'b str>,
    length: Option<u64>,
    chunked: bool,
    expects_continue: bool,
}

impl<'b> FramingFields<'b> {
    fn read(fields: &[Header<'b>]) -> Result<Self, Refusal> {
        let mut found = FramingFields::default();
        let mut coded = false;
        for f in fields {
            match f.name.len() {
                4 if f.name.eq_ignore_ascii_case("host") => {
                    found.hosts += 1;
                    let value = std::str::from_utf8(f.value)
                        .ok()
                        .map(|v| v.trim_matches([' ', '\t']))
                        .filter(|v| is_authority(v));
                    found.host = Some(value.ok_or(Refusal::Host)?);
                }
                6 if f.name.eq_ignore_ascii_case("expect") => {
                    found.expects_continue |= is_continue(f.value);
                }
                14 if field::folds_to(f.name, "content-length") => {
                    // Of two lines, a list or another spelling, one parser takes the first value and one the
                    // last.
                    let length = content_length(field::trim(f.value)).ok_or(Refusal::Framing)?;
                    if found.length.replace(length).is_some() || f.name.contains('_') {
                        return Err(Refusal::Framing);
                    }
                }
                17 if field::folds_to(f.name, "transfer-encoding") => {
                    if coded || f.name.contains('_') {
                        return Err(Refusal::Framing);
                    }
                    coded = true;
                    found.chunked = match field::trim(f.value) {
                        v if v.eq_ignore_ascii_case(b"chunked") => true,
                        v if ends_in_chunked(v) => return Err(Refusal::Coding),
                        _ => return Err(Refusal::Framing),
                    };
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The framing by RFC 9112 §6.3; whatever that section calls ambiguous is refused.
    fn body(&self, version: Version) -> Result<Body, Refusal> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::Framing),
            (true, None) if version == Version::Http10 => Err(Refusal::Framing),
            (true, None) => Ok(Body::Chunked(Chunked::default())),
            (false, Some(0) | None) => Ok(Body::Done),
            (false, Some(length)) => Ok(Body::Length(length)),
        }
    }
}

/// Whether a list of codings ends in `chunked` and has it only once.
fn ends_in_chunked(value: &[u8]) -> bool {
    let mut codings = value.rsplit(|b| *b == b',').map(field::trim);
    codings
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"))
        && codings.all(|c| !c.is_empty() && c.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'))
}

/// Splits a target into the authority, which only absolute-form has, and path with query (RFC 9112 §3.2).
fn split_target<'b>(method: &str, target: &'b str) -> Result<(Option<&'b str>, &'b str), Refusal> {
    if method == "CONNECT" {
        let authority = Some(target).filter(|t| !t.is_empty() && is_authority(t));
        return Ok((authority, authority.ok_or(Refusal::Target)?));
    }
    if target.starts_with('/') {
        return Ok((None, target));
    }
    if target == "*" && method == "OPTIONS" {
        return Ok((None, target));
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .ok_or(Refusal::Target)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || !is_authority(authority) {
        return Err(Refusal::Target);
    }
    match path {
        "" if method == "OPTIONS" => Ok((Some(authority), "*")),
        "" => Ok((Some(authority), "/")),
        path if path.starts_with('/') => Ok((Some(authority), path)),
        // `http://host?query`: rare, and adding the missing slash would need a copy.
        _ => Err(Refusal::Target),
    }
}

/// Whether a text is a host with an optional port (RFC 3986 §3.2.2–3), without user information. It may be
/// empty (RFC 9110 §7.2).
pub fn is_authority(value: &str) -> bool {
    value.bytes().all(|b| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'.' | b'-'
                    | b':'
                    | b'_'
                    | b'['
                    | b']'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            )
    })
}
