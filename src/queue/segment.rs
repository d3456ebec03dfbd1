//! A segment: records in a file, or in memory until they can be written. The bytes are the same in both
//! places. So a segment in memory becomes a file by being written, and its records keep their positions.

use std::sync::Arc;

use super::{
    disk::write_all_at,
    disk_error::DiskError,
    frame::{self, ENDED, FrameKind, HEAD, MAX_BODY, RECORD, SegmentName},
    record::Millis,
    segment_file::SegmentFile,
    sync::Syncer,
};

/// The offsets of records that ended: one bit for each 32 bytes of file, because no two records start within
/// 32 bytes.
#[derive(Debug, Default)]
pub(super) struct EndedRecords {
    words: Vec<u64>,
    count: u32,
}

const CELL: u32 = 32;
const _: () = assert!(RECORD as u32 > CELL, "two records would share a bit");

impl EndedRecords {
    /// False if it was there already.
    pub(super) fn insert(&mut self, offset: u32) -> bool {
        let (word, bit) = Self::place(offset);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let news = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(news);
        news
    }

    pub(super) fn contains(&self, offset: u32) -> bool {
        let (word, bit) = Self::place(offset);
        self.words.get(word).is_some_and(|&bits| bits & bit != 0)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// For each, an offset that stands for it: the first one with its bit.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.words.iter().enumerate();
        words.flat_map(|(word, bits)| {
            let set = (0..64).filter(move |bit| bits & (1 << bit) != 0);
            set.map(move |bit| (word as u32 * 64 + bit) * CELL)
        })
    }

    fn place(offset: u32) -> (usize, u64) {
        let cell = offset / CELL;
        ((cell / 64) as usize, 1 << (cell % 64))
    }
}

/// Where a segment's bytes are.
pub(super) enum Place {
    Memory(Vec<u8>),
    File(Arc<SegmentFile>),
    /// In a file that can't be opened. It can only be removed once it is old enough.
    Closed,
}

pub(super) struct Segment {
    pub(super) name: SegmentName,
    /// The start value of its checks.
    pub(super) seed: u32,
    pub(super) created: Millis,
    /// Where the next frame goes; 0 if there is no header yet.
    pub(super) end: u32,
    /// How many records were ever written, which is the next one's sequence number.
    pub(super) sequence: u32,
    /// How many records have not ended.
    pub(super) pending: u32,
    pub(super) ended: EndedRecords,
    /// Ended records that the file does not mention yet.
    pub(super) unwritten: Vec<u32>,
    /// Damaged records that were counted, if the file does not mention them yet.
    pub(super) unnoted: Option<u32>,
    pub(super) seal: Seal,
    /// Whether bytes after `end` have to be cut off before anything is written.
    pub(super) tail: bool,
    pub(super) place: Place,
}

/// Whether records may still follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    Open,
    /// No record may follow, and the file does not say so yet.
    Due,
    Written,
}

impl Segment {
    pub(super) fn new(name: SegmentName, created: Millis, place: Place) -> Self {
        Self {
            name,
            seed: name.seed(),
            created,
            end: 0,
            sequence: 0,
            pending: 0,
            ended: EndedRecords::default(),
            unwritten: Vec::new(),
            unnoted: None,
            seal: Seal::Open,
            tail: false,
            place,
        }
    }

    /// A segment whose file can't be opened.
    pub(super) fn closed(name: SegmentName, created: Millis, length: u64) -> Self {
        let end = u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            end,
            seal: Seal::Written,
            ..Self::new(name, created, Place::Closed)
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.name.number
    }

    pub(super) fn in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// The bytes that it takes up, and those that it may need if each record's end is written on its own. So
    /// there is always room for an end within the bound.
    pub(super) fn weight(&self) -> u64 {
        let open = u64::from(self.pending) + self.unwritten.len() as u64;
        u64::from(self.end) + open * ENDED as u64 + HEAD as u64
    }

    /// Notes the end of a record. False if nothing changed: the record had ended, or there is none.
    pub(super) fn finish(&mut self, offset: u32) -> bool {
        if self.pending == 0 || offset >= self.end || !self.ended.insert(offset) {
            return false;
        }
        self.pending -= 1;
        self.unwritten.push(offset);
        true
    }

    pub(super) fn seal(&mut self) {
        if self.seal == Seal::Open {
            self.seal = Seal::Due;
        }
    }

    /// Whether all its records have ended and none may follow.
    pub(super) fn is_over(&self) -> bool {
        self.pending == 0 && self.seal != Seal::Open && !matches!(self.place, Place::Closed)
    }

    pub(super) fn has_news(&self) -> bool {
        !self.unwritten.is_empty() || self.unnoted.is_some() || self.seal == Seal::Due
    }

    /// Writes the frames with what the file does not say yet.
    pub(super) fn write_news(&self, out: &mut Vec<u8>) {
        for offsets in self.unwritten.chunks(MAX_BODY / 4) {
            frame::write(out, self.seed, FrameKind::Ended, self.sequence, |out| {
                out.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
            });
        }
        if let Some(noted) = self.unnoted {
            frame::write(out, self.seed, FrameKind::Noted, self.sequence, |out| {
                out.extend_from_slice(&noted.to_le_bytes());
            });
        }
        if self.seal == Seal::Due {
            frame::write(out, self.seed, FrameKind::Sealed, self.sequence, |_| {});
        }
    }

    /// The frames of [`Segment::write_news`] are in the file.
    pub(super) fn news_written(&mut self) {
        self.unwritten.clear();
        self.unnoted = None;
        if self.seal == Seal::Due {
            self.seal = Seal::Written;
        }
    }

    /// Appends all bytes or none. In memory this can't fail.
    pub(super) fn write(&mut self, bytes: &[u8], syncer: Option<&mut Syncer>) -> Result<(), DiskError> {
        match &mut self.place {
            Place::Memory(held) => held.extend_from_slice(bytes),
            Place::File(target) => {
                let end = u64::from(self.end);
                if self.tail {
                    let cut = target.truncate(end);
                    cut.map_err(|error| DiskError::call("cutting", &target.path, error))?;
                    self.tail = false;
                }
                let written = target.change(end + bytes.len() as u64, |file| write_all_at(file, bytes, end));
                if let Err(error) = written {
                    self.tail = target.truncate(end).is_err();
                    return Err(DiskError::call("writing", &target.path, error));
                }
                if let Some(syncer) = syncer {
                    syncer.file(target);
                }
            }
            Place::Closed => {}
        }
        self.end += bytes.len() as u32;
        Ok(())
    }

    /// Writes the header alone.
    pub(super) fn begin(&mut self, syncer: &mut Syncer) -> Result<(), DiskError> {
        self.write(&frame::header(self.seed, self.created), Some(syncer))
    }

    /// Moves the segment into this empty file. If writing fails, it stays in memory as it was.
    pub(super) fn move_to(
        &mut self,
        target: &Arc<SegmentFile>,
        syncer: &mut Syncer,
    ) -> Result<(), DiskError> {
        let Place::Memory(bytes) = &mut self.place else {
            return Ok(());
        };
        let mut image = std::mem::take(bytes);
        let length = image.len();
        self.write_news(&mut image);
        let written = target.change(image.len() as u64, |file| write_all_at(file, &image, 0));
        if let Err(error) = written {
            image.truncate(length);
            self.place = Place::Memory(image);
            return Err(DiskError::call("writing", &target.path, error));
        }
        self.end = image.len() as u32;
        self.news_written();
        self.place = Place::File(Arc::clone(target));
        syncer.file(target);
        Ok(())
    }
}
