//! Writes ends, rotates, expires and removes segments, and tries a failed disk again.

use super::{
    disk_error::DiskError,
    record::{Gone, Millis, Why},
    segment::{Place, Seal, Segment},
    store::{Limit, Queue},
};

/// How often the files are looked at while records are pending.
const LOOK: Millis = 250;

/// What a queue leaves when it is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// Records that older ones had to go for, or that somebody damaged, as by
    /// [`next_gone`](Queue::next_gone).
    pub gone: Vec<Gone>,
    /// Records that have not ended and are in no file that the next process finds.
    pub lost: u64,
    /// Why the disk is out of use.
    pub alarm: Option<String>,
}

impl Queue {
    /// Writes the ends noted so far, with one write for each segment, and removes segments that are over.
    ///
    /// When this returns, they survive the process, unless there is an [`alarm`](Self::alarm).
    pub fn flush(&mut self) {
        if let Err(failure) = self.try_flush() {
            self.fail(&failure);
        }
    }

    fn try_flush(&mut self) -> Result<(), DiskError> {
        self.clear_memory();
        if self.is_durable() {
            self.write_news().and_then(|()| self.remove_over())
        } else {
            Ok(())
        }
    }

    /// Does what is due. To be called every 100 to 200 ms.
    pub fn tick(&mut self, now: Millis) {
        self.now = self.now.max(now);
        if let Some(failure) = self
            .directory
            .as_mut()
            .and_then(|directory| directory.syncer.tick())
        {
            self.fail(&failure);
        }
        self.rotate();
        if let Err(failure) = self.expire().and_then(|()| self.try_flush()) {
            self.fail(&failure);
        }
        if let Some(directory) = &mut self.directory {
            directory.sweep();
        }
        match &self.outage {
            Some(outage) if self.now >= outage.retry_at => self.retry(false),
            // Removing segments that are over works on a full disk, and makes room. An error is no news.
            Some(_) => drop(self.remove_over()),
            None => self.have_looked(),
        }
    }

    /// Has the syncing thread look at the files, if records are pending and it is time.
    fn have_looked(&mut self) {
        if self.now.saturating_sub(self.looked) < LOOK {
            return;
        }
        self.looked = self.now;
        let files: Vec<_> = self.pending_files().cloned().collect();
        if let Some(directory) = self.directory.as_mut().filter(|_| !files.is_empty()) {
            directory.syncer.look(files.into_iter());
        }
    }

    /// Flushes, syncs, and unlocks the directory. A failed disk, and files that somebody changed, are tried
    /// once more.
    pub fn close(mut self) -> Closed {
        if let Some(active) = self.segments.back_mut() {
            active.seal();
        }
        self.flush();
        if self.outage.is_none()
            && let Err(failure) = self.look_at_all()
        {
            self.fail(&failure);
        }
        if self.outage.is_some() {
            self.retry(true);
        }
        let lost = self.segments.iter().filter(|segment| match &segment.place {
            Place::Memory(_) => true,
            Place::File(file) => self.outage.is_some() && file.look(&*self.disk).is_err(),
            Place::Closed => false,
        });
        let lost = lost.map(|segment| u64::from(segment.pending)).sum();
        let alarm = self.alarm().map(str::to_owned);
        if let Some(directory) = self.directory.take() {
            directory.close();
        }
        Closed {
            gone: self.gone.into(),
            lost,
            alarm,
        }
    }

    /// Drops segments in memory whose records have all ended, even before they are full. Small ones stay, so
    /// that not every record uses up a number.
    fn clear_memory(&mut self) {
        let never_written = self.home.is_none();
        self.segments.retain_mut(|segment| {
            if segment.in_memory() && never_written {
                segment.unwritten = Vec::new();
            }
            let worth_it = segment.seal != Seal::Open || u64::from(segment.end) >= Limit::SMALLEST / 2;
            !(segment.in_memory() && segment.pending == 0 && worth_it)
        });
    }

