//! Reads a segment file from start to end, whatever its state, for recovery and for inspection.
//!
//! The cost is linear in the file's length. If the check of a head holds, its length is trusted, and a
//! damaged body is skipped. If it does not hold, the search for the next head looks at sixteen bytes for each
//! byte that it advances.

use super::{
    disk::{FileHandle, read_full_at},
    frame::{self, FrameHead, FrameKind, HEAD, HEADER, Header, MAX_BODY, RECORD},
    record::{Millis, Record},
    segment::EndedRecords,
};

const BLOCK: usize = 1 << 20;
/// How much of a file is given up if the disk can't read it.
const PAGE: usize = 4096;
/// After so many unreadable pages the rest of the file is given up, because each may take the disk seconds.
const MAX_FAULTS: u32 = 16;

/// The buffer through which files are read; one for all of them.
pub(super) struct Window(Vec<u8>);

impl Window {
    pub(super) fn new() -> Self {
        // The longest frame, and a block beside it.
        Self(vec![0; BLOCK + HEAD + MAX_BODY])
    }
}

/// The next thing in a file.
enum ScanStep<'w> {
    Frame {
        offset: u32,
        head: FrameHead,
        body: &'w [u8],
    },
    /// A frame whose body is damaged.
    Broken(FrameHead),
    /// The file ends, and the bytes after `offset` are no complete frame.
    Tail {
        offset: u32,
        /// They are too long for a write that was cut short, or are no part of a frame.
        damaged: bool,
    },
    /// The file ends with the frame before.
    End,
}

struct Scan<'a> {
    file: &'a dyn FileHandle,
    seed: u32,
    /// The file's length; less if the rest is given up.
    length: u64,
    buffer: &'a mut [u8],
    /// Where in the file the buffer starts.
    from: u64,
    filled: usize,
    at: usize,
    faults: u32,
}

impl Scan<'_> {
    /// Fills the buffer with so many bytes from `at` on, or with all that the file has.
    fn fill(&mut self, need: usize) {
        if self.filled - self.at >= need {
            return;
        }
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.from += self.at as u64;
        self.at = 0;
        while self.filled < need {
            let offset = self.from + self.filled as u64;
            let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
            let want = left
                .min(self.buffer.len() - self.filled)
                .min(BLOCK.max(need - self.filled));
            if want == 0 {
                return;
            }
            let space = &mut self.buffer[self.filled..self.filled + want];
            match read_full_at(self.file, space, offset) {
                Ok(read) => {
                    self.filled += read;
                    if read < want {
                        self.length = offset + read as u64;
                    }
                }
                Err(_) if self.faults < MAX_FAULTS => {
                    self.faults += 1;
                    // Page by page from here, so that one bad page costs no more than itself.
                    let page = want.min(PAGE);
                    match read_full_at(self.file, &mut space[..page], offset) {
                        Ok(read) if read == page => {}
                        _ => space[..page].fill(0),
                    }
                    self.filled += page;
                }
                Err(_) => {
                    self.faults += 1;
                    self.length = offset;
                }
            }
        }
    }

    fn offset(&self) -> u32 {
        // The length is at most the largest offset.
        (self.from + self.at as u64) as u32
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..self.filled]
    }

    fn next(&mut self) -> ScanStep<'_> {
        let offset = self.offset();
        let head = loop {
            self.fill(HEAD);
            if self.rest().len() < HEAD {
                let left = self.offset() as usize + self.rest().len() - offset as usize;
                self.at = self.filled;
                return if left == 0 {
                    ScanStep::End
                } else {
                    ScanStep::Tail {
                        offset,
                        damaged: left >= RECORD,
                    }
                };
            }
            match frame::read_head(self.rest(), self.seed) {
                Some(head) => break head,
                None => self.at += 1,
            }
        };
        let start = self.offset();
        self.fill(head.whole());
        if self.rest().len() < head.whole() {
            self.at = self.filled;
            return ScanStep::Tail {
                offset,
                damaged: start != offset,
            };
        }
        let body = self.at + HEAD..self.at + head.whole();
        self.at = body.end;
        let body = &self.buffer[body];
        if head.matches(self.seed, body) {
            ScanStep::Frame {
                offset: start,
                head,
                body,
            }
        } else {
            ScanStep::Broken(head)
        }
    }
}

