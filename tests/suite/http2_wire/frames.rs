//! Frames (RFC 9113 §4, §6) and field blocks (RFC 7541), written byte by byte so that they can be wrong as
//! well.

/// Frame types (RFC 9113 §6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags; some frame types share a bit.
pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITIZED: u8 = 0x20;

/// Settings (RFC 9113 §6.5.2).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;

/// Error codes (RFC 9113 §7).
pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// What a client begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The number in a payload at this place.
    pub(super) fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4).expect("a number of four bytes");
        u32::from_be_bytes(bytes.try_into().expect("four bytes"))
    }

    /// Whether it ends its stream.
    pub(super) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A frame of any kind.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of_length(payload.len(), kind, flags, stream, payload)
}

/// A frame whose length is not its payload's.
pub(super) fn frame_of_length(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, mid, low] = u32::try_from(length).expect("a frame's length").to_be_bytes();
    let mut out = vec![high, mid, low, kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// SETTINGS with these values.
pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// `RST_STREAM`.
pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// `WINDOW_UPDATE`.
pub(super) fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// PRIORITY: which stream a stream depends on.
pub(super) fn priority(stream: u32, on: u32) -> Vec<u8> {
    let mut payload = on.to_be_bytes().to_vec();
    payload.push(15);
    frame(PRIORITY, 0, stream, &payload)
}

/// GOAWAY.
pub(super) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// PING.
pub(super) fn ping(data: u64) -> Vec<u8> {
    frame(PING, 0, 0, &data.to_be_bytes())
}

/// HEADERS that are complete, the stream left open.
pub(super) fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block)
}

/// HEADERS that are complete, and the stream with them.
pub(super) fn request(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
}

/// A field line, literal and never indexed (RFC 7541 §6.2.3), without Huffman coding.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x10];
    string(name, &mut out);
    string(value, &mut out);
    out
}

/// A field line that enters the dynamic table (RFC 7541 §6.2.1).
pub(super) fn indexed_field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x40];
    string(name, &mut out);
    string(value, &mut out);
    out
}

/// The field block of these lines.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// The field block of a GET.
pub(super) fn get(path: &str) -> Vec<u8> {
    block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "example.com"),
        (":path", path),
    ])
}

/// The field block of a POST.
pub(super) fn post(path: &str) -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "example.com"),
        (":path", path),
    ])
}

fn string(text: &str, out: &mut Vec<u8>) {
    integer(text.len(), 0x7f, 0, out);
    out.extend(text.as_bytes());
}

/// An integer behind a prefix whose largest value is `limit` (RFC 7541 §5.1).
pub(super) fn integer(mut value: usize, limit: usize, first: u8, out: &mut Vec<u8>) {
    if value < limit {
        out.push(first | value as u8);
        return;
    }
    out.push(first | limit as u8);
    value -= limit;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The status of a response, which its field block begins with; `None` for trailers. The block must not use
/// the dynamic table.
pub(super) fn status(block: &[u8]) -> Option<u16> {
    let block = match block {
        // The table's size.
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        other => other,
    };
    match block {
        [first @ 0x88..=0x8e, ..] => Some([200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)]),
        // A literal, its name indexed.
        [0x08 | 0x18 | 0x48, 0x03, a, b, c, ..] => std::str::from_utf8(&[*a, *b, *c])
            .ok()
            .and_then(|digits| digits.parse().ok()),
        [0x08 | 0x18 | 0x48, 0x82, a, b, ..] => three_digits(u32::from(*a) << 16 | u32::from(*b) << 8),
        [0x08 | 0x18 | 0x48, 0x83, a, b, c, ..] => {
            three_digits(u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c))
        }
        _ => None,
    }
}

/// Three digits in Huffman coding, at the top of 24 bits (RFC 7541 Appendix B): 0 to 2 have five bits, the
/// others six.
fn three_digits(mut bits: u32) -> Option<u16> {
    let mut number = 0;
    for _ in 0..3 {
        let five = (bits >> 19) & 0x1f;
        let digit = if five < 3 {
            bits <<= 5;
            five
        } else {
            let six = (bits >> 18) & 0x3f;
            bits <<= 6;
            (0x19..=0x1f).contains(&six).then(|| six - 0x19 + 3)?
        };
        number = number * 10 + digit as u16;
    }
    Some(number)
}
