//! The queue's state, and what the other files share: opening, room, the disk's failure, reads and ends.
//! `append` appends, `recover` reads what earlier processes left, `upkeep` flushes, rotates, expires and
//! retries the disk.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    bounded_disk::BoundedDisk,
    cache::{ReadAhead, RecentWrites},
    directory::{self, Directory, Listed},
    disk::{Disk, Real},
    disk_error::DiskError,
    frame::{self, HEAD},
    record::{Gone, Millis, Position, ReadError, Why},
    segment::{Place, Seal, Segment},
    settings::{At, Settings},
};

/// The most bytes that are kept in memory while the disk is out of use.
const FALLBACK: u64 = 16 << 20;
/// How long after a failure the disk is tried again.
const RETRY: Millis = 1000;
/// A process without the lock numbers its segments from so far above the newest one in the directory.
const APART: u32 = 1 << 16;

/// A queue of records; [the module](super) says how it works and what it promises.
///
/// Dropping it without [`close`](Self::close) is like killing the process.
pub struct Queue {
    pub(super) disk: Arc<dyn Disk>,
    /// `None` if the queue is in memory by configuration.
    pub(super) home: Option<PathBuf>,
    own_thread: bool,
    pub(super) disk_limit: Limit,
    pub(super) memory_limit: Limit,
    pub(super) max_age: Millis,
    /// The age in milliseconds at which a segment takes no more records.
    pub(super) rotate_after: Millis,
    /// `None` while this process does not hold the lock.
    pub(super) directory: Option<Directory>,
    /// Files of an earlier process that `recover` has yet to read.
    pub(super) unread: Vec<Listed>,
    pub(super) outage: Option<DiskOutage>,
    /// Ordered by number, which is by age. Records go to the last one while it is open.
    pub(super) segments: VecDeque<Segment>,
    next_number: u32,
    pub(super) now: Millis,
    pub(super) gone: VecDeque<Gone>,
    pub(super) recent: RecentWrites,
    pub(super) read_ahead: ReadAhead,
    /// A buffer for frames other than records; empty between calls.
    pub(super) news: Vec<u8>,
    /// When the files were last looked at.
    pub(super) looked: Millis,
    /// Records that were written again since the alarm was raised.
    pub(super) rewritten: u64,
    /// What an operator should know, a line each.
    pub(super) notes: Vec<String>,
}

/// The disk is out of use.
pub(super) struct DiskOutage {
    pub(super) alarm: String,
    pub(super) kind: &'static str,
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
        // Large queues get larger segments, as each segment keeps a file open. An offset has 32 bits.
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
    /// Locks the directory and lists it. `now` starts the owner's clock. A failure is in the alarm. The
    /// calling thread is the owner's.
    pub fn open(settings: &Settings, now: Millis) -> Self {
        let disk = match settings.at {
            At::Memory => Arc::new(Real),
            At::Disk(_) => BoundedDisk::over(Arc::new(Real)),
        };
        Self::open_on(disk, settings, now, true)
    }

