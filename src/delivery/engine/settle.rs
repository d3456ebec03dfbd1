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
                if let Some(events) = self.quiet.rejected.speak(instant, 1) {
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
    /// A try counts where others got through since the last one. So an outage uses none up, and an event that fails
    /// alone is told from Plausible's own trouble: it does not count for the breaker.
    fn failed(&mut self, ticket: Ticket, trouble: Trouble, after: Duration, instant: Instant, now: u64) {
        let Some(facts) = self.lanes.facts(ticket) else {
            debug_assert!(false, "an event that was sent is pending");
            return;
        };
        self.shared.set_error(self.endpoint.describe(trouble));
        let tries = self.tries.entry(ticket).or_default();
        let first = tries.failures == 0;
        let alone = !first && self.answered > tries.answered;
        tries.answered = self.answered;
        tries.failures = tries.failures.saturating_add(1);
        tries.counted += u32::from(first || alone);
        if alone && tries.counted >= self.settings.max_tries {
            self.breaker.untold(now, ticket);
            self.end(ticket, End::Rejected);
            if let Some(events) = self.quiet.broken_events.speak(instant, 1) {
                tracing::error!(events, last = %trouble, "events were given up: they failed at every try while others got through");
            }
            return;
        }
        let wait = self.backoff.delay(tries.failures, fastrand::f64()).max(after);
        if alone {
            self.breaker.untold(now, ticket);
        } else {
            let failure = Failure {
                ticket,
                visitor: facts.visitor,
                trouble,
                after,
            };
            if self.breaker.failed(now, failure, fastrand::f64()) == Some(Change::Tripped) {
                self.tripped(trouble, instant);
            }
        }
        // At least a millisecond, so that no jitter makes a loop of it.
        self.lanes.wait(ticket, now + 1 + wait.as_millis() as u64);
    }

    fn tripped(&mut self, trouble: Trouble, instant: Instant) {
        if self.quiet.breaker.speak(instant, 1).is_none() {
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
