//! The content codings, decoded and encoded piece by piece in bounded memory.

use std::io::{self, Write};

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter, enc::StandardAlloc};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use zstd::stream::raw::{self, CParameter, DParameter, InBuffer, Operation, OutBuffer};

use crate::page::ContentCoding;

/// Levels that cost a fraction of what the usual ones of static files do: a page is coded for one visitor.
const FLATE_LEVEL: u32 = 4;
const BROTLI_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 1;

/// Windows as binary logarithms: the encoders' own, and the widest that is decoded, which is that of browsers
/// (RFC 9659).
const FLATE_WINDOW: u8 = 15;
const BROTLI_WINDOW: u32 = 18;
const ZSTD_WINDOW: u32 = 18;
const ZSTD_WIDEST: u32 = 23;

/// Room that an encoder is given at least.
const ROOM: usize = 4096;

/// A body that is not in its coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not what its Content-Encoding says")]
pub struct DamagedBody;

/// The memory that decoder and encoder of a coding take together at most, in bytes.
pub(super) fn memory(coding: ContentCoding) -> usize {
    match coding {
        ContentCoding::Identity => 0,
        ContentCoding::Gzip | ContentCoding::Deflate => 512 << 10,
        ContentCoding::Brotli => 6 << 20,
        ContentCoding::Zstd => 10 << 20,
    }
}

/// How a body is really coded, read off its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Gzip,
    Zlib,
    RawDeflate,
    Brotli,
    Zstd,
}

/// The bytes that [`Wire::read`] needs.
pub(super) const FIRST: usize = 2;

impl Wire {
    /// `None`: it has no coding, or none that can be decoded in the memory that is planned for it.
    pub(super) fn read(coding: ContentCoding, first: &[u8]) -> Option<Self> {
        match (coding, first) {
            (ContentCoding::Gzip, _) => Some(Wire::Gzip),
            // RFC 1950 §2.2
            (ContentCoding::Deflate, [method, flags, ..])
                if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) =>
            {
                Some(Wire::Zlib)
            }
            (ContentCoding::Deflate, _) => Some(Wire::RawDeflate),
            // RFC 7932 §9.1: windows of 8 and 16 MiB.
            (ContentCoding::Brotli, [bits, ..]) if bits & 1 == 1 && (bits >> 1) & 7 > 5 => None,
            (ContentCoding::Brotli, _) => Some(Wire::Brotli),
            (ContentCoding::Zstd, _) => Some(Wire::Zstd),
            (ContentCoding::Identity, _) => None,
        }
    }
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Decodes a body.
pub(super) enum Decoder {
    Flate(Box<Decompress>),
    Brotli(Box<Brotli>),
    Zstd(raw::Decoder<'static>),
}

/// One step of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that were taken.
    pub(super) read: usize,
    /// Bytes that were decoded.
    pub(super) written: usize,
    /// The coded data is complete. What follows is no part of it, or begins anew.
    pub(super) complete: bool,
}

