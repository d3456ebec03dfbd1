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

use super::{backoff::Backoff, lanes::Ticket, outcome::Trouble};

/// Visitors that fail in a row, with nobody getting through, before Plausible is taken for down. One visitor's trouble
/// is never enough: it may be that visitor's event.
const VISITORS: usize = 5;

/// See the module. Times are milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    backoff: Backoff,
}

#[derive(Debug)]
enum State {
    /// All may be sent; those in `failing` failed since the last that got through.
    Passing { failing: Vec<u64> },
    /// Nothing is sent until `until`.
    Tripped { until: u64, strikes: u32 },
    /// This one is under way, and tells.
    Probing { probe: Ticket, strikes: u32 },
}

/// A change that an operator wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// From passing to tripped.
    Tripped,
    /// Back to passing.
    Passing,
}

/// One failed attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) ticket: Ticket,
    pub(super) visitor: u64,
    pub(super) trouble: Trouble,
    /// How long the server asked to be left alone.
    pub(super) after: Duration,
}

impl Breaker {
    pub(super) fn new(backoff: Backoff) -> Self {
        Breaker {
            state: State::passing(),
            backoff,
        }
    }

    /// The state in a word, for `/status`.
    pub(super) fn name(&self) -> &'static str {
        match self.state {
            State::Passing { .. } => "passing",
            State::Tripped { .. } => "tripped",
            State::Probing { .. } => "probing",
        }
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self.state, State::Passing { .. })
    }

    /// How many visitors failed since the last event that got through; none once it has tripped.
    pub(super) fn failing(&self) -> usize {
        match &self.state {
            State::Passing { failing } => failing.len(),
            State::Tripped { .. } | State::Probing { .. } => 0,
        }
    }

    /// Whether one more may be sent now.
    pub(super) fn allows(&self, now: u64) -> bool {
        match self.state {
            State::Passing { .. } => true,
            State::Tripped { until, .. } => until <= now,
            State::Probing { .. } => false,
        }
    }

    /// When the wait of the tripped breaker is over; nothing in the other states.
    pub(super) fn until(&self) -> Option<u64> {
        match self.state {
            State::Tripped { until, .. } => Some(until),
            State::Passing { .. } | State::Probing { .. } => None,
        }
    }

    /// One is sent.
    pub(super) fn sent(&mut self, ticket: Ticket) {
        if let State::Tripped { strikes, .. } = self.state {
            self.state = State::Probing {
                probe: ticket,
                strikes,
            };
        }
    }

    /// One got through, whenever it was sent.
    pub(super) fn passed(&mut self) -> Option<Change> {
        match &mut self.state {
            State::Passing { failing } => {
                failing.clear();
                None
            }
            State::Tripped { .. } | State::Probing { .. } => {
                self.state = State::passing();
                Some(Change::Passing)
            }
        }
    }

    /// One failed. `random` is drawn evenly from 0 to 1.
    pub(super) fn failed(&mut self, now: u64, failure: Failure, random: f64) -> Option<Change> {
        match &mut self.state {
            State::Passing { failing } => {
                if !failing.contains(&failure.visitor) {
                    failing.push(failure.visitor);
                }
                let wrong_address = matches!(failure.trouble, Trouble::Misconfigured(_));
                if failing.len() < VISITORS && !wrong_address {
                    return None;
                }
                self.trip(now, 1, failure.after, random);
                Some(Change::Tripped)
            }
            // Those that were under way when it tripped come in late, and tell nothing new but the server's wish.
            State::Tripped { until, .. } => {
                *until = (*until).max(now + failure.after.as_millis() as u64);
                None
            }
            State::Probing { probe, strikes } => {
                if *probe == failure.ticket {
                    let strikes = strikes.saturating_add(1);
                    self.trip(now, strikes, failure.after, random);
                }
                None
            }
        }
    }

    /// One ended without Plausible having been asked. If it was the probe, the next one is.
    pub(super) fn untold(&mut self, now: u64, ticket: Ticket) {
        if let State::Probing { probe, strikes } = self.state
            && probe == ticket
        {
            self.state = State::Tripped { until: now, strikes };
        }
    }

    fn trip(&mut self, now: u64, strikes: u32, after: Duration, random: f64) {
        let wait = self.backoff.delay(strikes, random).max(after);
        self.state = State::Tripped {
            until: now + wait.as_millis() as u64,
            strikes,
        };
    }
}

impl State {
    fn passing() -> Self {
        State::Passing { failing: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Backoff::new(Duration::from_millis(500), Duration::from_mins(1)))
    }

    fn failure(visitor: u64, trouble: Trouble) -> Failure {
        Failure {
            ticket: Ticket::of(visitor),
            visitor,
            trouble,
            after: Duration::ZERO,
        }
    }

    fn tripped() -> Breaker {
        let mut breaker = breaker();
        for visitor in 1..VISITORS as u64 {
            assert_eq!(breaker.failed(0, failure(visitor, Trouble::Timeout), 1.0), None);
        }
        let last = failure(VISITORS as u64, Trouble::Timeout);
        assert_eq!(breaker.failed(0, last, 1.0), Some(Change::Tripped));
        breaker
    }

    #[test]
    fn one_visitors_failures_never_trip_it() {
        let mut breaker = breaker();
        for _ in 0..100 {
            assert_eq!(
                breaker.failed(0, failure(1, Trouble::ServerError(500)), 1.0),
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
                breaker.failed(0, failure(visitor, Trouble::ServerError(500)), 1.0),
                None
            );
            assert_eq!(breaker.passed(), None);
        }
    }

    #[test]
    fn a_wrong_address_trips_it_at_once() {
        let mut breaker = breaker();
        let change = breaker.failed(0, failure(1, Trouble::Misconfigured(404)), 1.0);
        assert_eq!(change, Some(Change::Tripped));
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
            assert_eq!(breaker.name(), "probing");
            assert!(!breaker.allows(now), "a second probe");
            assert_eq!(breaker.failed(now, failure(9, Trouble::Connect), 1.0), None);
        }
        now += 4_000;
        assert!(breaker.allows(now));
        breaker.sent(Ticket::of(9));
        assert_eq!(breaker.passed(), Some(Change::Passing));
        assert!(breaker.is_passing() && breaker.allows(now));
    }

    #[test]
    fn late_failures_neither_extend_nor_end_a_probe() {
        let mut breaker = tripped();
        breaker.failed(100, failure(50, Trouble::Timeout), 1.0);
        assert_eq!(breaker.until(), Some(500));
        breaker.sent(Ticket::of(9));
        breaker.failed(600, failure(51, Trouble::Timeout), 1.0);
        assert_eq!(breaker.name(), "probing");
    }

    #[test]
    fn a_late_success_is_success() {
        let mut breaker = tripped();
        assert_eq!(breaker.passed(), Some(Change::Passing));
    }

    #[test]
    fn retry_after_is_the_least_that_is_waited() {
        let mut breaker = tripped();
        let asked = Failure {
            after: Duration::from_mins(2),
            ..failure(7, Trouble::ServerError(503))
        };
        breaker.failed(100, asked, 0.0);
        assert_eq!(breaker.until(), Some(120_100));
    }

    #[test]
    fn a_probe_that_asked_nobody_is_followed_by_another() {
        let mut breaker = tripped();
        breaker.sent(Ticket::of(9));
        breaker.untold(700, Ticket::of(8));
        assert!(!breaker.allows(700));
        breaker.untold(700, Ticket::of(9));
        assert!(breaker.allows(700));
    }
}
