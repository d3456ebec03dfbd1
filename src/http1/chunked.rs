//! The chunked transfer coding (RFC 9112 §7.1), parsed strictly: only CRLF ends a line, a size is hex digits.
//! Extensions and the white space before them are skipped, trailers are collected, both up to a limit.

/// The most bytes of one chunk's extensions and the white space before them. Without a limit, a chunk with
/// one byte of data could have extensions without end.
const MAX_EXTENSION: usize = 1024;
/// The most bytes of the trailer section.
const MAX_TRAILERS: usize = 16 * 1024;

/// The decoder of one chunked body; feed it with [`Chunked::next`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Chunked {
    state: ChunkState,
    /// Data bytes left in the chunk, or the size as far as it has been read.
    size: u64,
    /// How many digits of the size, then how many bytes of the extension, have been read.
    read: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    /// White space after the size. Only an extension may follow it (RFC 9112 §7.1.1).
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// What one call of [`Chunked::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The input is used up; more is needed.
    More,
    /// Data of the body.
    Data(&'a [u8]),
    /// The body has ended, including its trailers.
    End,
}

/// The bytes are not a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// A size that is not hex digits, or has more than 15 of them.
    #[error("a chunk's size is malformed")]
    Size,
    /// A line or a chunk does not end in CRLF.
    #[error("a chunk does not end in CRLF")]
    Ending,
    /// A control character in an extension, or too long a one.
    #[error("a chunk's extension is malformed or too long")]
    Extension,
    /// The trailer section is longer than allowed.
    #[error("the trailers are too long")]
    Trailers,
}

impl Chunked {
    /// Whether the last chunk and the trailers have been read.
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// The trailer section as sent: each line with its CRLF, without the final empty line. Empty before the
    /// end.
    pub fn trailers(&self) -> &[u8] {
        if self.is_done() { &self.trailers } else { &[] }
    }

