//! Recovers the records that earlier processes left.

use std::sync::Arc;

use super::{
    directory::Listed,
    disk_error::DiskError,
    frame::Header,
    record::{Millis, Position},
    scan::{self, Found, Window},
    segment::{Place, Seal, Segment},
    segment_file::SegmentFile,
    store::Queue,
};

/// The most notes that are kept. More would tell an operator nothing new.
const MAX_NOTES: usize = 16;

/// A record of an earlier process that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Where it is.
    pub position: Position,
    /// The record's key.
    pub key: u64,
    /// The record's time.
    pub at: Millis,
    /// The record's tag.
    pub tag: u8,
}

/// What [`Queue::recover`] found. Each record is counted once over all processes, unless one is killed
/// meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that were reported.
    pub pending: u64,
    /// Records that can't be read any more.
    pub corrupt: u64,
    /// The oldest records, dropped without a report because the files were larger than `max_bytes`.
    pub evicted: u64,
    /// Records dropped without a report because they were older than `max_age`.
    pub expired: u64,
    /// What an operator should know of the files, a line each.
    pub notes: Vec<String>,
}

impl Queue {
    /// Calls `each` for the records that have not ended, oldest first. To be called after
    /// [`open`](Self::open) and before the first [`append`](Self::append), and again if
    /// [`needs_recovery`](Self::needs_recovery) is true after a [`tick`](Self::tick). Until then the disk is
    /// not used.
    pub fn recover(&mut self, now: Millis, each: &mut dyn FnMut(Pending)) -> Recovered {
        self.now = self.now.max(now);
        let unread = std::mem::take(&mut self.unread);
        let mut recovered = Recovered::default();
        let mut window = Window::new();
        let length: u64 = unread.iter().map(|file| file.length).sum();
        let mut excess = length.saturating_sub(self.disk_limit.bytes);
        let mut found = Vec::with_capacity(unread.len());
        for file in &unread {
            let Some((mut segment, records)) = self.read_segment(file, &mut window, &mut recovered) else {
                continue;
            };
            let over_age = self.is_over_age(segment.created);
            let pending = u64::from(segment.pending);
            if over_age || excess > 0 {
                // Its records are not reported, so nobody will finish them. The flush below removes it.
                segment.pending = 0;
                *if over_age {
                    &mut recovered.expired
                } else {
                    &mut recovered.evicted
                } += pending;
            } else {
                recovered.pending += pending;
                for record in records
                    .iter()
                    .filter(|record| !segment.ended.contains(record.offset))
                {
                    let position = Position::new(segment.number(), record.offset);
                    each(Pending {
                        position,
                        key: record.key,
                        at: record.at,
                        tag: record.tag,
                    });
                }
            }
            if segment.pending == 0 {
                excess = excess.saturating_sub(file.length);
            }
            found.push(segment);
        }
        // Segments begun meanwhile have greater numbers.
        for segment in found.into_iter().rev() {
            self.segments.push_front(segment);
        }
        self.flush();
        if let Some(outage) = &mut self.outage {
            // Now the segments in memory can become files.
            outage.retry_at = self.now;
        }
        recovered.notes.truncate(MAX_NOTES);
        recovered
    }

    /// Whether there are files to be recovered: after the start, and after another process gave up the
    /// directory's lock.
    pub fn needs_recovery(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The segment and all its records, ended or not. `None` if the file must not be touched.
    fn read_segment(
        &self,
        file: &Listed,
        window: &mut Window,
        recovered: &mut Recovered,
    ) -> Option<(Segment, Vec<Found>)> {
        let notes = &mut recovered.notes;
        let mut closed = |reason: String| {
            notes.push(format!("{reason}; the file is left there"));
            Some((
                Segment::closed(file.name, file.modified.min(self.now), file.length),
                Vec::new(),
            ))
        };
        let (target, length) = match self.open_file(file) {
            Ok(opened) => opened,
            Err(failure) => return closed(failure.to_string()),
        };
        let mut contents = scan::read(&*target.handle, file.name.seed(), length, window, &mut |_, _| {});
        if contents.faults > 0 && contents.records.is_empty() {
            return closed(format!("reading {} failed", target.path.display()));
        }
        if contents.faults > 0 {
            // The disk may be able to read them later, so nothing is cut off or overwritten.
            notes.push(format!("parts of {} can't be read", target.path.display()));
            contents.end = u32::try_from(length).unwrap_or(u32::MAX);
            contents.tail = false;
        }
        let path = target.path.display();
        let created = match contents.header {
            Header::Ours(created) => created,
            Header::OtherVersion(version) => {
                notes.push(format!(
                    "{path} is of version {version} of the format; the file is left there"
                ));
                return None;
            }
            Header::Damaged => contents
                .records
                .iter()
                .map(|found| found.at)
                .min()
                .unwrap_or(file.modified),
        };
        if contents.corrupt > 0 {
            notes.push(format!(
                "{path} is damaged: records of it can't be read, {} in number",
                contents.corrupt
            ));
            recovered.corrupt += u64::from(contents.corrupt);
        }
        let segment = Segment {
            end: contents.end,
            sequence: contents.sequence,
            pending: contents.pending,
            ended: contents.ended,
            unnoted: (contents.corrupt > 0).then_some(contents.noted),
            seal: Seal::Written,
            tail: contents.tail,
            ..Segment::new(file.name, created.min(self.now), Place::File(Arc::clone(&target)))
        };
        Some((segment, contents.records))
    }

    fn open_file(&self, file: &Listed) -> Result<(Arc<SegmentFile>, u64), DiskError> {
        // Files are listed only once the directory is attached.
        let Some(directory) = &self.directory else {
            return Err(DiskError::Unread(file.name.to_string().into()));
        };
        directory.open(file.name)
    }
}
