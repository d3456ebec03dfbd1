//! Records on their way into the queue.

use std::ops::Range;

use super::{
    frame::{self, HEADER},
    record::{Millis, Position},
};

/// The capacity that the buffers keep between two uses, in bytes and in records.
const KEPT: (usize, usize) = (256 * 1_024, 1_024);

/// Records to be appended, in the form of the file. They are made in the buffer that is written, with room
/// for the fields that only the queue knows.
#[derive(Debug, Default)]
pub struct Batch {
    /// Space for a file's header, then frames.
    bytes: Vec<u8>,
    entries: Vec<BatchEntry>,
}

/// A record of a batch.
#[derive(Debug)]
pub(super) struct BatchEntry {
    /// Its frame.
    frame: Range<usize>,
    key: u64,
    at: Millis,
}

/// What became of a record that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its position; `None` if the record is larger than a segment may be, and was not stored.
    pub position: Option<Position>,
    /// The record's.
    pub key: u64,
    /// The record's.
    pub at: Millis,
}

impl Batch {
    /// Adds a record with this tag. `write` appends its bytes, up to a MiB less 17 bytes (less if `max_bytes`
    /// is under 8 MiB), and returns its key and time, which recovery reports in [`Pending`](super::Pending).
    /// If `write` returns `None`, no record is added, and this returns false.
    pub fn add(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>) -> Option<(u64, Millis)>) -> bool {
        // After the last record, or after the header's space. This drops what a panic in `write` left.
        let start = self.entries.last().map_or(HEADER, |last| last.frame.end);
        self.bytes.resize(start, 0);
        frame::open_record(&mut self.bytes, tag);
        let Some((key, at)) = write(&mut self.bytes) else {
            return false;
        };
        frame::set_key(&mut self.bytes[start..], key, at);
        let frame = start..self.bytes.len();
        self.entries.push(BatchEntry { frame, key, at });
        true
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[BatchEntry] {
        &self.entries
    }

    /// Completes `count` records (at least one) from `first` on for a segment, and returns where their bytes
    /// are. If they are the first of the file, the file's header precedes them. The bytes before them were
    /// appended or refused, so they may be overwritten.
    pub(super) fn seal(&mut self, first: usize, count: usize, seed: u32, room: Room) -> Range<usize> {
        let entries = &self.entries[first..first + count];
        for (sequence, entry) in (room.sequence..).zip(entries) {
            frame::seal_record(&mut self.bytes[entry.frame.clone()], seed, sequence);
        }
        let frames = entries[0].frame.start..entries[count - 1].frame.end;
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

    /// Takes the bytes out, and puts another buffer in their place.
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
    pub(crate) fn records(&self) -> impl Iterator<Item = super::record::Record<'_>> {
        self.entries
            .iter()
            .filter_map(|entry| frame::read_record(&self.bytes[entry.frame.clone()][frame::HEAD..]))
    }
}

/// Where records go in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The sequence number of the first.
    pub(super) sequence: u32,
    /// When the segment was begun, if its file needs a header.
    pub(super) created: Option<Millis>,
}

impl BatchEntry {
    /// The size of its frame.
    pub(super) fn size(&self) -> usize {
        self.frame.len()
    }

    /// The distance from an entry before it, in bytes.
    pub(super) fn after(&self, other: &BatchEntry) -> usize {
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn what_was_not_made_leaves_nothing() {
        let mut batch = Batch::default();
        let add = |batch: &mut Batch, text: &[u8], key: Option<u64>| {
            batch.add(7, |out| {
                out.extend_from_slice(text);
                assert!(text != b"panics", "a fault in the making");
                key.map(|key| (key, 2))
            })
        };
        assert!(add(&mut batch, b"one", Some(1)));
        assert!(!add(&mut batch, b"none", None));
        assert!(catch_unwind(AssertUnwindSafe(|| add(&mut batch, b"panics", Some(2)))).is_err());
        assert!(add(&mut batch, b"three", Some(3)));
        let read: Vec<_> = batch.records().map(|r| (r.key, r.at, r.tag, r.bytes)).collect();
        assert_eq!(read, [(1, 2, 7, &b"one"[..]), (3, 2, 7, &b"three"[..])]);
        let created = Some(5);
        let range = batch.seal(0, 2, 9, Room { sequence: 0, created });
        assert_eq!((range.start, range.end), (0, HEADER + 2 * frame::RECORD + 8));
    }
}