    fn write_news(&mut self) -> Result<(), DiskError> {
        for segment in &mut self.segments {
            if segment.is_over() || segment.in_memory() || !segment.has_news() {
                continue;
            }
            self.news.clear();
            segment.write_news(&mut self.news);
            let syncer = self.directory.as_mut().map(|directory| &mut directory.syncer);
            segment.write(&self.news, syncer)?;
            segment.news_written();
        }
        Ok(())
    }

    fn remove_over(&mut self) -> Result<(), DiskError> {
        let mut index = 0;
        while index < self.segments.len() {
            if !self.segments[index].in_memory() && self.segments[index].is_over() {
                self.drop_segment(index, Why::Expired)?;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) {
        let old = self.now.saturating_sub(self.rotate_after);
        if let Some(active) = self.segments.back_mut()
            && active.created <= old
            && active.sequence > 0
        {
            active.seal();
        }
    }

    fn expire(&mut self) -> Result<(), DiskError> {
        while let Some(index) = self
            .segments
            .iter()
            .position(|segment| self.is_over_age(segment.created))
        {
            self.drop_segment(index, Why::Expired)?;
        }
        Ok(())
    }

    /// Whether a segment begun at that time has to go.
    pub(super) fn is_over_age(&self, created: Millis) -> bool {
        created.saturating_add(self.max_age) <= self.now
    }

    /// Tries the disk again. If all goes well, it is in use again.
    fn retry(&mut self, all: bool) {
        match self.try_disk(all) {
            Ok(()) => {
                self.outage = None;
                let records = std::mem::take(&mut self.rewritten);
                if records > 0 {
                    self.notes
                        .push(format!("written again: {records} pending events"));
                }
            }
            Err(failure) => {
                self.fail(&failure);
                if let (DiskError::Rewriting(_), Some(outage)) = (&failure, &mut self.outage) {
                    outage.retry_at = self.now;
                }
            }
        }
    }

    /// With `all` unset, a lot of files to be written again take several calls.
    fn try_disk(&mut self, all: bool) -> Result<(), DiskError> {
        let Some(home) = self.home.clone() else {
            return Ok(());
        };
        // Segments in memory whose records have all ended need not become files, and their numbers must not
        // clash with files.
        self.segments
            .retain(|segment| !segment.in_memory() || segment.pending > 0);
        self.leave_if_moved();
        if self.directory.is_none() {
            self.attach(&home)?;
        }
        if self.needs_recovery() {
            return Err(DiskError::Unread(home));
        }
        self.rewrite_changed(&home, all)?;
        // Remove segments that are over first: that makes room.
        self.remove_over()?;
        self.write_news()?;
        let mut moved = false;
        while let Some(index) = self.segments.iter().position(Segment::in_memory) {
            self.move_to_disk(index)?;
            moved = true;
        }
        if moved { Ok(()) } else { self.prove_disk() }
    }

    fn move_to_disk(&mut self, index: usize) -> Result<(), DiskError> {
        let segment = &self.segments[index];
        let (number, name) = (segment.number(), segment.name);
        self.make_room(false, segment.weight(), number)?;
        let Some(directory) = &mut self.directory else {
            return Ok(());
        };
        let target = directory.create(name)?;
        // Making room may have removed segments before it, so its index may have changed.
        let Ok(index) = self.segments.binary_search_by_key(&number, Segment::number) else {
            return Ok(());
        };
        let moved = self.segments[index].move_to(&target, &mut directory.syncer);
        moved.inspect_err(|_| directory.discard(&target, name))
    }

    /// Writes a new segment's header, to see whether writing works.
    fn prove_disk(&mut self) -> Result<(), DiskError> {
        let number = self.take_number();
        let Some(directory) = &mut self.directory else {
            return Ok(());
        };
        let mut segment = directory.begin(number, self.now)?;
        match segment.begin(&mut directory.syncer) {
            Ok(()) => {
                self.segments.push_back(segment);
                Ok(())
            }
            Err(failure) => {
                directory.abandon(&segment);
                Err(failure)
            }
        }
    }
}
