//! A wall clock that never jumps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time read once, plus the monotonic time since: set forward, set back or slewed, the system's
/// wall clock changes nothing for as long as the process lives. Copies tell the same time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    epoch: Duration,
}

impl Clock {
    /// Reads the wall clock. A clock before 1970 counts as 1970.
    pub fn start() -> Self {
        Clock {
            start: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Milliseconds since 1970.
    pub fn millis(&self) -> u64 {
        self.millis_at(Instant::now())
    }

    /// Milliseconds since 1970 at a given instant.
    pub fn millis_at(&self, instant: Instant) -> u64 {
        (self.epoch + instant.saturating_duration_since(self.start)).as_millis() as u64
    }

    /// Nanoseconds since the clock's start at a given instant: what orders the events of several threads.
    pub fn nanos_at(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_nanos() as u64
    }

    /// The moment of a given instant.
    pub fn moment(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.start);
        Moment {
            nanos: since.as_nanos() as u64,
            micros: (self.epoch + since).as_micros() as u64,
        }
    }

    /// The instant at which [`Clock::millis`] reaches `millis`; never before the clock's start.
    pub fn instant(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis).saturating_sub(self.epoch)
    }
}

/// A moment in both of a [`Clock`]'s counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since the clock's start.
    pub nanos: u64,
    /// Microseconds since 1970.
    pub micros: u64,
}

impl Moment {
    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.micros / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_millis_agree() {
        let clock = Clock::start();
        let later = clock.start + Duration::from_millis(1_500);
        let millis = clock.millis_at(later);
        assert!(clock.instant(millis) <= later);
        assert!(clock.instant(millis + 1) > later);
        assert_eq!(clock.nanos_at(later), 1_500_000_000);
        let moment = clock.moment(later);
        assert_eq!((moment.nanos, moment.millis()), (1_500_000_000, millis));
        assert_eq!(
            clock.instant(0),
            clock.start,
            "a time before the start is the start"
        );
    }
}