impl Decoder {
    pub(super) fn new(wire: Wire) -> Result<Self, DamagedBody> {
        Ok(match wire {
            Wire::Gzip => Decoder::Flate(Box::new(Decompress::new_gzip(FLATE_WINDOW))),
            Wire::Zlib => Decoder::Flate(Box::new(Decompress::new(true))),
            Wire::RawDeflate => Decoder::Flate(Box::new(Decompress::new(false))),
            Wire::Brotli => Decoder::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
            Wire::Zstd => {
                let mut decoder = raw::Decoder::new().map_err(damaged)?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WIDEST))
                    .map_err(damaged)?;
                Decoder::Zstd(decoder)
            }
        })
    }

    /// Decodes from `input` into `output`. Neither read nor written: more input is needed.
    ///
    /// # Errors
    /// [`DamagedBody`]
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DamagedBody> {
        match self {
            Decoder::Flate(inflate) => {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let status = inflate
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|_| DamagedBody)?;
                Ok(Progress {
                    read: (inflate.total_in() - read) as usize,
                    written: (inflate.total_out() - written) as usize,
                    complete: status == Status::StreamEnd,
                })
            }
            Decoder::Brotli(state) => {
                let (mut left, mut read) = (input.len(), 0);
                let (mut room, mut written) = (output.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    input,
                    &mut room,
                    &mut written,
                    output,
                    &mut 0,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(DamagedBody),
                    result => Ok(Progress {
                        read,
                        written,
                        complete: matches!(result, BrotliResult::ResultSuccess),
                    }),
                }
            }
            Decoder::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output).map_err(damaged)?;
                Ok(Progress {
                    read: status.bytes_read,
                    written: status.bytes_written,
                    complete: status.remaining == 0,
                })
            }
        }
    }

    /// Whether coded data may follow that which is complete: zstd has frames (RFC 8878 §3). Browsers take
    /// only the first member of gzip.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Decoder::Zstd(_))
    }
}

/// The first bytes of a body, at most `most`, as far as the start of the coded one gives them.
pub fn decoded_start(coding: ContentCoding, coded: &[u8], most: usize) -> Vec<u8> {
    let mut start = vec![0; most];
    let (mut read, mut written) = (0, 0);
    if let Some(mut decoder) = Wire::read(coding, coded).and_then(|wire| Decoder::new(wire).ok()) {
        while let Ok(step) = decoder.step(&coded[read..], &mut start[written..])
            && (step.read, step.written) != (0, 0)
        {
            (read, written) = (read + step.read, written + step.written);
            if step.complete || written == most {
                break;
            }
        }
    }
    start.truncate(written);
    start
}

/// Encodes a body.
pub(super) enum Encoder {
    Flate(Box<Compress>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(raw::Encoder<'static>),
}

impl Encoder {
    pub(super) fn new(wire: Wire) -> io::Result<Self> {
        let level = Compression::new(FLATE_LEVEL);
        Ok(match wire {
            Wire::Gzip => Encoder::Flate(Box::new(Compress::new_gzip(level, FLATE_WINDOW))),
            Wire::Zlib => Encoder::Flate(Box::new(Compress::new(level, true))),
            Wire::RawDeflate => Encoder::Flate(Box::new(Compress::new(level, false))),
            Wire::Brotli => Encoder::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                ROOM,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            ))),
            Wire::Zstd => {
                let mut encoder = raw::Encoder::new(ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
                Encoder::Zstd(encoder)
            }
        })
    }

    /// Encodes `data`. What is ready is appended to `out`.
    pub(super) fn write(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Encoder::Flate(deflate) => {
                while !data.is_empty() {
                    out.reserve(ROOM);
                    let before = deflate.total_in();
                    deflate.compress_vec(data, out, FlushCompress::None)?;
                    data = &data[(deflate.total_in() - before) as usize..];
                }
            }
            Encoder::Brotli(writer) => {
                writer.write_all(data)?;
                out.append(writer.get_mut());
            }
            Encoder::Zstd(encoder) => {
                let mut input = InBuffer::around(data);
                while input.pos() < data.len() {
                    append(out, |room| encoder.run(&mut input, room))?;
                }
            }
        }
        Ok(())
    }

    /// Appends what was written so far, so that all of it can be decoded.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Encoder::Flate(deflate) => loop {
                out.reserve(ROOM);
                deflate.compress_vec(&[], out, FlushCompress::Sync)?;
                if out.len() < out.capacity() {
                    return Ok(());
                }
            },
            Encoder::Brotli(writer) => {
                writer.flush()?;
                out.append(writer.get_mut());
                Ok(())
            }
            Encoder::Zstd(encoder) => {
                while append(out, |room| encoder.flush(room))? > 0 {}
                Ok(())
            }
        }
    }

    /// Appends the end.
    pub(super) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Encoder::Flate(mut deflate) => loop {
                out.reserve(ROOM);
                if deflate.compress_vec(&[], out, FlushCompress::Finish)? == Status::StreamEnd {
                    return Ok(());
                }
            },
            Encoder::Brotli(writer) => {
                out.append(&mut writer.into_inner());
                Ok(())
            }
            Encoder::Zstd(mut encoder) => {
                while append(out, |room| encoder.finish(room, true))? > 0 {}
                Ok(())
            }
        }
    }
}

