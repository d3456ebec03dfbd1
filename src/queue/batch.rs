//! Records on their way into the queue.

use std::ops::Range;

use super::{
    Millis, Position,
    frame::{self, HEADER},
};

/// What is kept of the buffers between two uses, in bytes and in records.
const KEPT: (usize, usize) = (256 * 1_024, 1_024);

/// Records to be appended, in the form in which they are written: made where they stay until the disk has them, with room
/// for what only the queue knows.
#[derive(Debug, Default)]
pub struct Batch {
    /// Room for a file's header, then frames.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A record of a batch.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its frame.
    frame: Range<usize>,
    key: u64,
    at: Millis,
}

/// What became of a record that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Where it is; `None` where it is larger than a segment may be.
    pub position: Option<Position>,
    /// The record's.
    pub key: u64,
    /// The record's.
    pub at: Millis,
}

impl Batch {
    /// Adds a record with this tag, whose bytes `write` appends: up to a MiB, less 17 bytes; less where `max_bytes` is under
    /// 8 MiB. It gives the record's key and time, which come back with the [`Pending`](super::Pending) record; or nothing,
    /// and there is no record: then this is false.
    pub fn add(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>) -> Option<(u64, Millis)>) -> bool {
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER, 0);
        }
        let start = self.bytes.len();
        frame::open_record(&mut self.bytes, tag);
        let Some((key, at)) = write(&mut self.bytes) else {
            self.bytes.truncate(start);
            return false;
        };
        frame::set_key(&mut self.bytes[start..], key, at);
        let frame = start..self.bytes.len();
        self.entries.push(Entry { frame, key, at });
        true
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Makes `count` records from `first` on ready for a segment, and says where their bytes are: behind the header of the
    /// file, if they are the first ones there. What was before them has been appended, and may be written over.
    pub(super) fn seal(&mut self, first: usize, count: usize, seed: u32, room: Room) -> Range<usize> {
        let entries = &self.entries[first..first + count];
        for (sequence, entry) in (room.sequence..).zip(entries) {
            frame::seal_record(&mut self.bytes[entry.frame.clone()], seed, sequence);
        }
        let frames = match entries {
            [first, .., last] => first.frame.start..last.frame.end,
            [only] => only.frame.clone(),
            [] => return 0..0,
        };
        match room.created {
            None => frames,
            Some(created) => {
                let header = frame::header(seed, created);
                let start = frames.start - HEADER;
                self.bytes[start..frames.start].copy_from_slice(&header);
                start..frames.end
            }
        }
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Gives the bytes away, and goes on with another buffer.
    pub(super) fn swap(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.bytes, buffer)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT.0);
        self.entries.clear();
        self.entries.shrink_to(KEPT.1);
    }

    /// The records, as they will be read.
    #[cfg(test)]
    pub(crate) fn records(&self) -> impl Iterator<Item = super::Record<'_>> {
        self.entries
            .iter()
            .filter_map(|entry| frame::read_record(&self.bytes[entry.frame.clone()][frame::HEAD..]))
    }
}

/// Where in a segment records go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The sequence number of the first.
    pub(super) sequence: u32,
    /// When the segment was begun, if its file has no header yet.
    pub(super) created: Option<Millis>,
}

impl Entry {
    /// How much it takes up as a frame.
    pub(super) fn size(&self) -> usize {
        self.frame.len()
    }

    /// How far it is from another one before it.
    pub(super) fn after(&self, other: &Entry) -> usize {
        self.frame.start - other.frame.start
    }

    pub(super) fn stored(&self, position: Option<Position>) -> Stored {
        Stored {
            position,
            key: self.key,
            at: self.at,
        }
    }
}
