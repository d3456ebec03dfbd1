//! Recognises a page that is seen twice, by two sides that know nothing of each other. Whichever sees it first
//! leaves a mark, and the other one's sight takes the mark away and is not counted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who viewed which page.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Sight<'a> {
    pub(super) visitor: IpAddr,
    pub(super) agent: &'a [u8],
    pub(super) host: &'a [u8],
    pub(super) target: &'a [u8],
}

/// The marks, shared by all threads: a fixed table without locks. Where a mark overwrites another page's,
/// that page may be counted twice.
#[derive(Debug)]
pub(super) struct Marks {
    /// `page's hash << 40 | how often << 33 | by which side << 32 | time` in milliseconds, cut to 32 bits; 0 is
    /// no mark.
    slots: Box<[AtomicU64]>,
    /// How far apart the two may be, in milliseconds.
    window: u64,
}

/// The most that is counted of how often.
const MOST: u64 = 0x7f;

impl Marks {
    /// No marks.
    pub(super) fn new(slots: usize, window: u64) -> Self {
        Marks {
            slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            window,
        }
    }

    /// Whether to count the page: false for what the other side has seen before. `now` is when it was seen,
    /// in milliseconds of one clock for both.
    pub(super) fn first(&self, sight: Sight<'_>, side: bool, now: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        sight.hash(&mut hasher);
        let hash = hasher.finish();
        let slot = &self.slots[hash as usize % self.slots.len()];
        let (page, by, time) = (hash >> 40, u64::from(side), now as u32);
        let mark = |count: u64, time: u32| page << 40 | count << 33 | by << 32 | u64::from(time);
        let mut first = true;
        // It ends: each failure is another thread's success.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            let (count, old_by, old_time) = (old >> 33 & MOST, old >> 32 & 1, old as u32);
            let apart = time.wrapping_sub(old_time).min(old_time.wrapping_sub(time));
            let same = count > 0 && old >> 40 == page && u64::from(apart) < self.window;
            first = !(same && old_by != by);
            Some(match (first, same) {
                (true, true) => mark((count + 1).min(MOST), time),
                (true, false) => mark(1, time),
                (false, _) if count == 1 => 0,
                (false, _) => old - (1 << 33),
            })
        });
        first
    }
}
