//! Starts attempts.

use std::time::Instant;

use super::state::{ENDS_PER_PASS, Engine};
use crate::{
    delivery::{account::EventEnd, lanes::Ticket, outcome::RetryReason, senders::Attempt},
    queue::ReadError,
};

/// What a buffer for an event keeps between two uses, in bytes.
const KEPT: usize = 4_096;

/// How long an event that got no answer in time waits for one of the few places, in milliseconds.
const QUEUED_SUSPECT: u64 = 100;

impl Engine<'_> {
    /// Starts as many attempts as may be in flight.
    pub(super) fn dispatch(&mut self, instant: Instant, now: u64) {
        if self.breaker.is_passing() {
            self.lanes.admit(now);
        }
        let unconfirmed = self.count_unconfirmed();
        let mut ends_left = ENDS_PER_PASS;
        while self.breaker.allows(now) {
            if !self.lanes.ready() && !self.breaker.is_passing() {
                // A probe prefers an event that has not just failed. There is none, so those that wait are
                // admitted.
                self.lanes.admit(now);
            }
            if !self.lanes.ready() {
                self.senders.nothing_to_send();
                break;
            }
            if !self.senders.ready(instant) {
                if self.senders.is_busy() {
                    self.senders.give_up_slow(instant);
                }
                break;
            }
            let out = unconfirmed + self.senders.in_flight_unsuspected();
            let only_again = unconfirmed > 0 && out >= self.settings.concurrency;
            let next = if only_again {
                self.lanes.admit(now);
                self.lanes.take_passed_over()
            } else {
                self.lanes.take()
            };
            let Some(ticket) = next else { break };
            if let Some(due) = self.loads.due_of(ticket) {
                self.lanes.wait(ticket, due.max(now + 1));
                continue;
            }
            let suspect = self.is_suspect(ticket);
            if only_again && !suspect || suspect && self.senders.is_full_of_suspects() {
                self.lanes.wait(ticket, now + QUEUED_SUSPECT);
                continue;
            }
            if let Some(stored) = self.load(ticket, instant, now) {
                self.breaker.sent(ticket);
                let attempt = Attempt {
                    ticket,
                    stored,
                    publication: self.publication(ticket),
                    suspect,
                };
                self.senders.send(attempt, instant);
                continue;
            }
            ends_left -= 1;
            if ends_left == 0 {
                self.hurry = true;
                break;
            }
        }
    }

    /// Whether an event got no answer in time when it was last sent, or may be in the stream.
    fn is_suspect(&self, ticket: Ticket) -> bool {
        // Usually empty; checking that is cheaper than a failed lookup.
        let tries = (!self.tries.is_empty())
            .then(|| self.tries.get(&ticket))
            .flatten();
        tries.is_some_and(|tries| tries.unconfirmed || tries.last == Some(RetryReason::Timeout))
    }

    /// The events that may be in the stream, though no server has said so. They keep their places until one has:
    /// they come twice if the process is killed and the servers do not know their ids any more.
    fn count_unconfirmed(&self) -> usize {
        if !self.target.is_stream() {
            return 0;
        }
        self.tries.values().filter(|tries| tries.unconfirmed).count()
    }

    /// Reads an event that was taken out of its lane. `None` if it is not sent now: then it has ended, or
    /// waits.
    fn load(&mut self, ticket: Ticket, instant: Instant, now: u64) -> Option<Vec<u8>> {
        let event = self.lanes.event(ticket)?;
        if now.saturating_sub(event.at) > self.max_age {
            self.end(ticket, EventEnd::Expired);
            return None;
        }
        if self.has_had_its_tries(ticket) {
            self.give_up(ticket, instant);
            return None;
        }
        if !self.has_lease(ticket, now) {
            return None;
        }
        let mut stored = self.buffers.pop().unwrap_or_default();
        stored.shrink_to(KEPT);
        let read = match &self.carry.streamed {
            None => self.queue.read(event.position, &mut stored),
            Some(streamed) if streamed.read(ticket, &mut stored) => Ok(()),
            Some(_) => Err(ReadError::Gone),
        };
        match read {
            Ok(()) => return Some(stored),
            Err(ReadError::Corrupt) => self.end_corrupt(ticket, instant),
            Err(ReadError::Gone) => self.end(ticket, EventEnd::Evicted),
            Err(ReadError::Io { path, source }) => {
                if let Some(events) = self.log.unread.pass(instant, 1) {
                    let path = path.display();
                    tracing::error!(events, "queue: events wait, as {path} can't be read: {source}");
                }
                let tries = self.tries.entry(ticket).or_default();
                tries.failures += 1;
                let wait = self.backoff.delay(tries.failures, fastrand::f64());
                self.lanes.wait(ticket, now + 1 + wait.as_millis() as u64);
            }
        }
        self.buffers.push(stored);
        None
    }
}
