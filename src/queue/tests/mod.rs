//! [`Owner`] uses a queue as delivery does, and knows what has to be in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use self::double::Double;
use super::*;

mod corruption; // damaged, torn, foreign files
mod crash; // killed at every call, the power cut
mod double; // the disk that fails
mod faults; // calls that fail, a full disk, the bound
mod model; // random histories against what an owner expects
mod note; // the owner's note
mod real; // on the file system: modes, lock, inspection, the syncing thread

/// Segments of 64 KiB.
const MAX_BYTES: u64 = 512 << 10;

fn settings() -> Settings {
    Settings {
        at: At::Disk(PathBuf::from("/queue")),
        max_bytes: MAX_BYTES,
        max_age: Duration::from_hours(1),
    }
}

/// What the record with that key holds.
fn bytes_of(key: u64) -> Vec<u8> {
    let mut bytes = vec![key as u8; [300, 0, 1900, 17, 5000][key as usize % 5]];
    std::iter::zip(&mut bytes, key.to_le_bytes()).for_each(|(byte, of_key)| *byte = of_key);
    bytes
}

/// Appends records; `each` is told the index of each, and where it is.
fn append(
    queue: &mut Queue,
    records: &[Record<'_>],
    now: Millis,
    each: &mut dyn FnMut(usize, Option<Position>),
) {
    let mut batch = Batch::default();
    for record in records {
        assert!(batch.add(record.tag, |out| {
            out.extend_from_slice(record.bytes);
            Some((record.key, record.at))
        }));
    }
    let mut index = 0;
    queue.append(&mut batch, now, &mut |stored| {
        assert_eq!((stored.key, stored.at), (records[index].key, records[index].at));
        each(index, stored.position);
        index += 1;
    });
    assert!(batch.is_empty() && index == records.len());
}

/// A record's frame, as one who knows the segment's seed would write it.
fn frame_of(bytes: &[u8], seed: u32, sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, seed, frame::FrameKind::Record, sequence, |out| {
        out.extend_from_slice(&[0; 17]);
        out.extend_from_slice(bytes);
    });
    out
}

struct Owner {
    disk: Double,
    settings: Settings,
    queue: Option<Queue>,
    now: Millis,
    next_key: u64,
    /// What has not ended, by position.
    live: BTreeMap<Position, u64>,
    /// Keys of what had not ended when the process before did.
    left: BTreeSet<u64>,
    /// Keys of what has ended, the end not flushed.
    ended: BTreeSet<u64>,
    /// Keys that may not be seen again: ended and flushed, evicted, expired.
    over: BTreeSet<u64>,
    /// Keys of which nothing is promised: what was in a call that died, or in memory when the process did.
    unsure: BTreeSet<u64>,
    gone: u64,
    recovered: Recovered,
}

impl Owner {
    fn new(settings: Settings) -> Self {
        Self::on(Double::default(), settings)
    }

    fn on(disk: Double, settings: Settings) -> Self {
        let mut owner = Self {
            disk,
            ..Self::unopened(settings)
        };
        owner.open();
        owner
    }

    fn unopened(settings: Settings) -> Self {
        Self {
            disk: Double::default(),
            settings,
            queue: None,
            now: 1_000_000,
            next_key: 0,
            live: BTreeMap::new(),
            left: BTreeSet::new(),
            ended: BTreeSet::new(),
            over: BTreeSet::new(),
            unsure: BTreeSet::new(),
            gone: 0,
            recovered: Recovered::default(),
        }
    }

    fn queue(&mut self) -> &mut Queue {
        self.queue.as_mut().unwrap()
    }

    fn open(&mut self) {
        let disk = Arc::new(self.disk.clone());
        self.queue = Some(Queue::open_on(disk, &self.settings, self.now, false));
        self.recover();
    }

