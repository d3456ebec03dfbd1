//! How a body is framed (RFC 9112 §6), and how it is read and written.

use httparse::Header;

use super::chunked::{Chunked, ChunkedError, Piece};

/// What is left to read of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing: there is no body, or it has been read to its end.
    Done,
    /// This many bytes.
    Length(u64),
    /// Chunks up to the last one and its trailers.
    Chunked(Chunked),
    /// All bytes until the connection closes. Only responses have it.
    UntilClose,
}

/// One step over the input.
#[derive(Debug, PartialEq, Eq)]
pub struct BodyStep<'a> {
    /// How many bytes of the input were used.
    pub used: usize,
    /// The body's data among them, perhaps empty.
    pub data: &'a [u8],
}

impl Body {
    /// Whether the body has been read to its end.
    pub fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// The first data among the bytes that the body starts with, without reading them.
    pub fn peek<'a>(&self, mut input: &'a [u8]) -> &'a [u8] {
        let mut body = self.clone();
        while let Ok(step) = body.step(input, &mut Vec::new())
            && step.used > 0
        {
            if !step.data.is_empty() {
                return step.data;
            }
            input = &input[step.used..];
        }
        &[]
    }

    /// Reads on. Once [`is_done`](Self::is_done), the bytes after the used ones belong to the next message.
    /// At the end of a chunked body its trailer lines are appended to `trailers`.
    ///
    /// # Errors
    /// [`ChunkedError`] where chunks are malformed.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
        trailers: &mut Vec<u8>,
    ) -> Result<BodyStep<'a>, ChunkedError> {
        match self {
            Body::Done => Ok(BodyStep { used: 0, data: &[] }),
            Body::UntilClose => Ok(BodyStep {
                used: input.len(),
                data: input,
            }),
            Body::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= take as u64;
                if *left == 0 {
                    *self = Body::Done;
                }
                Ok(BodyStep {
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
                Ok(BodyStep { used, data })
            }
        }
    }
}

/// Writes `data` as one chunk. Empty data writes nothing, because an empty chunk would end the body.
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

/// Calls `take` for each trailer whose name `may_pass`. A trailer section that is malformed, or has more than
/// 64 lines, is dropped.
pub fn for_each_trailer(trailers: &[u8], may_pass: impl Fn(&str) -> bool, mut take: impl FnMut(&Header<'_>)) {
    if trailers.is_empty() {
        return;
    }
    let lines = [trailers, b"\r\n"].concat();
    let mut slots = [httparse::EMPTY_HEADER; 64];
    if let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&lines, &mut slots) {
        fields.iter().filter(|f| may_pass(f.name)).for_each(&mut take);
    }
}

/// Writes the last chunk and those trailer lines whose names `may_pass`.
pub fn write_last_chunk(trailers: &[u8], may_pass: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for_each_trailer(trailers, may_pass, |line| {
        for part in [line.name.as_bytes(), b": ", line.value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    });
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
            BodyStep { used: 2, data: b"ab" }
        );
        assert_eq!(
            body.step(b"cGET", &mut vec![]).unwrap(),
            BodyStep { used: 1, data: b"c" }
        );
        assert!(body.is_done());
    }
}
