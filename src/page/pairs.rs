//! One page, not two: a service worker with navigation preload that ignores the preloaded response fetches the page
//! again. Either request alone may be all there is (the worker uses the preload; the browser gives the preload up), so
//! neither can be left out by its own signs. The first of the two to be counted leaves a mark, and the other kind within
//! [`Pairs::WINDOW_MS`] takes the mark away and is not counted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ahead::Worker;

/// The marks, shared by all threads: a fixed table without locks. A mark that is overwritten by another page's counts
/// one page twice, nothing worse.
#[derive(Debug)]
pub struct Pairs {
    /// `fingerprint << 33 | kind << 32 | time` in milliseconds, cut to 32 bits; 0 is none.
    marks: Box<[AtomicU64]>,
}

impl Pairs {
    /// How long the two requests of a pair may be apart, in milliseconds.
    pub const WINDOW_MS: u64 = 10_000;

    const SLOTS: usize = 1024;

    /// No marks.
    pub fn new() -> Self {
        Pairs {
            marks: (0..Self::SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether the page is to be counted: false for the second of a pair. To be asked only of what would be counted, at
    /// `now` in milliseconds of any clock that does not jump.
    pub fn first(
        &self,
        visitor: IpAddr,
        agent: &[u8],
        host: &[u8],
        target: &[u8],
        worker: Worker,
        now: u64,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        (visitor, agent, host, target).hash(&mut hasher);
        let hash = hasher.finish();
        let slot = &self.marks[hash as usize % Self::SLOTS];
        let page = (hash >> 33) << 33;
        let kind = u64::from(worker == Worker::Preload) << 32;
        let mark = slot.load(Ordering::Relaxed);
        let age = (now as u32).wrapping_sub(mark as u32);
        let other = mark != 0 && mark & !(u32::MAX as u64) == page | (kind ^ 1 << 32);
        // Only one of two threads may take a mark away.
        if other
            && u64::from(age) < Self::WINDOW_MS
            && slot
                .compare_exchange(mark, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            return false;
        }
        slot.store(page | kind | u64::from(now as u32), Ordering::Relaxed);
        true
    }
}

impl Default for Pairs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_and_the_workers_own_fetch_are_one_page_in_either_order() {
        for (one, two) in [(Worker::Preload, Worker::Fetch), (Worker::Fetch, Worker::Preload)] {
            let pairs = Pairs::new();
            let ask = |target: &[u8], worker, now| {
                pairs.first([203, 0, 113, 7].into(), b"UA", b"a.test", target, worker, now)
            };
            assert!(ask(b"/", one, 1_000));
            assert!(!ask(b"/", two, 1_200), "the second of the pair");
            assert!(ask(b"/", two, 1_300), "the mark is used up");
            assert!(ask(b"/b", two, 1_400), "another page");
        }
    }

    #[test]
    fn the_same_kind_again_or_the_other_much_later_is_another_view() {
        let pairs = Pairs::new();
        let ask = |worker, now| pairs.first([203, 0, 113, 7].into(), b"UA", b"a.test", b"/", worker, now);
        assert!(ask(Worker::Fetch, 1_000));
        assert!(ask(Worker::Fetch, 1_500));
        assert!(ask(Worker::Preload, 1_500 + Pairs::WINDOW_MS));
    }
}