/// A record's place in its file, and its fields without its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) offset: u32,
    pub(super) key: u64,
    pub(super) at: Millis,
    pub(super) tag: u8,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) header: Header,
    /// Every complete record, ended or not, in the order of writing.
    pub(super) records: Vec<Found>,
    /// Which of them have ended.
    pub(super) ended: EndedRecords,
    /// How many have not.
    pub(super) pending: u32,
    /// Damaged records that had not ended and were not counted before.
    pub(super) corrupt: u32,
    /// All damaged records of this file that are counted, including `corrupt`.
    pub(super) noted: u32,
    /// How many records were ever written.
    pub(super) sequence: u32,
    /// Where the last complete frame ends.
    pub(super) end: u32,
    /// Whether there are bytes after it.
    pub(super) tail: bool,
    pub(super) sealed: bool,
    /// How many times the disk failed to read; those parts count as damaged.
    pub(super) faults: u32,
}

/// Reads the file. `each` is called for each whole record, with its bytes, before it is known whether it has
/// ended.
pub(super) fn read(
    file: &dyn FileHandle,
    seed: u32,
    length: u64,
    window: &mut Window,
    each: &mut dyn FnMut(u32, Record<'_>),
) -> Contents {
    let length = length.min(u64::from(u32::MAX));
    let buffer = &mut window.0[..];
    let mut scan = Scan {
        file,
        seed,
        length,
        buffer,
        from: 0,
        filled: 0,
        at: 0,
        faults: 0,
    };
    scan.fill(HEADER);
    let mut contents = Contents {
        header: frame::read_header(scan.rest(), seed),
        records: Vec::new(),
        ended: EndedRecords::default(),
        pending: 0,
        corrupt: 0,
        noted: 0,
        sequence: 0,
        end: HEADER as u32,
        tail: false,
        sealed: false,
        faults: 0,
    };
    if scan.filled < HEADER || matches!(contents.header, Header::OtherVersion(_)) {
        contents.end = 0;
        contents.tail = scan.filled > 0;
        contents.faults = scan.faults;
        return contents;
    }
    scan.at = HEADER;
    let mut missing: u32 = 0;
    loop {
        match scan.next() {
            ScanStep::Frame { offset, head, body } => {
                let end = offset + head.whole() as u32;
                missing = missing.saturating_add(head.sequence.saturating_sub(contents.sequence));
                let stray = head.sequence < contents.sequence;
                contents.sequence = contents.sequence.max(head.sequence);
                contents.end = end;
                match head.kind {
                    // Each record has a number of its own, so bytes that are here twice are read once.
                    FrameKind::Record if stray => {}
                    FrameKind::Record => match frame::read_record(body) {
                        Some(record) => {
                            contents.sequence = head.sequence.saturating_add(1);
                            let (key, at, tag) = (record.key, record.at, record.tag);
                            contents.records.push(Found { offset, key, at, tag });
                            each(offset, record);
                        }
                        None => missing = missing.saturating_add(1),
                    },
                    FrameKind::Ended => frame::read_numbers(body)
                        .filter(|&ended| ended < offset)
                        .for_each(|ended| {
                            contents.ended.insert(ended);
                        }),
                    FrameKind::Noted => {
                        contents.noted = contents.noted.max(frame::read_numbers(body).next().unwrap_or(0));
                    }
                    FrameKind::Sealed => contents.sealed = true,
                }
            }
            ScanStep::Broken(head) => {
                missing = missing.saturating_add(head.sequence.saturating_sub(contents.sequence));
                contents.sequence = contents.sequence.max(head.sequence);
                if head.kind == FrameKind::Record {
                    missing = missing.saturating_add(1);
                    contents.sequence = head.sequence.saturating_add(1);
                }
                contents.end = scan.offset();
            }
            ScanStep::Tail { offset, damaged } => {
                contents.tail = true;
                contents.end = offset;
                // So many bytes that are no frame were at least one record.
                missing = missing.saturating_add(u32::from(damaged && !contents.sealed));
                break;
            }
            ScanStep::End => break,
        }
    }
    contents.faults = scan.faults;
    let ended = contents
        .records
        .iter()
        .filter(|found| contents.ended.contains(found.offset))
        .count() as u32;
    contents.pending = contents.records.len() as u32 - ended;
    // Damaged records that had ended are not lost.
    let lost = missing.saturating_sub(contents.ended.count() - ended);
    contents.corrupt = lost.saturating_sub(contents.noted);
    contents.noted = contents.noted.max(lost);
    contents
}
