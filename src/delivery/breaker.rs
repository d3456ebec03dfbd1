//! The breaker: when to stop hammering.
//!
//! ```text
//!            no event gets through, for long enough and of enough
//!            visitors; or an answer that says the address is wrong
//!   Passing ──────────────────────────────────────────▶ Tripped ◀──────┐
//!      ▲                                                   │           │ it fails
//!      │                    the wait is over: one request  ▼           │
//!      └───────────────────────────────────────────────  Probing ──────┘
//!        any event ends by an answer
//! ```
//!
//! The question is whether *any* event gets through. While some do, the others' failures are their own,
//! however many they are: up to a third of all events may fail and hold nobody else up. An answer that
//! refuses one event (see [`RetryReason::is_of_one_event`]) says nothing about the others and never counts.

use std::time::Duration;

use super::{backoff::Backoff, lanes::Ticket, outcome::RetryReason};

/// So many visitors fail, with nobody getting through, before Plausible is considered down. The failures of
/// one visitor are never enough: the cause may be that visitor's event.
const VISITORS: usize = 5;
/// The same where the events may be the cause, and Plausible is known to work. Of events of which every third
/// is bad, so many in a row are one case in three thousand million. Fewer visitors, each with a backoff, are
/// no burden.
const SUSPECTS: usize = 20;
/// And for so long nobody must have got through, in milliseconds: bad events may come many at a time.
const SILENCE: u64 = 1_000;

/// See the module. Times are milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Breaker {
    state: BreakerState,
    backoff: Backoff,
    /// When an event last got through.
    passed_at: Option<u64>,
}

#[derive(Debug)]
enum BreakerState {
    /// All events may be sent.
    Passing(Failing),
    /// Nothing is sent until `until`.
    Tripped { until: u64, strikes: u32 },
    /// One event is in flight; its outcome decides.
    Probing { probe: Ticket, strikes: u32 },
}

/// The visitors that failed since the last event that got through.
#[derive(Debug, Default)]
struct Failing {
    /// Those whose events can't be the cause; at most [`VISITORS`].
    innocent: Vec<u64>,
    /// All of them; at most [`SUSPECTS`].
    all: Vec<u64>,
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
            passed_at: None,
        }
    }

    /// Which box of the diagram it is in, for `/status`.
    pub(super) fn phase(&self) -> BreakerPhase {
        match self.state {
            BreakerState::Passing(_) => BreakerPhase::Passing,
            BreakerState::Tripped { .. } => BreakerPhase::Tripped,
            BreakerState::Probing { .. } => BreakerPhase::Probing,
        }
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self.state, BreakerState::Passing(_))
    }

    /// How many visitors failed since the last event that got through; 0 in the other states.
    pub(super) fn failing(&self) -> usize {
        match &self.state {
            BreakerState::Passing(failing) => failing.all.len(),
            BreakerState::Tripped { .. } | BreakerState::Probing { .. } => 0,
        }
    }

    /// Whether one more event may be sent now.
    pub(super) fn allows(&self, now: u64) -> bool {
        match self.state {
            BreakerState::Passing(_) => true,
            BreakerState::Tripped { until, .. } => until <= now,
            BreakerState::Probing { .. } => false,
        }
    }

    /// When the wait of the tripped breaker is over; `None` in the other states.
    pub(super) fn until(&self) -> Option<u64> {
        match self.state {
            BreakerState::Tripped { until, .. } => Some(until),
            BreakerState::Passing(_) | BreakerState::Probing { .. } => None,
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
    pub(super) fn passed(&mut self, now: u64) -> Option<Transition> {
        self.passed_at = Some(now);
        match &mut self.state {
            BreakerState::Passing(failing) => {
                failing.innocent.clear();
                failing.all.clear();
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
            BreakerState::Passing(failing) => {
                let silence = self.passed_at.map(|at| now.saturating_sub(at));
                failing.add(&failure);
                let wrong_address = matches!(failure.reason, RetryReason::Misconfigured(_));
                if !failing.is_enough(silence) && !wrong_address {
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

    /// Plausible refused this event, which says nothing about the others. If it was the probe, another probe
    /// may start after the shortest wait. `random` is drawn evenly from 0 to 1.
    pub(super) fn refused(&mut self, now: u64, ticket: Ticket, random: f64) {
        let wait = self.backoff.delay(1, random).as_millis() as u64;
        self.inconclusive(now + wait, ticket);
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
        BreakerState::Passing(Failing::default())
    }
}

impl Failing {
    fn add(&mut self, failure: &FailedAttempt) {
        let note = |list: &mut Vec<u64>, most: usize| {
            if list.len() < most && !list.contains(&failure.visitor) {
                list.push(failure.visitor);
            }
        };
        note(&mut self.all, SUSPECTS);
        if failure.reason.is_of_no_event() {
            note(&mut self.innocent, VISITORS);
        }
    }

    /// Whether that is an outage, where nobody has got through for `silence` milliseconds, or ever.
    fn is_enough(&self, silence: Option<u64>) -> bool {
        let enough = match silence {
            None => self.all.len() >= VISITORS,
            Some(silence) => self.all.len() >= SUSPECTS && silence >= SILENCE,
        };
        enough || self.innocent.len() >= VISITORS
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
            assert_eq!(breaker.passed(0), None);
        }
    }

    #[test]
    fn while_others_get_through_a_long_row_of_failures_is_their_events_own() {
        let mut breaker = breaker();
        for round in 0..100 {
            let now = round * 250;
            breaker.passed(now);
            for visitor in 0..100 {
                let failed = failure(round * 100 + visitor, RetryReason::Timeout);
                assert_eq!(breaker.failed(now + visitor, failed, 1.0), None);
            }
        }
        let last = failure(7, RetryReason::Timeout);
        assert_eq!(
            breaker.failed(100 * 250 + 1_000, last, 1.0),
            Some(Transition::Tripped)
        );
    }

    #[test]
    fn failures_that_no_event_can_cause_trip_it_soon_though_others_got_through() {
        let mut breaker = breaker();
        breaker.passed(0);
        for visitor in 1..VISITORS as u64 {
            assert_eq!(
                breaker.failed(1, failure(visitor, RetryReason::Connect), 1.0),
                None
            );
        }
        let last = failure(0, RetryReason::Connect);
        assert_eq!(breaker.failed(1, last, 1.0), Some(Transition::Tripped));
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
        assert_eq!(breaker.passed(now), Some(Transition::Passing));
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
        assert_eq!(breaker.passed(0), Some(Transition::Passing));
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