/// Has zstd write behind what `out` holds.
fn append(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> io::Result<usize> {
    out.reserve(ROOM);
    let at = out.len();
    write(&mut OutBuffer::around_pos(out, at))
}

#[allow(clippy::needless_pass_by_value)] // the form that map_err wants
fn damaged(_: io::Error) -> DamagedBody {
    DamagedBody
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Wire; 5] = [Wire::Gzip, Wire::Zlib, Wire::RawDeflate, Wire::Brotli, Wire::Zstd];

    fn decode(wire: Wire, coded: &[u8]) -> (Vec<u8>, bool) {
        let mut decoder = Decoder::new(wire).unwrap();
        let (mut text, mut at, mut complete) = (Vec::new(), 0, false);
        let mut room = [0; 1000];
        loop {
            let step = decoder.step(&coded[at..], &mut room).unwrap();
            text.extend_from_slice(&room[..step.written]);
            at += step.read;
            complete = step.complete || (complete && step.read == 0);
            if step.complete || (step.read == 0 && step.written == 0) {
                return (text, complete);
            }
        }
    }

    #[test]
    fn what_is_flushed_can_be_decoded_and_the_end_is_told() {
        let piece: Vec<u8> = (0..50_000_u32).map(|n| (n * n % 251) as u8).collect();
        for wire in ALL {
            let (mut encoder, mut out) = (Encoder::new(wire).unwrap(), Vec::new());
            encoder.write(&piece, &mut out).unwrap();
            encoder.flush(&mut out).unwrap();
            assert_eq!(decode(wire, &out), (piece.clone(), false), "{wire:?}");
            encoder.write(&piece, &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            assert_eq!(
                decode(wire, &out),
                ([&piece[..], &piece].concat(), true),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn damage_is_an_error() {
        for wire in ALL {
            let (mut encoder, mut out) = (Encoder::new(wire).unwrap(), Vec::new());
            encoder.write(&[b'a'; 3000], &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            out[1..8].copy_from_slice(&[0xFF; 7]);
            let mut decoder = Decoder::new(wire).unwrap();
            let mut room = [0; 4096];
            assert_eq!(decoder.step(&out, &mut room).err(), Some(DamagedBody), "{wire:?}");
        }
    }

    #[test]
    fn the_first_bytes_say_how_deflate_is_framed_and_how_wide_brotli_is() {
        use ContentCoding::{Brotli, Deflate, Gzip, Identity, Zstd};
        for (coding, first, wire) in [
            (Gzip, [0x1F, 0x8B], Some(Wire::Gzip)),
            (Deflate, [0x78, 0x9C], Some(Wire::Zlib)),
            (Deflate, [0x78, 0x01], Some(Wire::Zlib)),
            (Deflate, [0x78, 0x02], Some(Wire::RawDeflate)),
            (Deflate, [0xED, 0xC0], Some(Wire::RawDeflate)),
            // WBITS 22 and 24.
            (Brotli, [0x0B, 0], Some(Wire::Brotli)),
            (Brotli, [0x0F, 0], None),
            (Brotli, [0x06, 0], Some(Wire::Brotli)),
            (Zstd, [0x28, 0xB5], Some(Wire::Zstd)),
            (Identity, [0, 0], None),
        ] {
            assert_eq!(Wire::read(coding, &first), wire, "{coding:?} {first:x?}");
        }
    }
}
