//! How a body is framed (RFC 9112 §6), and reading it piece by piece.

use super::{Chunked, ChunkedError, Piece};

/// What is left of a body to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing: there was no body, or all of it was read.
    Done,
    /// So many bytes.
    Length(u64),
    /// Chunks to the last one.
    Chunked(Chunked),
    /// All bytes until the connection closes; responses alone can have it.
    UntilClose,
}

/// One step over the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes of the input that were used.
    pub used: usize,
    /// Data among them, maybe empty.
    pub data: &'a [u8],
}

impl Body {
    /// Whether no byte of it is to come.
    pub fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// Reads on. The body is done when it says so; what follows the used bytes belongs to the next message. A chunked
    /// body's trailers are appended to `trailers`, as lines, when it ends.
    ///
    /// # Errors
    /// [`ChunkedError`] where chunks are malformed.
    pub fn step<'a>(&mut self, input: &'a [u8], trailers: &mut Vec<u8>) -> Result<Step<'a>, ChunkedError> {
        match self {
            Body::Done => Ok(Step { used: 0, data: &[] }),
            Body::UntilClose => Ok(Step {
                used: input.len(),
                data: input,
            }),
            Body::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= take as u64;
                if *left == 0 {
                    *self = Body::Done;
                }
                Ok(Step {
                    used: take,
                    data: &input[..take],
                })
            }
            Body::Chunked(chunked) => {
                let (used, piece) = chunked.next(input)?;
                let data = if let Piece::Data(data) = piece { data } else { &[] };
                if chunked.is_done() {
                    trailers.extend_from_slice(chunked.trailers());
                    *self = Body::Done;
                }
                Ok(Step { used, data })
            }
        }
    }
}

/// Writes `data` as one chunk; nothing for no data, as an empty chunk would end the body.
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    write_chunk_size(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

fn write_chunk_size(size: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    for i in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(size >> (4 * i)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailer lines that `may_pass` lets through. Lines that are no fields are dropped.
pub fn write_last_chunk(trailers: &[u8], may_pass: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if !trailers.is_empty() {
        let lines = [trailers, b"\r\n"].concat();
        let mut slots = [httparse::EMPTY_HEADER; 64];
        if let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&lines, &mut slots) {
            for f in fields.iter().filter(|f| may_pass(f.name)) {
                out.extend_from_slice(f.name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(f.value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_written_are_chunks_read() {
        for size in [1, 9, 10, 15, 16, 255, 256, 4095, 4096, 65_536] {
            let data = vec![b'x'; size];
            let mut out = vec![];
            write_chunk(&data, &mut out);
            write_last_chunk(b"A: 1\r\nTransfer-Encoding: x\r\n", |n| n == "A", &mut out);
            let (mut body, mut read, mut trailers, mut at) =
                (Body::Chunked(Chunked::default()), vec![], vec![], 0);
            while !body.is_done() {
                let step = body.step(&out[at..], &mut trailers).unwrap();
                read.extend_from_slice(step.data);
                at += step.used;
            }
            assert_eq!(
                (read, trailers.as_slice(), at),
                (data, &b"A: 1\r\n"[..], out.len())
            );
        }
    }

    #[test]
    fn a_length_takes_its_bytes_and_leaves_the_next_message() {
        let mut body = Body::Length(3);
        assert_eq!(
            body.step(b"ab", &mut vec![]).unwrap(),
            Step { used: 2, data: b"ab" }
        );
        assert_eq!(
            body.step(b"cGET", &mut vec![]).unwrap(),
            Step { used: 1, data: b"c" }
        );
        assert!(body.is_done());
    }
}
