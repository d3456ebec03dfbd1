//! Which partitions this gateway owns, and how many events wait in them, for those who look.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What is known of each partition. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct OwnedPartitions(Arc<[AtomicU64]>);

/// The mark of a partition that is owned, beside the number of events that wait in it.
const OWNED: u64 = 1 << 63;

impl OwnedPartitions {
    pub(super) fn new(partitions: u16) -> Self {
        OwnedPartitions((0..partitions).map(|_| AtomicU64::new(0)).collect())
    }

    /// A partition is owned, and so many events wait in it; nothing: it is not.
    pub(super) fn set(&self, index: usize, waiting: Option<u64>) {
        let state = waiting.map_or(0, |waiting| OWNED | waiting.min(OWNED - 1));
        self.0[index].store(state, Ordering::Relaxed);
    }

    /// The numbers of the partitions that are owned.
    pub(super) fn list(&self) -> Vec<usize> {
        self.states()
            .filter(|(_, state)| state & OWNED > 0)
            .map(|(index, _)| index)
            .collect()
    }

    /// How many events wait in those that are owned.
    pub(super) fn waiting(&self) -> u64 {
        self.states().map(|(_, state)| state & !OWNED).sum()
    }

    fn states(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0
            .iter()
            .map(|state| state.load(Ordering::Relaxed))
            .enumerate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owned_is_listed_with_what_waits_in_it() {
        let owned = OwnedPartitions::new(4);
        owned.set(1, Some(0));
        owned.clone().set(3, Some(20));
        assert_eq!((owned.list(), owned.waiting()), (vec![1, 3], 20));
        owned.set(3, None);
        assert_eq!((owned.list(), owned.waiting()), (vec![1], 0));
    }
}
