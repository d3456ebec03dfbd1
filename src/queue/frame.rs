//! The bytes of a segment file: its name, its header, its frames. No I/O.
//!
//! [The layout](super#the-bytes) is told in the module's doc.

use std::{ffi::OsStr, fmt};

use super::record::{Millis, Record};

/// Length of a file's header.
pub(super) const HEADER: usize = 24;
/// Length of the head of each frame.
pub(super) const HEAD: usize = 16;
/// Length of the smallest record frame: head, time, key and tag, and no bytes.
pub(super) const RECORD: usize = HEAD + FIELDS;
/// Length of the frame that says of one record that it ended; the dearest way to say it.
pub(super) const ENDED: usize = HEAD + 4;
/// The longest body of a frame.
pub(super) const MAX_BODY: usize = 1 << 20;

const FIELDS: usize = 17;
const MAGIC: [u8; 8] = *b"gcqueue\n";
const VERSION: u32 = 1;
/// Numbers from here on are nobody's: so that a forged file name can't use the numbers up.
const NUMBERS_END: u32 = u32::MAX - (1 << 24);

/// What a segment file is called: `0000000042-9f3c2a7be01d5544.seg`.
///
/// The salt is part of every check in the file: bytes of another segment, or bytes that a visitor put into a
/// record, never pass for a frame of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) number: u32,
    pub(super) salt: u64,
}

impl SegmentName {
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        let (number, salt) = name.to_str()?.strip_suffix(".seg")?.split_once('-')?;
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
        };
        if number.len() != 10 || salt.len() != 16 || !plain(number) || !plain(salt) {
            return None;
        }
        let number = number.parse().ok().filter(|&number| number < NUMBERS_END)?;
        Some(Self {
            number,
            salt: u64::from_str_radix(salt, 16).ok()?,
        })
    }

    /// What every check in the file starts from.
    pub(super) fn seed(self) -> u32 {
        crc32c::crc32c_append(
            crc32c::crc32c(&self.number.to_le_bytes()),
            &self.salt.to_le_bytes(),
        )
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{:016x}.seg", self.number, self.salt)
    }
}

/// What a file's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Written by this version, at that time.
    Ours(Millis),
    /// Whole, but of another version of the format: nothing here is touched.
    OtherVersion(u32),
    /// Torn or damaged. The name says all that is needed, so the frames are read nonetheless.
    Damaged,
}

pub(super) fn header(seed: u32, created: Millis) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&created.to_le_bytes());
    let check = crc32c::crc32c_append(seed, &header[..20]);
    header[20..].copy_from_slice(&check.to_le_bytes());
    header
}

pub(super) fn read_header(bytes: &[u8], seed: u32) -> Header {
    let Some((head, check)) = bytes
        .get(..HEADER)
        .and_then(|bytes| bytes.split_at_checked(HEADER - 4))
    else {
        return Header::Damaged;
    };
    if head[..8] != MAGIC || crc32c::crc32c_append(seed, head) != u32_at(check, 0) {
        return Header::Damaged;
    }
    match u32_at(head, 8) {
        VERSION => Header::Ours(u64_at(head, 12)),
        other => Header::OtherVersion(other),
    }
}

/// What a frame holds. The letter stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameKind {
    /// A record: time, key, tag, bytes.
    Record = b'R',
    /// The offsets of records that ended.
    Ended = b'E',
    /// How many damaged records of this file have been counted so far.
    Noted = b'N',
    /// Nothing: no record follows.
    Sealed = b'S',
}

/// A frame's head, whose own check held: so its length can be believed even where its body is damaged.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHead {
    pub(super) kind: FrameKind,
    /// Of the body.
    pub(super) length: usize,
    /// How many records precede this frame in its file.
    pub(super) sequence: u32,
    body_check: u32,
}

impl FrameHead {
    /// Of the whole frame.
    pub(super) fn whole(&self) -> usize {
        HEAD + self.length
    }

    pub(super) fn matches(&self, seed: u32, body: &[u8]) -> bool {
        crc32c::crc32c_append(seed, body) == self.body_check
    }
}

/// Appends a frame whose body `body` appends.
pub(super) fn write(
    out: &mut Vec<u8>,
    seed: u32,
    kind: FrameKind,
    sequence: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    body(out);
    seal(&mut out[start..], seed, kind, sequence);
}

/// Writes the head of a frame whose body is there.
fn seal(frame: &mut [u8], seed: u32, kind: FrameKind, sequence: u32) {
    let (head, body) = frame.split_at_mut(HEAD);
    debug_assert!(body.len() <= MAX_BODY, "callers keep bodies within the limit");
    let body_check = crc32c::crc32c_append(seed, body);
    head[4..8].copy_from_slice(&body_check.to_le_bytes());
    head[8..12].copy_from_slice(&((kind as u32) << 24 | body.len() as u32).to_le_bytes());
    head[12..].copy_from_slice(&sequence.to_le_bytes());
    let head_check = crc32c::crc32c_append(seed, &head[4..]);
    head[..4].copy_from_slice(&head_check.to_le_bytes());
}

