//! Takes in what the workers offered.

use std::time::Instant;

use tokio::sync::oneshot;

use super::state::Engine;
use crate::{
    delivery::{account::EventEnd, encode, intake::Offer, lanes::PendingEvent},
    event::EventRules,
    queue::{Batch, Position},
};

/// What a round brought, beside its records.
#[derive(Default)]
pub(super) struct Brought {
    /// Sightings of which no event could be made.
    pub(super) unmade: u64,
    /// Who waits for the records with these numbers to be stored.
    pub(super) waiting: Vec<(usize, oneshot::Sender<()>)>,
}

impl Brought {
    fn add(&mut self, batch: &mut Batch, rules: &EventRules, offer: Offer<'_>) {
        match offer {
            Offer::Sighting(source, sighting) => {
                self.unmade += u64::from(encode::add(batch, rules, source, sighting).is_err());
            }
            Offer::Submitted(submission) => {
                encode::add_submitted(batch, &submission);
                self.waiting.push((batch.len() - 1, submission.stored));
            }
        }
    }
}

impl Engine<'_> {
    /// Takes in what was handed in, and what was offered, if a round is due.
    pub(super) fn take_in(&mut self, instant: Instant, now: u64) {
        let (carry, batch) = (&mut *self.carry, &mut self.batch);
        let (intake, rules) = (&mut carry.intake, &carry.rules);
        let mut brought = Brought::default();
        intake.round(instant, &mut |offer| brought.add(batch, rules, offer));
        self.store(brought, instant, now);
    }

    /// Takes in everything, at a stop.
    pub(super) fn take_in_all(&mut self) {
        let (carry, batch) = (&mut *self.carry, &mut self.batch);
        let (intake, rules) = (&mut carry.intake, &carry.rules);
        let mut brought = Brought::default();
        intake.last_round(&mut |offer| brought.add(batch, rules, offer));
        let instant = Instant::now();
        self.store(brought, instant, self.shared.clock.millis_at(instant));
    }

    /// Puts the batch into the queue and the lanes, and tells those who wait for it. Returns the position of
    /// its last event.
    pub(super) fn store(&mut self, brought: Brought, instant: Instant, now: u64) -> Option<Position> {
        let Brought { unmade, waiting } = brought;
        if unmade > 0 {
            self.count_ended(EventEnd::Rejected, unmade);
            if let Some(events) = self.log.unmade.pass(instant, unmade) {
                tracing::error!(events, "events could not be made: a fault of gatecount's own");
            }
        }
        if self.batch.is_empty() {
            return None;
        }
        self.schedule.queue_used(instant);
        let lanes = &mut self.lanes;
        let mut record = 0;
        let mut refused = Vec::new();
        let mut too_many = Vec::new();
        let mut last = None;
        self.queue.append(&mut self.batch, now, &mut |stored| {
            last = stored.position.or(last);
            let event = stored.position.map(|position| PendingEvent {
                position,
                visitor: stored.key,
                at: stored.at,
            });
            // A record without a position is larger than a segment may be.
            if !event.is_some_and(|event| lanes.push(event)) {
                refused.push(record);
                too_many.extend(stored.position);
            }
            record += 1;
        });
        if !refused.is_empty() {
            self.count_ended(EventEnd::Overflow, refused.len() as u64);
        }
        for position in too_many {
            self.queue.finish(position);
        }
        for (record, stored) in waiting {
            if !refused.contains(&record) {
                // Whoever waited may have left.
                let _ = stored.send(());
            }
        }
        last
    }
}
