//! What becomes of an event once an attempt has ended.

use std::time::{Duration, Instant};

use super::Engine;
use crate::delivery::{
    account::End,
    breaker::{Change, Failure},
    lanes::Ticket,
    outcome::{Outcome, Trouble},
    sender::Done,
};

impl Engine {
    /// Settles all attempts that ended.
    pub(super) fn settle(&mut self, instant: Instant, now: u64) {
        let mut done = std::mem::take(&mut self.done);
        self.letterbox.empty_into(&mut done);
        for attempt in done.drain(..) {
            self.senders.rest(&attempt, instant);
            self.metrics.attempt(attempt.outcome, attempt.took);
            self.settle_one(&attempt, instant, now);
            self.spare.push(attempt.stored);
        }
        self.done = done;
    }

    fn settle_one(&mut self, attempt: &Done, instant: Instant, now: u64) {
        let ticket = attempt.ticket;
        match attempt.outcome {
            Outcome::Delivered => self.answered(ticket, End::Delivered),
            Outcome::DroppedByPlausible => self.answered(ticket, End::DroppedByPlausible),
            Outcome::Rejected => {
                self.answered(ticket, End::Rejected);
                if let Some(events) = self.log.rejected.pass(instant, 1) {
                    tracing::error!(events, "Plausible rejected events as invalid");
                }
            }
            Outcome::Unreadable => {
                self.breaker.untold(now, ticket);
                self.end(ticket, End::Corrupt);
            }
            Outcome::Retry(trouble, after) => {
                self.failed(ticket, trouble, after.unwrap_or_default(), instant, now);
            }
        }
    }

    /// Plausible has judged the event, so Plausible works.
    fn answered(&mut self, ticket: Ticket, end: End) {
        self.end(ticket, end);
        self.answered += 1;
        if self.breaker.passed() == Some(Change::Passing) && std::mem::take(&mut self.said_tripped) {
            tracing::info!("Plausible takes events again");
        }
    }

    /// The event stays, and waits; or ends, if it has had its tries.
    ///
    /// One that others got through beside since its last failure is told from Plausible's own trouble: it does not count
    /// for the breaker.
    fn failed(&mut self, ticket: Ticket, trouble: Trouble, after: Duration, instant: Instant, now: u64) {
        let Some(facts) = self.lanes.facts(ticket) else {
            debug_assert!(false, "an event that was sent is pending");
            return;
        };
        self.shared.set_error(self.endpoint.describe(trouble));
        let passing = self.breaker.is_passing();
        let tries = self.tries.entry(ticket).or_default();
        let alone = tries.failed(trouble, self.answered, passing);
        let wait = self.backoff.delay(tries.failures, fastrand::f64()).max(after);
        if self.has_had_its_tries(ticket) {
            self.breaker.untold(now, ticket);
            self.give_up(ticket, instant);
            return;
        }
        if alone {
            self.breaker.untold(now, ticket);
        } else {
            let failure = Failure {
                ticket,
                visitor: facts.visitor,
                trouble,
                after,
            };
            let tripped = self.breaker.failed(now, failure, fastrand::f64()) == Some(Change::Tripped);
            if tripped || self.breaker.failing() > 1 {
                let answered = self.answered;
                self.tries
                    .values_mut()
                    .for_each(|tries| tries.is_not_alone(answered, tripped));
            }
            if tripped {
                self.tripped(trouble, instant);
            }
        }
        // At least a millisecond, so that no jitter makes a loop of it.
        self.lanes.wait(ticket, now + 1 + wait.as_millis() as u64);
    }

    /// Whether an event failed so often while others got through that it is not tried again.
    pub(super) fn has_had_its_tries(&mut self, ticket: Ticket) -> bool {
        let tries = self.tries.get_mut(&ticket);
        tries.is_some_and(|tries| tries.are_over(self.answered, self.settings.max_tries))
    }

    /// Ends an event that was taken and has had its tries.
    pub(super) fn give_up(&mut self, ticket: Ticket, instant: Instant) {
        let last = self.tries.get(&ticket).and_then(|tries| tries.last);
        self.end(ticket, End::Rejected);
        if let Some(events) = self.log.broken_events.pass(instant, 1) {
            let last = last.map(tracing::field::display);
            tracing::error!(
                events,
                last,
                "events were given up: they failed at every try while others got through"
            );
        }
    }

    fn tripped(&mut self, trouble: Trouble, instant: Instant) {
        if self.log.breaker.pass(instant, 1).is_none() {
            return;
        }
        self.said_tripped = true;
        let error = self.endpoint.describe(trouble);
        if let Trouble::Misconfigured(_) = trouble {
            tracing::error!(
                error,
                "events cannot be delivered and wait: the address looks wrong"
            );
        } else {
            tracing::warn!(error, "Plausible takes no events; they wait");
        }
    }
}
