//! The queue itself: appends, reads, ends. What goes on beside these is in `upkeep`, what goes on at a start in `recover`.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    At, Gone, Millis, Position, ReadError, Settings, Why,
    batch::{Batch, Entry, Room, Stored},
    cache::{Ahead, Recent},
    directory::{self, Directory, Failure, Listed},
    disk::{Disk, Real},
    frame::{self, ENDED, HEAD, HEADER, MAX_BODY},
    segment::{Place, Seal, Segment},
};

/// What is kept in memory, at most, while the disk is out of use.
const FALLBACK: u64 = 16 << 20;
/// How long the disk is left alone after it failed.
pub(super) const RETRY: Millis = 1000;
/// How far a process without the lock keeps its numbers from those in the directory.
const APART: u32 = 1 << 16;

/// A queue of records; [the module](super) says how it works and what it promises.
///
/// Dropped without [`close`](Self::close), it is as if the process had been killed.
pub struct Queue {
    pub(super) disk: Arc<dyn Disk>,
    /// `None`: memory was chosen.
    pub(super) home: Option<PathBuf>,
    own_thread: bool,
    pub(super) disk_limit: Limit,
    pub(super) memory_limit: Limit,
    pub(super) max_age: Millis,
    /// The age at which a segment takes no more records.
    pub(super) rotate_after: Millis,
    /// `None`: not locked, or not yet.
    pub(super) directory: Option<Directory>,
    /// Files of an earlier process that `recover` has yet to read.
    pub(super) unread: Vec<Listed>,
    pub(super) trouble: Option<Trouble>,
    /// Oldest first, by number. Records go to the last one while it is open.
    pub(super) segments: VecDeque<Segment>,
    next_number: u32,
    pub(super) now: Millis,
    pub(super) gone: VecDeque<Gone>,
    recent: Recent,
    pub(super) ahead: Ahead,
    /// A buffer for frames that are no records; empty between calls.
    pub(super) news: Vec<u8>,
}

/// The disk is out of use.
pub(super) struct Trouble {
    pub(super) alarm: String,
    pub(super) retry_at: Millis,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    pub(super) segment: u64,
}

impl Limit {
    pub(super) const SMALLEST: u64 = 64 << 10;

    fn new(bytes: u64) -> Self {
        // The count is bounded too, as each segment has an open file. An offset has 32 bits.
        let segment = (bytes / 8)
            .clamp(Self::SMALLEST, 8 << 20)
            .max(bytes / 128)
            .min(1 << 30);
        Self {
            bytes: bytes.max(segment),
            segment,
        }
    }
}

impl Queue {
    /// Locks the directory and lists it. `now` starts the owner's clock. What can't be done is in the alarm.
    pub fn open(settings: &Settings, now: Millis) -> Self {
        Self::open_on(Arc::new(Real), settings, now, true)
    }

    /// `own_thread`: whether syncing has one; else it is done at each tick.
    pub(super) fn open_on(disk: Arc<dyn Disk>, settings: &Settings, now: Millis, own_thread: bool) -> Self {
        let max_age = settings.max_age.as_millis().try_into().unwrap_or(Millis::MAX);
        let (home, fallback) = match &settings.at {
            At::Memory => (None, settings.max_bytes),
            At::Disk(path) => (Some(path.clone()), settings.max_bytes.min(FALLBACK)),
        };
        let mut queue = Self {
            disk,
            home,
            own_thread,
            disk_limit: Limit::new(settings.max_bytes),
            memory_limit: Limit::new(fallback),
            max_age,
            rotate_after: (max_age / 64).clamp(100, 15 * 60 * 1000),
            directory: None,
            unread: Vec::new(),
            trouble: None,
            segments: VecDeque::new(),
            next_number: 1,
            now,
            gone: VecDeque::new(),
            recent: Recent::default(),
            ahead: Ahead::default(),
            news: Vec::new(),
        };
        if let Some(home) = queue.home.clone()
            && let Err(failure) = queue.attach(&home)
        {
            // So that its segments can become files there once the lock is free.
            let newest = directory::list(&*queue.disk, &home)
                .ok()
                .and_then(|files| files.last().copied());
            queue.next_number = newest.map_or(0, |file| file.name.number) + APART;
            queue.fail(&failure);
        }
        queue
    }