    /// Recovers, and checks that what is reported is what has to be.
    fn recover(&mut self) {
        let mut reported = Vec::new();
        let now = self.now;
        self.recovered = self.queue().recover(now, &mut |pending| reported.push(pending));
        if self.disk.is_dead() || self.queue().directory.is_none() {
            return;
        }
        let mut found = BTreeSet::new();
        for Pending {
            position, key, tag, ..
        } in &reported
        {
            assert!(!self.over.contains(key), "{key} was over");
            let allowed = [&self.left, &self.ended, &self.unsure]
                .iter()
                .any(|keys| keys.contains(key));
            assert!(allowed, "{key} was never stored");
            assert_eq!(u64::from(*tag), key % 7);
            assert!(found.insert(*key), "{key} is reported twice");
            self.live.insert(*position, *key);
        }
        assert!(
            reported.is_sorted_by_key(|pending| pending.position),
            "oldest first"
        );
        assert!(
            reported.is_sorted_by_key(|pending| pending.key),
            "in the order of the appends"
        );
        let lost: BTreeSet<u64> = self.left.difference(&found).copied().collect();
        let counted = self.recovered.evicted + self.recovered.expired + self.recovered.corrupt;
        let unread = self
            .recovered
            .notes
            .iter()
            .any(|note| note.contains("is left there"));
        let sure = lost.difference(&self.unsure).count() as u64;
        assert!(unread || sure <= counted, "lost: {lost:?}, {:?}", self.recovered);
        // What could not be read today may be tomorrow.
        self.unsure = if self.recovered.corrupt > 0 || unread {
            lost
        } else {
            BTreeSet::new()
        };
        self.left.clear();
        self.ended.clear();
    }

    fn append(&mut self, count: u64) {
        let keys: Vec<u64> = (self.next_key..self.next_key + count).collect();
        self.next_key += count;
        let bytes: Vec<_> = keys.iter().map(|&key| bytes_of(key)).collect();
        let records: Vec<_> = std::iter::zip(&keys, &bytes)
            .map(|(&key, bytes)| Record {
                key,
                at: self.now,
                tag: (key % 7) as u8,
                bytes,
            })
            .collect();
        let mut told = Vec::new();
        let now = self.now;
        append(self.queue(), &records, now, &mut |index, position| {
            told.push((index, position.unwrap()));
        });
        assert!(
            told.iter().map(|&(index, _)| index as u64).eq(0..count),
            "each once, in order"
        );
        for (index, position) in told {
            assert!(
                self.live
                    .last_key_value()
                    .is_none_or(|(&last, _)| last < position),
                "younger is greater"
            );
            self.live.insert(position, keys[index]);
        }
        if self.disk.is_dead() {
            self.unsure.extend(keys);
        }
        self.hear_what_is_gone();
    }

    /// Finishes one in `every`, from the oldest on.
    fn finish(&mut self, every: usize) {
        let ended: Vec<_> = self
            .live
            .iter()
            .map(|(&at, &key)| (at, key))
            .step_by(every)
            .collect();
        for (at, key) in ended {
            self.finish_at(at, key);
        }
    }

    fn finish_at(&mut self, at: Position, key: u64) {
        self.queue().finish(at);
        self.live.remove(&at);
        self.ended.insert(key);
    }

    fn flush(&mut self) {
        self.queue().flush();
        self.ends_are_written();
    }

    fn tick(&mut self, millis: Millis) {
        self.now += millis;
        let now = self.now;
        self.queue().tick(now);
        self.hear_what_is_gone();
        self.ends_are_written();
        if self.queue().needs_recovery() {
            self.recover();
            self.tick(0);
        }
    }

    fn ends_are_written(&mut self) {
        if !self.disk.is_dead() && self.queue().alarm().is_none() {
            self.over.append(&mut self.ended);
        }
    }

    fn hear_what_is_gone(&mut self) {
        while let Some(gone) = self.queue().next_gone() {
            self.drop_gone(&gone);
        }
    }

    fn drop_gone(&mut self, gone: &Gone) {
        let positions: Vec<_> = self
            .live
            .range(gone.from..gone.below)
            .map(|(&at, _)| at)
            .filter(|&at| gone.contains(at))
            .collect();
        assert_eq!(positions.len() as u64, gone.records);
        self.gone += gone.records;
        for at in positions {
            if gone.why == Why::Damaged
                && let Some(queue) = &mut self.queue
            {
                queue.finish(at);
            }
            self.over.extend(self.live.remove(&at));
        }
    }

    /// Reads may fail with the disk, and do no harm.
    fn read_all_that_can_be(&mut self) {
        let live: Vec<_> = self.live.iter().map(|(&at, &key)| (at, key)).collect();
        let mut bytes = Vec::new();
        for (at, key) in live {
            match self.queue().read(at, &mut bytes) {
                Ok(()) => assert_eq!(bytes, bytes_of(key)),
                Err(ReadError::Io { .. }) => {}
                Err(error) => panic!("{key} at {at}: {error}"),
            }
        }
    }

    fn read_all(&mut self) {
        let live: Vec<_> = self.live.iter().map(|(&at, &key)| (at, key)).collect();
        let mut bytes = Vec::new();
        for (at, key) in live {
            self.queue()
                .read(at, &mut bytes)
                .unwrap_or_else(|error| panic!("{key} at {at}: {error}"));
            assert_eq!(bytes, bytes_of(key));
        }
    }

