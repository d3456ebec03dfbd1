//! The breaker: when to stop hammering.
//!
//! ```text
//!            failures of several visitors in a row,
//!            or an answer that says the address is wrong
//!   Passing ──────────────────────────────────────────▶ Tripped ◀──────┐
//!      ▲                                                   │           │ it fails
//!      │                    the wait is over: one request  ▼           │
//!      └───────────────────────────────────────────────  Probing ──────┘
//!        any event ends by an answer
//! ```

use std::time::Duration;

use super::{backoff::Backoff, lanes::Ticket, outcome::RetryReason};

/// So many visitors fail in a row, with nobody getting through, before Plausible is considered down. The
/// failures of one visitor are never enough: the cause may be that visitor's event.
const VISITORS: usize = 5;

/// See the module. Times are milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Breaker {
    state: BreakerState,
    backoff: Backoff,
}

#[derive(Debug)]
enum BreakerState {
    /// All events may be sent. `failing`: the visitors that failed since the last event that got through.
    Passing { failing: Vec<u64> },
    /// Nothing is sent until `until`.
    Tripped { until: u64, strikes: u32 },
    /// One event is in flight; its outcome decides.
    Probing { probe: Ticket, strikes: u32 },
}

/// The boxes of the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerPhase {
    Passing,
    Tripped,
    Probing,
}

/// A change that is reported to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    /// From passing to tripped.
    Tripped,
    /// Back to passing.
    Passing,
}

/// One failed attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedAttempt {
    pub(super) ticket: Ticket,
    pub(super) visitor: u64,
    pub(super) reason: RetryReason,
    /// How long the server asked to be left alone.
    pub(super) after: Duration,
}

impl Breaker {
    pub(super) fn new(backoff: Backoff) -> Self {
        Breaker {
            state: BreakerState::passing(),
            backoff,
        }
    }

    /// Which box of the diagram it is in, for `/status`.
    pub(super) fn phase(&self) -> BreakerPhase {
        match self.state {
            BreakerState::Passing { .. } => BreakerPhase::Passing,
            BreakerState::Tripped { .. } => BreakerPhase::Tripped,
            BreakerState::Probing { .. } => BreakerPhase::Probing,
        }
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self.state, BreakerState::Passing { .. })
    }

    /// How many visitors failed since the last event that got through; 0 in the other states.
    pub(super) fn failing(&self) -> usize {
        match &self.state {
            BreakerState::Passing { failing } => failing.len(),
            BreakerState::Tripped { .. } | BreakerState::Probing { .. } => 0,
        }
    }

    /// Whether one more event may be sent now.
    pub(super) fn allows(&self, now: u64) -> bool {
        match self.state {
            BreakerState::Passing { .. } => true,
            BreakerState::Tripped { until, .. } => until <= now,
            BreakerState::Probing { .. } => false,
        }
    }

    /// When the wait of the tripped breaker is over; `None` in the other states.
    pub(super) fn until(&self) -> Option<u64> {
        match self.state {
            BreakerState::Tripped { until, .. } => Some(until),
            BreakerState::Passing { .. } | BreakerState::Probing { .. } => None,
        }
    }

    /// An attempt starts.
    pub(super) fn sent(&mut self, ticket: Ticket) {
        if let BreakerState::Tripped { strikes, .. } = self.state {
            self.state = BreakerState::Probing {
                probe: ticket,
                strikes,
            };
        }
    }

    /// An event got through, whenever it was sent.
    pub(super) fn passed(&mut self) -> Option<Transition> {
        match &mut self.state {
            BreakerState::Passing { failing } => {
                failing.clear();
                None
            }
            BreakerState::Tripped { .. } | BreakerState::Probing { .. } => {
                self.state = BreakerState::passing();
                Some(Transition::Passing)
            }
        }
    }

    /// An attempt failed. `random` is drawn evenly from 0 to 1.
    pub(super) fn failed(&mut self, now: u64, failure: FailedAttempt, random: f64) -> Option<Transition> {
        match &mut self.state {
            BreakerState::Passing { failing } => {
                if !failing.contains(&failure.visitor) {
                    failing.push(failure.visitor);
                }
                let wrong_address = matches!(failure.reason, RetryReason::Misconfigured(_));
                if failing.len() < VISITORS && !wrong_address {
                    return None;
                }
                self.trip(now, 1, failure.after, random);
                Some(Transition::Tripped)
            }
            // Attempts that were in flight at the trip fail late. Only their `Retry-After` is news.
            BreakerState::Tripped { until, .. } => {
                *until = (*until).max(now + failure.after.as_millis() as u64);
                None
            }
            BreakerState::Probing { probe, strikes } => {
                if *probe == failure.ticket {
                    let strikes = strikes.saturating_add(1);
                    self.trip(now, strikes, failure.after, random);
                }
                None
            }
        }
    }

    /// An attempt ended and says nothing about Plausible. If it was the probe, another probe may start.
    pub(super) fn inconclusive(&mut self, now: u64, ticket: Ticket) {
        if let BreakerState::Probing { probe, strikes } = self.state
            && probe == ticket
        {
            self.state = BreakerState::Tripped { until: now, strikes };
        }
    }

    fn trip(&mut self, now: u64, strikes: u32, after: Duration, random: f64) {
        let wait = self.backoff.delay(strikes, random).max(after);
        self.state = BreakerState::Tripped {
            until: now + wait.as_millis() as u64,
            strikes,
        };
    }
}