    pub(super) fn attach(&mut self, home: &Path) -> Result<(), Failure> {
        let (directory, files) = Directory::attach(&self.disk, home, self.own_thread)?;
        if let Some(newest) = files.last() {
            if self
                .segments
                .front()
                .is_some_and(|oldest| oldest.number() <= newest.name.number)
            {
                return Err(Failure::Overtaken(home.to_owned()));
            }
            self.next_number = self.next_number.max(newest.name.number + 1);
        }
        self.directory = Some(directory);
        self.unread = files;
        Ok(())
    }

    /// Stores the records of a batch, in their order, with one write a segment, and empties it. `each` is told what became
    /// of each.
    ///
    /// When this returns, the records survive the process, unless there is an [`alarm`](Self::alarm).
    pub fn append(&mut self, batch: &mut Batch, now: Millis, each: &mut dyn FnMut(Stored)) {
        self.now = self.now.max(now);
        let mut next = 0;
        while let Some(entry) = batch.entries().get(next) {
            if self.has_room_for_one(entry) {
                next += self.append_some(batch, next, each);
            } else {
                each(entry.stored(None));
                next += 1;
            }
        }
        batch.clear();
    }

    fn has_room_for_one(&self, entry: &Entry) -> bool {
        let size = entry.size();
        let segment = self.disk_limit.segment.min(self.memory_limit.segment);
        size - HEAD <= MAX_BODY && (HEADER + size + ENDED + HEAD) as u64 <= segment
    }

    /// Stores as many as one segment has room for, from `first` on, one at the least; says how many.
    fn append_some(&mut self, batch: &mut Batch, first: usize, each: &mut dyn FnMut(Stored)) -> usize {
        // Twice at the most: where the disk fails, the second time is memory's, which can't.
        loop {
            self.open_segment(batch.entries()[first].size());
            let last = self.segments.len() - 1;
            let segment = &self.segments[last];
            let (number, start) = (segment.number(), segment.end);
            let header = if start == 0 { HEADER } else { 0 };
            let count = self.count_fitting(&batch.entries()[first..], segment, header);
            let room = Room {
                sequence: segment.sequence,
                created: (start == 0).then_some(segment.created),
            };
            let range = batch.seal(first, count, segment.seed, room);
            let added = (range.len() + count * ENDED) as u64;
            let written = self.make_room(segment.in_memory(), added, number).and_then(|()| {
                let last = self.segments.len() - 1;
                self.segments[last].write(batch.bytes(range.clone()), self.directory.as_mut())
            });
            if let Err(failure) = written {
                self.fail(&failure);
                continue;
            }
            let last = self.segments.len() - 1;
            let segment = &mut self.segments[last];
            segment.sequence += count as u32;
            segment.pending += count as u32;
            // The buffer goes as a whole or not at all; the entries still say where in it the records are.
            if !segment.in_memory() && count == batch.entries().len() {
                let bytes = batch.swap(self.recent.buffer(range.end));
                self.recent.push(number, start, bytes, range.start);
            }
            let stored = &batch.entries()[first..first + count];
            for entry in stored {
                let offset = start + (header + entry.after(&stored[0])) as u32;
                each(entry.stored(Some(Position::new(number, offset))));
            }
            return count;
        }
    }

    /// How many of these have room in a segment, behind a header of so many bytes.
    fn count_fitting(&self, entries: &[Entry], segment: &Segment, header: usize) -> usize {
        let limit = if segment.in_memory() {
            self.memory_limit
        } else {
            self.disk_limit
        };
        let mut weight = segment.weight() + header as u64;
        let fitting = entries.iter().take_while(|entry| {
            weight += (entry.size() + ENDED) as u64;
            weight <= limit.segment && self.has_room_for_one(entry)
        });
        fitting.count()
    }

    /// Sees to it that the last segment is open, in the right place, and has room for a record of that size.
    fn open_segment(&mut self, size: usize) {
        let on_disk = self.is_durable();
        let limit = if on_disk {
            self.disk_limit
        } else {
            self.memory_limit
        };
        if let Some(active) = self
            .segments
            .back_mut()
            .filter(|segment| segment.seal == Seal::Open)
        {
            let header = if active.end == 0 { HEADER } else { 0 };
            let fits = active.weight() + (header + size + ENDED) as u64 <= limit.segment;
            let young = self.now.saturating_sub(active.created) < self.rotate_after;
            if active.in_memory() != on_disk && fits && young {
                return;
            }
            active.seal();
        }
        let number = self.take_number();
        let begun = match &mut self.directory {
            Some(directory) if on_disk => directory
                .begin(number, self.now)
                .map_err(|failure| self.fail(&failure)),
            _ => Err(()),
        };
        let in_memory = |()| Segment::new(directory::new_name(number), self.now, Place::Memory(Vec::new()));
        self.segments.push_back(begun.unwrap_or_else(in_memory));
    }