/// Appends a record's frame with room for all that [`set_key`] and [`seal_record`] write. The record's bytes
/// follow.
pub(super) fn open_record(out: &mut Vec<u8>, tag: u8) {
    let mut room = [0; RECORD];
    room[RECORD - 1] = tag;
    out.extend_from_slice(&room);
}

/// Says in a record's frame whose it is, and of when.
pub(super) fn set_key(frame: &mut [u8], key: u64, at: Millis) {
    frame[HEAD..HEAD + 8].copy_from_slice(&at.to_le_bytes());
    frame[HEAD + 8..HEAD + 16].copy_from_slice(&key.to_le_bytes());
}

/// Makes a record's frame one of a segment. May be done again for another one.
pub(super) fn seal_record(frame: &mut [u8], seed: u32, sequence: u32) {
    seal(frame, seed, FrameKind::Record, sequence);
}

/// The head at the start of `bytes`, if there is one whose check holds.
pub(super) fn read_head(bytes: &[u8], seed: u32) -> Option<FrameHead> {
    let head = bytes.get(..HEAD)?;
    // The kind goes first: a search through garbage calculates few checks.
    let kind = match head[11] {
        b'R' => FrameKind::Record,
        b'E' => FrameKind::Ended,
        b'N' => FrameKind::Noted,
        b'S' => FrameKind::Sealed,
        _ => return None,
    };
    let length = (u32_at(head, 8) & 0x00ff_ffff) as usize;
    if length > MAX_BODY || crc32c::crc32c_append(seed, &head[4..]) != u32_at(head, 0) {
        return None;
    }
    Some(FrameHead {
        kind,
        length,
        sequence: u32_at(head, 12),
        body_check: u32_at(head, 4),
    })
}

/// The record in the body of a frame.
pub(super) fn read_record(body: &[u8]) -> Option<Record<'_>> {
    let (fields, bytes) = body.split_at_checked(FIELDS)?;
    Some(Record {
        at: u64_at(fields, 0),
        key: u64_at(fields, 8),
        tag: fields[16],
        bytes,
    })
}

/// The record whose frame starts `bytes`: the way a single one is read.
pub(super) fn read_whole_record(bytes: &[u8], seed: u32) -> Option<Record<'_>> {
    let head = read_head(bytes, seed).filter(|head| head.kind == FrameKind::Record)?;
    let body = bytes.get(HEAD..head.whole())?;
    head.matches(seed, body).then(|| read_record(body)).flatten()
}

/// The numbers in the body of an [`Ended`](FrameKind::Ended) or [`Noted`](FrameKind::Noted) frame.
pub(super) fn read_numbers(body: &[u8]) -> impl Iterator<Item = u32> + '_ {
    body.chunks_exact(4).map(|four| u32_at(four, 0))
}

/// Callers have checked the length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// Callers have checked the length.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        open_record(&mut frame, 5);
        frame.extend_from_slice(bytes);
        set_key(&mut frame, 3, 4);
        frame
    }

    #[test]
    fn a_name_reads_back_and_nothing_else_passes_for_one() {
        let name = SegmentName {
            number: 42,
            salt: 0x9f3c_2a7b_e01d_5544,
        };
        assert_eq!(name.to_string(), "0000000042-9f3c2a7be01d5544.seg");
        assert_eq!(SegmentName::parse(OsStr::new(&name.to_string())), Some(name));
        for other in [
            "lock",
            "42-9f3c2a7be01d5544.seg",
            "0000000042-9F3C2A7BE01D5544.seg",
            "+000000042-9f3c2a7be01d5544.seg",
            "0000000042-+f3c2a7be01d5544.seg",
            "4294967295-9f3c2a7be01d5544.seg",
            "0000000042-9f3c2a7be01d5544.seg~",
        ] {
            assert_eq!(SegmentName::parse(OsStr::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_frame_of_one_segment_is_none_of_another() {
        let (one, other) = (
            SegmentName { number: 1, salt: 7 }.seed(),
            SegmentName { number: 1, salt: 8 }.seed(),
        );
        let mut bytes = record(b"six");
        for seed in [other, one] {
            seal_record(&mut bytes, seed, 0);
        }
        assert_eq!(bytes.len(), RECORD + 3);
        let read = read_whole_record(&bytes, one).unwrap();
        assert_eq!((read.key, read.at, read.tag, read.bytes), (3, 4, 5, &b"six"[..]));
        assert!(read_whole_record(&bytes, other).is_none());
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let seed = SegmentName { number: 1, salt: 7 }.seed();
        let mut bytes = record(b"some bytes");
        seal_record(&mut bytes, seed, 9);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read_whole_record(&bytes, seed).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_header_tells_another_version_from_damage() {
        let seed = SegmentName { number: 1, salt: 7 }.seed();
        let mut bytes = header(seed, 1234);
        assert_eq!(read_header(&bytes, seed), Header::Ours(1234));
        bytes[8] = 2;
        assert_eq!(read_header(&bytes, seed), Header::Damaged);
        let check = crc32c::crc32c_append(seed, &bytes[..HEADER - 4]);
        bytes[HEADER - 4..].copy_from_slice(&check.to_le_bytes());
        assert_eq!(read_header(&bytes, seed), Header::OtherVersion(2));
        assert_eq!(read_header(&bytes[..HEADER - 1], seed), Header::Damaged);
    }
}