impl BreakerState {
    fn passing() -> Self {
        BreakerState::Passing { failing: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Backoff::new(Duration::from_millis(500), Duration::from_mins(1)))
    }

    fn failure(visitor: u64, reason: RetryReason) -> FailedAttempt {
        FailedAttempt {
            ticket: Ticket::of(visitor),
            visitor,
            reason,
            after: Duration::ZERO,
        }
    }

    fn tripped() -> Breaker {
        let mut breaker = breaker();
        for visitor in 1..VISITORS as u64 {
            assert_eq!(
                breaker.failed(0, failure(visitor, RetryReason::Timeout), 1.0),
                None
            );
        }
        let last = failure(VISITORS as u64, RetryReason::Timeout);
        assert_eq!(breaker.failed(0, last, 1.0), Some(Transition::Tripped));
        breaker
    }

    #[test]
    fn one_visitors_failures_never_trip_it() {
        let mut breaker = breaker();
        for _ in 0..100 {
            assert_eq!(
                breaker.failed(0, failure(1, RetryReason::ServerError(500)), 1.0),
                None
            );
        }
        assert!(breaker.is_passing() && breaker.allows(0));
    }

    #[test]
    fn others_getting_through_keep_it_passing() {
        let mut breaker = breaker();
        for visitor in 0..100 {
            assert_eq!(
                breaker.failed(0, failure(visitor, RetryReason::ServerError(500)), 1.0),
                None
            );
            assert_eq!(breaker.passed(), None);
        }
    }

    #[test]
    fn a_wrong_address_trips_it_at_once() {
        let mut breaker = breaker();
        let change = breaker.failed(0, failure(1, RetryReason::Misconfigured(404)), 1.0);
        assert_eq!(change, Some(Transition::Tripped));
        assert!(!breaker.allows(499) && breaker.allows(500));
    }

    #[test]
    fn one_probe_at_a_time_with_doubling_waits() {
        let mut breaker = tripped();
        let mut now = 0;
        for wait in [500, 1_000, 2_000] {
            assert!(!breaker.allows(now + wait - 1));
            now += wait;
            assert!(breaker.allows(now));
            breaker.sent(Ticket::of(9));
            assert_eq!(breaker.phase(), BreakerPhase::Probing);
            assert!(!breaker.allows(now), "a second probe");
            assert_eq!(breaker.failed(now, failure(9, RetryReason::Connect), 1.0), None);
        }
        now += 4_000;
        assert!(breaker.allows(now));
        breaker.sent(Ticket::of(9));
        assert_eq!(breaker.passed(), Some(Transition::Passing));
        assert!(breaker.is_passing() && breaker.allows(now));
    }

    #[test]
    fn late_failures_neither_extend_nor_end_a_probe() {
        let mut breaker = tripped();
        breaker.failed(100, failure(50, RetryReason::Timeout), 1.0);
        assert_eq!(breaker.until(), Some(500));
        breaker.sent(Ticket::of(9));
        breaker.failed(600, failure(51, RetryReason::Timeout), 1.0);
        assert_eq!(breaker.phase(), BreakerPhase::Probing);
    }

    #[test]
    fn a_late_success_is_success() {
        let mut breaker = tripped();
        assert_eq!(breaker.passed(), Some(Transition::Passing));
    }

    #[test]
    fn retry_after_is_the_least_that_is_waited() {
        let mut breaker = tripped();
        let asked = FailedAttempt {
            after: Duration::from_mins(2),
            ..failure(7, RetryReason::ServerError(503))
        };
        breaker.failed(100, asked, 0.0);
        assert_eq!(breaker.until(), Some(120_100));
    }

    #[test]
    fn a_probe_that_asked_nobody_is_followed_by_another() {
        let mut breaker = tripped();
        breaker.sent(Ticket::of(9));
        breaker.inconclusive(700, Ticket::of(8));
        assert!(!breaker.allows(700));
        breaker.inconclusive(700, Ticket::of(9));
        assert!(breaker.allows(700));
    }
}