    pub(super) fn take_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Evicts the oldest, in memory or on the disk, until so many bytes more are within the limit. The segment that
    /// they are for stays.
    pub(super) fn make_room(&mut self, in_memory: bool, added: u64, keep: u32) -> Result<(), Failure> {
        let limit = if in_memory {
            self.memory_limit
        } else {
            self.disk_limit
        };
        while self.held(in_memory) + added > limit.bytes {
            let oldest = self
                .segments
                .iter()
                .position(|segment| segment.in_memory() == in_memory && segment.number() != keep);
            let Some(oldest) = oldest else { break };
            self.drop_segment(oldest, Why::Evicted)?;
        }
        Ok(())
    }

    fn held(&self, in_memory: bool) -> u64 {
        self.segments
            .iter()
            .filter(|segment| segment.in_memory() == in_memory)
            .map(Segment::weight)
            .sum()
    }

    /// The segment goes, and the owner is told if records of it had not ended.
    pub(super) fn drop_segment(&mut self, index: usize, why: Why) -> Result<(), Failure> {
        let segment = &self.segments[index];
        let number = segment.number();
        if !segment.in_memory()
            && let Some(directory) = &mut self.directory
        {
            let newer = |other: &Segment| !other.in_memory() && other.number() > number;
            let newest =
                !self.segments.iter().any(newer) && !self.unread.iter().any(|file| file.name.number > number);
            directory.remove(segment, newest)?;
            self.ahead.forget(number);
        }
        if segment.pending > 0 {
            self.gone.push_back(Gone {
                from: Position::new(number, 0),
                below: Position::new(number + 1, 0),
                records: u64::from(segment.pending),
                why,
            });
        }
        self.segments.remove(index);
        Ok(())
    }

    /// Reads the record's bytes in place of what is in `into`.
    pub fn read(&mut self, at: Position, into: &mut Vec<u8>) -> Result<(), ReadError> {
        into.clear();
        let (number, offset) = (at.segment(), at.offset());
        let segment = self
            .find(number)
            .map(|index| &self.segments[index])
            .ok_or(ReadError::Gone)?;
        if offset >= segment.end {
            return Err(ReadError::Gone);
        }
        let bytes = match &segment.place {
            Place::Closed => return Err(ReadError::Gone),
            Place::Memory(bytes) => bytes.get(offset as usize..).unwrap_or_default(),
            Place::File(target) => {
                if let Some(bytes) = self.recent.find(number, offset) {
                    bytes
                } else {
                    let failed = |source| ReadError::Io {
                        path: target.path.clone(),
                        source,
                    };
                    let file = &*target.handle;
                    let bytes = self.ahead.read(file, number, offset, HEAD).map_err(failed)?;
                    let whole = frame::read_head(bytes, segment.seed)
                        .ok_or(ReadError::Corrupt)?
                        .whole();
                    self.ahead.read(file, number, offset, whole).map_err(failed)?
                }
            }
        };
        let record = frame::read_whole_record(bytes, segment.seed).ok_or(ReadError::Corrupt)?;
        into.extend_from_slice(record.bytes);
        Ok(())
    }

    /// The record has ended, whatever its end was: it will not be reported again once this is
    /// [flushed](Self::flush). A second time, or of a record that is gone, it does nothing.
    pub fn finish(&mut self, at: Position) {
        if let Some(index) = self.find(at.segment()) {
            self.segments[index].finish(at.offset());
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        self.segments.binary_search_by_key(&number, Segment::number).ok()
    }

    /// The next range of records that went before they ended. The owner drops those that it holds, and counts them.
    pub fn next_gone(&mut self) -> Option<Gone> {
        self.gone.pop_front()
    }

    /// What the segments take up, on the disk and in memory.
    pub fn bytes(&self) -> u64 {
        let unread: u64 = self.unread.iter().map(|file| file.length).sum();
        unread
            + self
                .segments
                .iter()
                .map(|segment| u64::from(segment.end))
                .sum::<u64>()
    }

    /// Why the disk is out of use, and so records in memory would not survive the process.
    pub fn alarm(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.alarm.as_str())
    }

    /// Whether all that was appended and flushed would survive a power cut.
    pub fn is_synced(&self) -> bool {
        self.is_durable()
            && self
                .directory
                .as_ref()
                .is_some_and(|directory| directory.syncer.is_done())
    }

    pub(super) fn is_durable(&self) -> bool {
        self.directory.is_some() && self.trouble.is_none()
    }
}
