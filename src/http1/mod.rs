//! HTTP/1.1 on the wire (RFC 9112): heads, body framing, the chunked coding. Used towards clients and towards the app
//! alike, on top of `httparse`. No I/O: bytes come in as slices, bytes go out into buffers.
//!
//! Strict where two readers of one stream could disagree: one `Host`, one way of framing, CRLF alone ends a line (of a
//! response's head LF alone does too, as RFC 9112 §2.2 allows). What is passed on is written afresh from what was
//! understood, never copied as it came, so that the next reader sees the message that this one saw.

mod body;
mod chunked;
mod request;
mod response;

pub use body::{Body, Step, write_chunk, write_last_chunk};
pub use chunked::{Chunked, ChunkedError, Piece};
pub use request::{Refusal, RequestHead, head_end, is_idempotent, not_offered, parse_request};
pub use response::{BadResponse, ResponseHead, parse_response};

/// Field lines in one head; more are refused. Bounds the parser's array, as `max_head_bytes` bounds the bytes.
pub const MAX_FIELDS: usize = 128;

/// The array that a head's field lines are parsed into.
pub type FieldSlots<'b> = [std::mem::MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

/// Fresh slots for one head.
pub fn field_slots<'b>() -> FieldSlots<'b> {
    [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS]
}

/// The protocol version of a message (RFC 9112 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: closes by default, knows no chunked coding.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Whether a field name is `name` (lower case), in any case and with `_` for `-`: gateways that hand fields on as
/// environment variables (RFC 3875 §4.1.18) read both spellings as one.
fn is_spelled(name: &str, lower: &str) -> bool {
    name.len() == lower.len()
        && name
            .bytes()
            .zip(lower.bytes())
            .all(|(a, b)| a.to_ascii_lowercase() == b || (a == b'_' && b == b'-'))
}

/// A `Content-Length` value: digits alone (RFC 9110 §8.6), in 64 bits.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}
