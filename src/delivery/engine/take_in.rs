//! Takes in what the workers offered.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{hold::Noted, state::Engine};
use crate::{
    delivery::{
        account::EventEnd,
        encode,
        held::{Hold, Loads},
        intake::Offer,
        lanes::PendingEvent,
    },
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
    /// What the records with these numbers are held for or release, in their order.
    pub(super) noted: Vec<(usize, Noted)>,
    /// Views that another report stands for. They have no record.
    pub(super) tracked: Vec<Noted>,
    /// Views of which no event could be made.
    pub(super) lost: Vec<Noted>,
}

impl Brought {
    fn add(&mut self, batch: &mut Batch, rules: &EventRules, loads: &mut Loads, offer: Offer<'_>) {
        match offer {
            Offer::Sighting(source, sighting) => {
                self.unmade += u64::from(encode::add(batch, rules, source, sighting, None).is_err());
            }
            Offer::Held(source, sighting, hold) => {
                self.add_held(batch, loads, sighting, &hold, |batch| {
                    encode::add(batch, rules, source, sighting, Some(&hold)).is_ok()
                });
            }
            Offer::Submitted(submission) => {
                encode::add_submitted(batch, &submission);
                let record = batch.len() - 1;
                if let Some(report) = submission.report {
                    self.noted.push((record, Noted::report(report)));
                }
                self.waiting.push((record, submission.stored));
            }
        }
    }

    /// Adds a page view that is held, unless another report stands for it. `add` makes its record; false if
    /// it can't.
    pub(super) fn add_held(
        &mut self,
        batch: &mut Batch,
        loads: &mut Loads,
        sighting: &[u8],
        hold: &Hold,
        add: impl FnOnce(&mut Batch) -> bool,
    ) {
        let (noted, key, at) = Noted::view(*hold, sighting, loads);
        if key.is_some_and(|key| loads.join(key, at, hold)) {
            self.tracked.push(noted);
        } else if add(batch) {
            self.noted.push((batch.len() - 1, noted));
        } else {
            self.unmade += 1;
            self.lost.push(noted);
        }
    }
}

impl Engine<'_> {
    /// Takes in what was handed in, and what was offered, if a round is due.
    pub(super) fn take_in(&mut self, instant: Instant, now: u64) {
        let (carry, batch, loads) = (&mut *self.carry, &mut self.batch, &mut self.loads);
        let (intake, rules) = (&mut carry.intake, &carry.rules);
        let mut brought = Brought::default();
        intake.round(instant, &mut |offer| brought.add(batch, rules, loads, offer));
        self.store(brought, instant, now);
    }

    /// Takes in everything, at a stop.
    pub(super) fn take_in_all(&mut self) {
        let (carry, batch, loads) = (&mut *self.carry, &mut self.batch, &mut self.loads);
        let (intake, rules) = (&mut carry.intake, &carry.rules);
        let mut brought = Brought::default();
        intake.last_round(&mut |offer| brought.add(batch, rules, loads, offer));
        let instant = Instant::now();
        self.store(brought, instant, self.shared.clock.millis_at(instant));
    }

    /// Puts the batch into the queue and the lanes, and tells those who wait for it. Returns the position of
    /// its last event.
    pub(super) fn store(&mut self, brought: Brought, instant: Instant, now: u64) -> Option<Position> {
        let Brought {
            unmade,
            waiting,
            noted,
            tracked,
            lost,
        } = brought;
        if unmade > 0 {
            self.count_ended(EventEnd::Rejected, unmade);
            if let Some(events) = self.log.unmade.pass(instant, unmade) {
                tracing::error!(events, "events could not be made: a fault of gatecount's own");
            }
        }
        self.note_tracked(tracked);
        self.note_lost(lost);
        if self.batch.is_empty() {
            return None;
        }
        self.schedule.queue_used(instant);
        let lanes = &mut self.lanes;
        let mut record = 0;
        let mut refused = Vec::new();
        let mut too_many = Vec::new();
        let mut last = None;
        let mut noted = noted.into_iter().peekable();
        let mut reported = Vec::new();
        self.queue.append(&mut self.batch, now, &mut |stored| {
            last = stored.position.or(last);
            let event = stored.position.map(|position| PendingEvent {
                position,
                visitor: stored.key,
                at: stored.at,
            });
            // A record without a position is larger than a segment may be.
            let ticket = event.and_then(|event| lanes.push(event));
            if ticket.is_none() {
                refused.push(record);
                too_many.extend(stored.position);
            }
            if let Some((_, noted)) = noted.next_if(|(number, _)| *number == record) {
                reported.push((noted, ticket, stored.key, stored.at));
            }
            record += 1;
        });
        if !refused.is_empty() {
            self.count_ended(EventEnd::Overflow, refused.len() as u64);
        }
        for position in too_many {
            self.queue.finish(position);
        }
        for (noted, ticket, visitor, at) in reported {
            self.note(noted, ticket, visitor, at, now);
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
