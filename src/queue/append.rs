//! Appends batches to the newest segment.

use super::{
    batch::{Batch, BatchEntry, Room, Stored},
    directory,
    frame::{ENDED, HEAD, HEADER, MAX_BODY},
    record::{Millis, Position},
    segment::{Place, Seal, Segment},
    store::Queue,
};

impl Queue {
    /// Stores the records of a batch in their order, with one write for each segment, and empties the batch.
    /// Calls `each` for each record.
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

    fn has_room_for_one(&self, entry: &BatchEntry) -> bool {
        let size = entry.size();
        let segment = self.disk_limit.segment.min(self.memory_limit.segment);
        size - HEAD <= MAX_BODY && (HEADER + size + ENDED + HEAD) as u64 <= segment
    }

    /// Stores records from `first` on, as many as one segment has room for and at least one; returns how
    /// many.
    fn append_some(&mut self, batch: &mut Batch, first: usize, each: &mut dyn FnMut(Stored)) -> usize {
        // Runs at most twice. If the disk fails, the second time is in memory, which can't fail.
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
                let syncer = self.directory.as_mut().map(|directory| &mut directory.syncer);
                self.segments[last].write(batch.bytes(range.clone()), syncer)
            });
            if let Err(failure) = written {
                self.fail(&failure);
                continue;
            }
            let last = self.segments.len() - 1;
            let segment = &mut self.segments[last];
            segment.sequence += count as u32;
            segment.pending += count as u32;
            // Only a whole batch's buffer is kept. The entries still say where its records are.
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

    /// How many of these entries have room in the segment, after a header of so many bytes.
    fn count_fitting(&self, entries: &[BatchEntry], segment: &Segment, header: usize) -> usize {
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

    /// Makes sure that the last segment is open, in memory or on the disk as it should be, and has room for a
    /// record of that size.
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
}