    /// `own_thread`: whether a thread syncs. Otherwise each tick syncs.
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
            outage: None,
            segments: VecDeque::new(),
            next_number: 1,
            now,
            gone: VecDeque::new(),
            recent: RecentWrites::default(),
            read_ahead: ReadAhead::default(),
            news: Vec::new(),
            looked: now,
            rewritten: 0,
            notes: Vec::new(),
        };
        if let Some(home) = queue.home.clone()
            && let Err(failure) = queue.attach(&home)
        {
            // With greater numbers, the segments can become files once the lock is free.
            let newest = directory::list(&*queue.disk, &home)
                .ok()
                .and_then(|files| files.last().copied());
            queue.next_number = newest.map_or(0, |file| file.name.number) + APART;
            queue.fail(&failure);
        }
        queue
    }

    pub(super) fn attach(&mut self, home: &Path) -> Result<(), DiskError> {
        let (directory, mut files) = Directory::attach(&self.disk, home, self.own_thread)?;
        // These are copies of what this process has open.
        files.retain(|file| !self.segments.iter().any(|segment| segment.name == file.name));
        if let Some(note) = directory.restrict()
            && !self.notes.contains(&note)
        {
            self.notes.push(note);
        }
        if let Some(newest) = files.last() {
            if self
                .segments
                .front()
                .is_some_and(|oldest| oldest.number() <= newest.name.number)
            {
                return Err(DiskError::Overtaken(home.to_owned()));
            }
            self.next_number = self.next_number.max(newest.name.number + 1);
        }
        self.directory = Some(directory);
        self.unread = files;
        Ok(())
    }

    pub(super) fn take_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Evicts the oldest segments, in memory or on the disk, until `added` bytes more are within the limit.
    /// Keeps the segment with the number `keep`.
    pub(super) fn make_room(&mut self, in_memory: bool, added: u64, keep: u32) -> Result<(), DiskError> {
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

    /// Drops a segment. If it has records that have not ended, [`Queue::next_gone`] will report them.
    pub(super) fn drop_segment(&mut self, index: usize, why: Why) -> Result<(), DiskError> {
        let segment = &self.segments[index];
        let number = segment.number();
        if !segment.in_memory()
            && let Some(directory) = &mut self.directory
        {
            let newer = |other: &Segment| !other.in_memory() && other.number() > number;
            let newest =
                !self.segments.iter().any(newer) && !self.unread.iter().any(|file| file.name.number > number);
            directory.remove(segment, newest)?;
            self.read_ahead.forget(number);
        }
        if segment.pending > 0 {
            self.gone.push_back(Gone {
                from: Position::new(number, 0),
                below: Position::new(number + 1, 0),
                kept: Vec::new(),
                records: u64::from(segment.pending),
                why,
            });
        }
        self.segments.remove(index);
        Ok(())
    }

    /// Puts the disk out of use. The segment that took records takes no more.
    pub(super) fn fail(&mut self, failure: &DiskError) {
        self.outage = Some(DiskOutage {
            alarm: format!("{failure}; new events are kept in memory alone until that is over"),
            kind: failure.kind(),
            retry_at: self.now.saturating_add(RETRY),
        });
        let Some(active) = self
            .segments
            .back_mut()
            .filter(|active| active.seal == Seal::Open)
        else {
            return;
        };
        if active.in_memory() {
            return;
        }
        if active.sequence > 0 {
            active.seal();
        } else if let Some(empty) = self.segments.pop_back()
            && let Some(directory) = &mut self.directory
        {
            directory.abandon(&empty);
        }
    }

    /// Replaces the content of `into` by the record's bytes.
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
                    let bytes = self.read_ahead.read(file, number, offset, HEAD).map_err(failed)?;
                    let whole = frame::read_head(bytes, segment.seed)
                        .ok_or(ReadError::Corrupt)?
                        .whole();
                    self.read_ahead
                        .read(file, number, offset, whole)
                        .map_err(failed)?
                }
            }
        };
        let record = frame::read_whole_record(bytes, segment.seed).ok_or(ReadError::Corrupt)?;
        into.extend_from_slice(record.bytes);
        Ok(())
    }

    /// Notes that the record has ended. Once this is [flushed](Self::flush), no recovery reports the record.
    /// Does nothing if the record has ended or is gone.
    pub fn finish(&mut self, at: Position) {
        if let Some(index) = self.find(at.segment()) {
            self.segments[index].finish(at.offset());
        }
    }

    /// What identifies a record among those of all queues, in this process and in later ones: its file's random
    /// name, and its place there. `None` if the record is gone.
    pub fn identity(&self, at: Position) -> Option<(u64, u32)> {
        let index = self.find(at.segment())?;
        Some((self.segments[index].name.salt, at.offset()))
    }

    fn find(&self, number: u32) -> Option<usize> {
        self.segments.binary_search_by_key(&number, Segment::number).ok()
    }

    /// The next range of records that went before they ended. The owner has to drop and count them.
    pub fn next_gone(&mut self) -> Option<Gone> {
        self.gone.pop_front()
    }

    /// Takes the next line that an operator should know.
    pub fn next_note(&mut self) -> Option<String> {
        self.notes.pop()
    }

    /// The bytes that the segments take up, on the disk and in memory.
    pub fn bytes(&self) -> u64 {
        let unread: u64 = self.unread.iter().map(|file| file.length).sum();
        unread
            + self
                .segments
                .iter()
                .map(|segment| u64::from(segment.end))
                .sum::<u64>()
    }

    /// Why the disk is out of use. Meanwhile new records do not survive the process. `None` if all is well.
    pub fn alarm(&self) -> Option<&str> {
        self.outage.as_ref().map(|outage| outage.alarm.as_str())
    }

    /// What kind of failure the alarm is about, whichever file it names; empty without one.
    pub fn alarm_kind(&self) -> &'static str {
        self.outage.as_ref().map_or("", |outage| outage.kind)
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
        self.directory.is_some() && self.outage.is_none()
    }
}
