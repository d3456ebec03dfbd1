//! A segment file, read from its start to its end whatever its state is: by recovery and by who looks into a
//! queue.
//!
//! The cost is linear in the file's length. Where a head's check holds its length is believed, so a damaged
//! body is stepped over whole; where it does not, the search for the next head looks at sixteen bytes for
//! each byte it moves.

use super::{
    disk::{FileHandle, read_full_at},
    frame::{self, FrameHead, FrameKind, HEAD, HEADER, Header, MAX_BODY, RECORD},
    record::{Millis, Record},
    segment::EndedRecords,
};

const BLOCK: usize = 1 << 20;
/// What is given up of a file where the disk can't read it.
const PAGE: usize = 4096;
/// So many unreadable pages, and the rest of the file is given up: each may cost the disk seconds.
const MAX_FAULTS: u32 = 16;

/// The buffer that files are read through; one serves for all.
pub(super) struct Window(Vec<u8>);

impl Window {
    pub(super) fn new() -> Self {
        // The longest frame, and a block beside it.
        Self(vec![0; BLOCK + HEAD + MAX_BODY])
    }
}

/// What is next in a file.
enum ScanStep<'w> {
    Frame {
        offset: u32,
        head: FrameHead,
        body: &'w [u8],
    },
    /// A frame whose body is damaged.
    Broken(FrameHead),
    /// The file ends, with something after `offset` that is no whole frame.
    Tail {
        offset: u32,
        /// Too long, or too strange, for a write that was cut short.
        damaged: bool,
    },
    /// The file ends with the frame before.
    End,
}

struct Scan<'a> {
    file: &'a dyn FileHandle,
    seed: u32,
    /// Of the file; less where the rest is given up.
    length: u64,
    buffer: &'a mut [u8],
    /// Where in the file the buffer starts.
    from: u64,
    filled: usize,
    at: usize,
    faults: u32,
}

impl Scan<'_> {
    /// Sees to it that so many bytes from `at` are in the buffer, or all that the file has.
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
        // The length is cut to what an offset can say.
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

/// A record's place in its file, and what is known of it without its bytes.
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
    /// Every whole record, in the order of writing, ended or not.
    pub(super) records: Vec<Found>,
    /// Which of them have ended.
    pub(super) ended: EndedRecords,
    /// How many have not.
    pub(super) pending: u32,
    /// Records that can't be read any more, had not ended, and have not been counted before.
    pub(super) corrupt: u32,
    /// All such records of this file that have been counted, these included.
    pub(super) noted: u32,
    /// How many records were ever written.
    pub(super) sequence: u32,
    /// Where the last whole frame ends.
    pub(super) end: u32,
    /// Whether something stands after it.
    pub(super) tail: bool,
    pub(super) sealed: bool,
    /// How many stretches the disk could not read; they count as damaged.
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
                    // Each record's number is its own: a stretch that stands here twice is read once.
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
                // A whole record's length of bytes that are no frame: one at the least was there.
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
    // What ended of the damaged records was not lost.
    let lost = missing.saturating_sub(contents.ended.count() - ended);
    contents.corrupt = lost.saturating_sub(contents.noted);
    contents.noted = contents.noted.max(lost);
    contents
}
