//! Writes JSON text by hand: the strings of an event's body, which are nearly always plain ASCII.

use std::io::Write as _;

/// Appends a member whose value is a string. `key` is everything before the value's first character.
pub(super) fn member(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    if is_plain(value) {
        out.extend_from_slice(value);
    } else {
        escape(value, out);
    }
    out.push(b'"');
}

/// Escapes what was written since `start` as the inside of a JSON string, and closes the string.
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    if !is_plain(&out[start..]) {
        let raw = out.split_off(start);
        escape(&raw, out);
    }
    out.push(b'"');
}

/// Appends a text as the inside of a JSON string (RFC 8259 §7), without raw control characters. Invalid UTF-8
/// becomes U+FFFD.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in String::from_utf8_lossy(text).bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            // Writing to a vector does not fail.
            ..b' ' | 0x7f => drop(write!(out, "\\u{byte:04x}")),
            _ => out.push(byte),
        }
    }
}

/// Whether the text is ASCII and needs no escape. It is tested in blocks of 16, the last of which overlaps
/// the one before; byte by byte, this test would take longer than the rest of building the event.
fn is_plain(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let last = text.last_chunk::<BLOCK>().copied().unwrap_or_else(|| {
        let mut padded = [b' '; BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        padded
    });
    are_plain(&last) && blocks.iter().all(are_plain)
}

const BLOCK: usize = 16;

/// Whether a block is ASCII and needs no escape. Without branches, so that it compiles to vector
/// instructions.
fn are_plain(block: &[u8; BLOCK]) -> bool {
    let odd = |b: u8| u8::from(b < b' ') | u8::from(b >= 0x7f) | u8::from(b == b'"') | u8::from(b == b'\\');
    block.iter().fold(0, |found, byte| found | odd(*byte)) == 0
}
