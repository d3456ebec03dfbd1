//! The HTTP/1.1 codec (RFC 9112): heads, body framing, the chunked coding. It is built on `httparse` and used
//! towards clients and the app. No I/O: it parses slices and writes to buffers.
//!
//! It is strict where two parsers could disagree about one stream: exactly one `Host`, one way of framing,
//! and only CRLF ends a line (a bare LF ends a line only in a response's head, as RFC 9112 §2.2 allows). What
//! is passed on is written anew from the parsed message, so the next parser sees the message that this one
//! saw.

mod body;
mod chunked;
mod head;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub use body::{Body, BodyStep, for_each_trailer, write_chunk, write_last_chunk};
pub use chunked::{Chunked, ChunkedError, Piece};
pub use head::{FieldSlots, MAX_FIELDS, Version, field_slots};
pub use request::{Refusal, RequestHead, head_end, is_authority, is_idempotent, not_offered, parse_request};
pub use response::{BadResponse, ResponseHead, parse_response};