    /// Reads on: how many bytes of `input` were used, and what was in them.
    ///
    /// # Errors
    /// [`ChunkedError`]; after one, the body can't be read any further.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Piece<'a>), ChunkedError> {
        let mut at = 0;
        while at < input.len() && self.state != ChunkState::Done {
            if self.state == ChunkState::Data {
                let take = usize::try_from(self.size)
                    .unwrap_or(usize::MAX)
                    .min(input.len() - at);
                self.size -= take as u64;
                if self.size == 0 {
                    self.state = ChunkState::DataCr;
                }
                return Ok((at + take, Piece::Data(&input[at..at + take])));
            }
            self.byte(input[at])?;
            at += 1;
        }
        Ok((at, if self.is_done() { Piece::End } else { Piece::More }))
    }

    fn byte(&mut self, b: u8) -> Result<(), ChunkedError> {
        match self.state {
            ChunkState::Size => match b {
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {
                    self.read += 1;
                    if self.read > 15 {
                        return Err(ChunkedError::Size);
                    }
                    let digit = match b {
                        b'0'..=b'9' => b - b'0',
                        _ => b.to_ascii_lowercase() - b'a' + 10,
                    };
                    self.size = self.size << 4 | u64::from(digit);
                }
                b'\r' | b';' if self.read > 0 => {
                    self.read = 0;
                    self.state = if b == b'\r' {
                        ChunkState::SizeLf
                    } else {
                        ChunkState::Extension
                    };
                }
                b' ' | b'\t' if self.read > 0 => {
                    self.read = 1;
                    self.state = ChunkState::Blank;
                }
                _ => return Err(ChunkedError::Size),
            },
            ChunkState::Blank => match b {
                b' ' | b'\t' if self.read < MAX_EXTENSION => self.read += 1,
                b';' => self.state = ChunkState::Extension,
                _ => return Err(ChunkedError::Size),
            },
            ChunkState::Extension => match b {
                b'\r' => self.state = ChunkState::SizeLf,
                b'\t' | b' '..=b'~' | 0x80.. if self.read < MAX_EXTENSION => self.read += 1,
                _ => return Err(ChunkedError::Extension),
            },
            ChunkState::SizeLf if b == b'\n' => {
                self.read = 0;
                self.state = if self.size == 0 {
                    ChunkState::Trailers
                } else {
                    ChunkState::Data
                };
            }
            ChunkState::DataCr if b == b'\r' => self.state = ChunkState::DataLf,
            ChunkState::DataLf if b == b'\n' => self.state = ChunkState::Size,
            ChunkState::SizeLf | ChunkState::DataCr | ChunkState::DataLf => return Err(ChunkedError::Ending),
            ChunkState::Trailers => self.trailer_byte(b)?,
            // `next` takes data as whole slices and stops when done.
            ChunkState::Data | ChunkState::Done => {}
        }
        Ok(())
    }

    fn trailer_byte(&mut self, b: u8) -> Result<(), ChunkedError> {
        let after_cr = self.trailers.last() == Some(&b'\r');
        if (b == b'\n') != after_cr {
            return Err(ChunkedError::Ending);
        }
        self.trailers.push(b);
        if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
            self.trailers.truncate(self.trailers.len() - 2);
            self.state = ChunkState::Done;
        } else if self.trailers.len() > MAX_TRAILERS {
            return Err(ChunkedError::Trailers);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Body and trailers of `input`, read in pieces of `step` bytes; the bytes left over.
    fn read(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, usize), ChunkedError> {
        let (mut body, mut chunked, mut at) = (vec![], Chunked::default(), 0);
        while at < input.len() && !chunked.is_done() {
            let end = (at + step).min(input.len());
            let (used, piece) = chunked.next(&input[at..end])?;
            if let Piece::Data(data) = piece {
                body.extend_from_slice(data);
            }
            at += used;
        }
        assert!(chunked.is_done(), "not ended");
        Ok((body, chunked.trailers().to_vec(), input.len() - at))
    }

    #[test]
    fn a_body_reads_the_same_in_pieces_of_any_size() {
        let input = b"4\r\nWiki\r\nB;x=\"y\"\r\npedia in \r\n\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET /";
        for step in 1..input.len() {
            let (body, trailers, rest) = read(input, step).unwrap();
            assert_eq!(body, b"Wikipedia in \r\n", "{step}");
            assert_eq!(trailers, b"X-Sum: 1\r\nY: 2\r\n");
            assert_eq!(rest, 5);
        }
    }

    #[test]
    fn blanks_before_an_extension_are_skipped() {
        let input = b"4 \t; a = b\r\nWiki\r\n0\t;c\r\n\r\n";
        assert_eq!(read(input, 64).map(|(body, ..)| body), Ok(b"Wiki".to_vec()));
        let long = [b"4".to_vec(), vec![b' '; 2000], b";".to_vec()].concat();
        assert_eq!(read(&long, 64), Err(ChunkedError::Size));
    }

    #[test]
    fn each_loose_spelling_is_refused() {
        for (input, error) in [
            (&b"4\nWiki\r\n0\r\n\r\n"[..], ChunkedError::Size),
            (b"4\r\nWikiX\r\n", ChunkedError::Ending),
            (b"4\r\nWiki\n0\r\n\r\n", ChunkedError::Ending),
            (b" 4\r\n", ChunkedError::Size),
            (b"4 \r\n", ChunkedError::Size),
            (b"4 4;a\r\n", ChunkedError::Size),
            (b"0x4\r\n", ChunkedError::Size),
            (b"+4\r\n", ChunkedError::Size),
            (b"\r\n", ChunkedError::Size),
            (b";a\r\n", ChunkedError::Size),
            (b"1111111111111111\r\n", ChunkedError::Size),
            (b"4;a\nWiki", ChunkedError::Extension),
            (b"4;a\x00\r\n", ChunkedError::Extension),
            (b"4\rX", ChunkedError::Ending),
            (b"0\r\nX: 1\n\r\n", ChunkedError::Ending),
            (b"0\r\n\n", ChunkedError::Ending),
        ] {
            assert_eq!(read(input, 64), Err(error), "{}", input.escape_ascii());
        }
        let long = [b"4;".to_vec(), vec![b'a'; 2000]].concat();
        assert_eq!(read(&long, 64), Err(ChunkedError::Extension));
        let long = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(4000)].concat();
        assert_eq!(read(&long, 64), Err(ChunkedError::Trailers));
    }
}
