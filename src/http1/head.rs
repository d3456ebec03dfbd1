//! What request heads and response heads have in common.

use std::mem::MaybeUninit;

use httparse::Header;

/// The most field lines in one head; a head with more is refused (RFC 6585 §5). `max_head_bytes` is the limit
/// that traffic meets: at its default of 64 KiB, this many lines have 128 bytes each. This one bounds the
/// parser's array, 16 KiB of stack that is not initialized.
pub const MAX_FIELDS: usize = 512;

/// The array that a head's field lines are parsed into.
pub type FieldSlots<'b> = [MaybeUninit<Header<'b>>; MAX_FIELDS];

/// Empty slots for one head.
pub fn field_slots<'b>() -> FieldSlots<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// The protocol version of a message (RFC 9112 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: connections close by default, and there is no chunked coding.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A `Content-Length` value: digits alone (RFC 9110 §8.6), in 64 bits.
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}
