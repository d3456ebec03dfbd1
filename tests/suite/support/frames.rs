//! An HTTP/2 client frame by frame (RFC 9113 §4), for what a library's client never sends and never shows.
//! Fields are sent as literals (RFC 7541 §6.2.2); of the server's field blocks nothing is read but the status
//! where one byte says it.

use std::io;

use super::{client::Client, wire::Wire};

/// Types of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

/// The frame ends its stream; of SETTINGS and PING, it is an answer.
pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 §7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const CANCEL: u32 = 8;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Whether it is its stream's last.
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The error code of a `RST_STREAM` or a `GOAWAY`.
    #[track_caller]
    pub(crate) fn code(&self) -> u32 {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => panic!("no code in {self:?}"),
        };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The status of a response's head, where it is one of those that have a byte of their own (RFC 7541
    /// appendix A); 0 else.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        assert_eq!(self.kind, HEADERS, "no head: {self:?}");
        match self.payload.first() {
            Some(0x88) => 200,
            Some(0x89) => 204,
            Some(0x8a) => 206,
            Some(0x8b) => 304,
            Some(0x8c) => 400,
            Some(0x8d) => 404,
            Some(0x8e) => 500,
            _ => 0,
        }
    }
}

/// One connection.
pub(crate) struct Frames {
    wire: Wire,
}

impl Frames {
    /// Begins HTTP/2 on a connection, with these settings.
    #[track_caller]
    pub(crate) fn over(client: Client, settings: &[(u16, u32)]) -> Frames {
        let mut frames = Frames {
            wire: client.into_wire(),
        };
        frames
            .wire
            .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .expect("send the preface");
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        frames.send(SETTINGS, 0, 0, &payload);
        frames
    }

    /// Sends a frame.
    #[track_caller]
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).expect("send a frame");
    }

    /// Sends a frame; the server may have closed by now.
    pub(crate) fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.wire.send(&frame)
    }

    /// Sends a request's head with exactly these fields, pseudo-fields among them. `flags`: [`END_STREAM`] or
    /// none.
    #[track_caller]
    pub(crate) fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                string(text.as_bytes(), &mut block);
            }
        }
        self.send(HEADERS, flags | END_HEADERS, stream, &block);
    }

    /// Asks for a target of `example.com`.
    #[track_caller]
    pub(crate) fn get(&mut self, stream: u32, target: &str, fields: &[(&str, &str)]) {
        let pseudo = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "example.com"),
            (":path", target),
        ];
        self.head(stream, END_STREAM, &[&pseudo[..], fields].concat());
    }

    /// Lets the server send so much more on a stream, or on the connection as a whole, which is 0.
    #[track_caller]
    pub(crate) fn widen(&mut self, stream: u32, by: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    }

    /// The next frame that says something; none at the connection's end. Settings and pings are answered and
    /// skipped.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let head = match self.wire.exactly(9) {
                Ok(head) => head,
                // An end of TLS that was not said has words of its own.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && e.get_ref().is_none() => {
                    return Ok(None);
                }
                Err(e) => return Err(e),
            };
            let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b));
            let frame = Frame {
                kind: head[3],
                flags: head[4],
                stream: number(&head[5..]),
                payload: self.wire.exactly(number(&head[..3]) as usize)?,
            };
            match frame.kind {
                // The server may close without waiting for the answer.
                SETTINGS | PING if frame.flags & ACK == 0 => {
                    let payload = if frame.kind == PING {
                        frame.payload
                    } else {
                        Vec::new()
                    };
                    let _ = self.try_send(frame.kind, ACK, 0, &payload);
                }
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => return Ok(Some(frame)),
            }
        }
    }

    /// The next frame of a kind, those before it skipped.
    #[track_caller]
    pub(crate) fn until(&mut self, kind: u8) -> Frame {
        self.until_that(|frame| frame.kind == kind)
    }

    /// The next frame that pleases, those before it skipped.
    #[track_caller]
    pub(crate) fn until_that(&mut self, pleases: impl Fn(&Frame) -> bool) -> Frame {
        let mut skipped = Vec::new();
        loop {
            match self.next() {
                Ok(Some(frame)) if pleases(&frame) => return frame,
                Ok(Some(frame)) => skipped.push((frame.kind, frame.flags, frame.stream)),
                other => panic!("the frame did not come: {other:?} behind {skipped:?}"),
            }
        }
    }

    /// Reads a stream's response to its end: its status, its data, and the frame that ended it.
    #[track_caller]
    pub(crate) fn response(&mut self, stream: u32) -> (u16, Vec<u8>, Frame) {
        let (mut status, mut data) = (0, Vec::new());
        loop {
            let frame = self.until_that(|frame| frame.stream == stream);
            match frame.kind {
                HEADERS if status == 0 => status = frame.status(),
                DATA => {
                    data.extend_from_slice(&frame.payload);
                    let length = u32::try_from(frame.payload.len()).expect("a short frame");
                    if length > 0 {
                        self.widen(0, length);
                    }
                }
                _ => {}
            }
            if frame.ends_stream() || frame.kind == RST_STREAM {
                return (status, data, frame);
            }
        }
    }

    /// The connection's own bytes.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

/// A string literal without Huffman's code (RFC 7541 §5.2).
fn string(text: &[u8], out: &mut Vec<u8>) {
    if text.len() < 127 {
        out.push(text.len() as u8);
    } else {
        out.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            out.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text);
}