    fn close(&mut self) {
        if self.queue().alarm().is_some() {
            self.unsure.extend(self.in_memory());
            // Where a write failed halfway, and cutting the file back failed too, records may be in both
            // places.
            self.unsure.append(&mut self.over);
        }
        let failures = self.disk.failures();
        for gone in self.queue.take().unwrap().close().gone {
            self.drop_gone(&gone);
        }
        if self.disk.failures() == failures {
            self.over.append(&mut self.ended);
        }
        self.left.extend(std::mem::take(&mut self.live).into_values());
    }

    /// The process ends without a word, and so does what it had in memory.
    fn kill(&mut self) {
        self.unsure.extend(self.in_memory());
        self.queue = None;
        self.left.extend(std::mem::take(&mut self.live).into_values());
        self.disk.revive();
    }

    fn in_memory(&self) -> Vec<u64> {
        let queue = self.queue.as_ref().unwrap();
        let held = |at: &Position| {
            queue
                .segments
                .iter()
                .any(|s| s.in_memory() && s.number() == at.segment())
        };
        self.live
            .iter()
            .filter(|(at, _)| held(at))
            .map(|(_, &key)| key)
            .collect()
    }
}

#[test]
fn what_is_appended_is_read_back_and_reported_until_it_ended() {
    let mut owner = Owner::new(settings());
    owner.append(100);
    owner.read_all();
    owner.finish(3);
    owner.flush();
    owner.kill();
    owner.open();
    assert_eq!(owner.recovered.pending, 66);
    owner.read_all();
    owner.finish(1);
    owner.close();
    owner.open();
    assert_eq!(owner.recovered, Recovered::default());
    assert_eq!(owner.live.len(), 0);
}

#[test]
fn numbers_go_on_after_everything_was_removed() {
    let mut owner = Owner::new(settings());
    let mut last = Position::new(0, 0);
    for _ in 0..5 {
        owner.append(3);
        let first = *owner.live.first_key_value().unwrap().0;
        assert!(first > last);
        last = first;
        owner.finish(1);
        owner.close();
        assert_eq!(owner.disk.used(), 24, "one header is left");
        owner.open();
    }
}

#[test]
fn a_second_finish_changes_nothing() {
    let mut owner = Owner::new(settings());
    owner.append(2);
    let (&at, &key) = owner.live.first_key_value().unwrap();
    owner.finish_at(at, key);
    owner.queue().finish(at);
    owner.close();
    owner.open();
    assert_eq!(owner.recovered.pending, 1);
    owner.read_all();
}

#[test]
fn a_record_larger_than_a_segment_is_refused_and_the_others_are_not() {
    let mut owner = Owner::new(settings());
    let (large, small) = (vec![1; 70_000], vec![2; 10]);
    let record = |bytes| Record {
        key: 0,
        at: 0,
        tag: 0,
        bytes,
    };
    let mut told = Vec::new();
    append(
        owner.queue(),
        &[record(&small), record(&large), record(&small)],
        1_000_000,
        &mut |index, at| {
            told.push((index, at.is_some()));
        },
    );
    assert_eq!(told, [(0, true), (1, false), (2, true)]);
}

/// Q11.
#[test]
fn nothing_is_kept_longer_than_max_age() {
    let mut owner = Owner::new(settings());
    owner.append(10);
    owner.tick(1_800_000);
    owner.append(10);
    owner.tick(1_799_999);
    assert_eq!((owner.live.len(), owner.gone), (20, 0));
    owner.tick(1);
    assert_eq!((owner.live.len(), owner.gone), (10, 10));
    owner.now += 1_800_000;
    owner.kill();
    owner.open();
    assert_eq!((owner.recovered.expired, owner.live.len()), (10, 0));
    assert_eq!(owner.disk.used(), 24, "one header is left");
}

#[test]
fn memory_as_a_choice_evicts_and_expires_alike() {
    let mut owner = Owner::new(Settings {
        at: At::Memory,
        ..settings()
    });
    for _ in 0..50 {
        owner.append(20);
        owner.finish(40);
        owner.tick(100);
        assert!(owner.queue().bytes() <= MAX_BYTES);
    }
    owner.read_all();
    assert!(owner.gone > 0);
    assert_eq!(owner.queue().alarm(), None);
    let before = owner.queue().take_number();
    for _ in 0..100 {
        owner.append(1);
        owner.finish(1);
        owner.flush();
    }
    assert!(owner.queue().take_number() < before + 10, "numbers last");
    owner.tick(3_600_000);
    assert_eq!((owner.live.len(), owner.queue().bytes()), (0, 0));
    assert_eq!(owner.disk.calls(), 0);
}
