//! What becomes of an event once an attempt has ended.

use std::time::{Duration, Instant};

use super::state::Engine;
use crate::delivery::{
    account::EventEnd,
    breaker::{FailedAttempt, Transition},
    lanes::Ticket,
    outcome::{Outcome, RetryReason},
    senders::FinishedAttempt,
};

impl Engine<'_> {
    /// Settles all attempts that have ended.
    pub(super) fn settle(&mut self, instant: Instant, now: u64) {
        let mut done = std::mem::take(&mut self.settling);
        self.finished.swap(&mut done);
        for attempt in done.drain(..) {
            self.senders.release(&attempt, instant);
            self.metrics.attempt(attempt.outcome, attempt.took);
            self.settle_one(&attempt, instant, now);
            self.buffers.push(attempt.stored);
        }
        self.settling = done;
    }

    fn settle_one(&mut self, attempt: &FinishedAttempt, instant: Instant, now: u64) {
        let ticket = attempt.ticket;
        match attempt.outcome {
            Outcome::Delivered => {
                self.answered(ticket, EventEnd::Delivered, now);
                if !self.drops.is_empty() {
                    self.note_record(attempt);
                }
            }
            Outcome::Published => self.answered(ticket, EventEnd::Published, now),
            Outcome::DroppedByPlausible => {
                self.answered(ticket, EventEnd::DroppedByPlausible, now);
                self.note_drop(attempt);
            }
            Outcome::Rejected => {
                self.answered(ticket, EventEnd::Rejected, now);
                self.note_rejected();
            }
            Outcome::Unreadable => {
                self.breaker.inconclusive(now, ticket);
                self.end_corrupt(ticket, instant);
            }
            Outcome::Retry(reason, after) => {
                self.failed(ticket, reason, after.unwrap_or_default(), instant, now);
            }
        }
    }

    /// Plausible has judged the event, or the stream has it. So that works.
    fn answered(&mut self, ticket: Ticket, end: EventEnd, now: u64) {
        self.end(ticket, end);
        self.answered += 1;
        self.breaker.passed(now);
        self.note_success(now);
    }

    /// Puts the event back to wait, or ends it if it has had its tries.
    ///
    /// If other events got through after this one had failed, the fault is probably this event's. Its
    /// failures then do not count for the breaker.
    fn failed(&mut self, ticket: Ticket, reason: RetryReason, after: Duration, instant: Instant, now: u64) {
        let Some(event) = self.lanes.event(ticket) else {
            debug_assert!(false, "an event that was sent is pending");
            return;
        };
        self.shared
            .set_error(self.target.describe(reason), self.target.hint(reason));
        let passing = self.breaker.is_passing();
        let tries = self.tries.entry(ticket).or_default();
        let known = tries.failed(reason, self.answered, passing);
        if !known {
            self.note_failure(reason, now);
        }
        let tries = self.tries.entry(ticket).or_default();
        let wait = self.backoff.delay(tries.failures, fastrand::f64()).max(after);
        if self.has_had_its_tries(ticket) {
            self.breaker.inconclusive(now, ticket);
            self.give_up(ticket, instant);
            return;
        }
        if known || reason.is_of_one_event() {
            self.breaker.refused(now, ticket, fastrand::f64());
        } else {
            let failure = FailedAttempt {
                ticket,
                visitor: event.visitor,
                reason,
                after,
            };
            let tripped = self.breaker.failed(now, failure, fastrand::f64()) == Some(Transition::Tripped);
            if tripped || self.breaker.failing() > 1 {
                let answered = self.answered;
                self.tries
                    .values_mut()
                    .for_each(|tries| tries.is_not_alone(answered, tripped));
            }
            if tripped {
                self.report_trip(reason);
            }
        }
        // At least a millisecond, or a jitter of zero would make a busy loop.
        self.lanes.wait(ticket, now + 1 + wait.as_millis() as u64);
    }

    /// Whether an event failed so often while others got through that it is not tried again.
    pub(super) fn has_had_its_tries(&mut self, ticket: Ticket) -> bool {
        let tries = self.tries.get_mut(&ticket);
        tries.is_some_and(|tries| tries.are_over(self.answered, self.settings.max_tries))
    }

    /// Ends an event that has had its tries.
    pub(super) fn give_up(&mut self, ticket: Ticket, instant: Instant) {
        let last = self.tries.get(&ticket).and_then(|tries| tries.last);
        self.end(ticket, EventEnd::Rejected);
        if let Some(events) = self.log.given_up.pass(instant, 1) {
            let last = last.map(tracing::field::display);
            tracing::error!(
                events,
                last,
                "events were given up: they failed at every try while others got through"
            );
        }
    }
}
