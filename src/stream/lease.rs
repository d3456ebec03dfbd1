//! The right to send a partition's events, which runs out by itself.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The right to send the events of a partition. Whoever sends asks it before each attempt, so a process that
/// was paused sends nothing when it goes on, though it has not heard yet that another one took over.
///
/// An event whose lease has run out waits, for the lease may be extended yet. If it is revoked, the event is
/// another gateway's. Clones are the same lease. Times are in milliseconds of a clock that does not jump.
#[derive(Debug, Clone, Default)]
pub struct Lease(Arc<AtomicU64>);

/// The end of a lease that was revoked.
const REVOKED: u64 = 0;

impl Lease {
    /// A lease that lasts until then.
    pub fn until(end: u64) -> Self {
        Lease(Arc::new(AtomicU64::new(end)))
    }

    /// Whether events may be sent.
    pub fn holds(&self, now: u64) -> bool {
        now < self.0.load(Ordering::Relaxed)
    }

    /// Lasts until then from now on, unless it was revoked or lasts longer.
    pub fn extend(&self, end: u64) {
        let longer = |current| (current != REVOKED && current < end).then_some(end);
        // Fails if there is nothing to change.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
    }

    /// Ends it, for good.
    pub fn revoke(&self) {
        self.0.store(REVOKED, Ordering::Relaxed);
    }

    /// Whether it was ended for good.
    pub fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Relaxed) == REVOKED
    }

    /// Whether both are the same lease.
    pub fn is(&self, other: &Lease) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_itself_unless_it_is_extended() {
        let lease = Lease::until(100);
        assert!(lease.holds(99));
        lease.extend(150);
        lease.extend(120);
        assert!(lease.holds(149) && !lease.holds(150));
    }

    #[test]
    fn a_revoked_lease_stays_so() {
        let lease = Lease::until(100);
        lease.clone().revoke();
        lease.extend(1_000);
        assert!(lease.is_revoked() && !lease.holds(1));
    }
}
