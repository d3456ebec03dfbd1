//! Takes in what the workers offered.

use std::time::Instant;

use super::state::Engine;
use crate::{
    delivery::{account::EventEnd, encode, lanes::PendingEvent},
    queue::Position,
};

impl Engine<'_> {
    /// Takes in what was offered, if a round is due.
    pub(super) fn take_in(&mut self, instant: Instant, now: u64) {
        let (carry, batch) = (&mut *self.carry, &mut self.batch);
        let (intake, rules) = (&mut carry.intake, &carry.rules);
        let mut unmade = 0;
        intake.round(instant, &mut |source, sighting| {
            unmade += u64::from(encode::add(batch, rules, source, sighting).is_err());
        });
        self.store(unmade, instant, now);
    }

    /// Takes in everything, at a stop.
    pub(super) fn take_in_all(&mut self) {
        let (carry, batch) = (&mut *self.carry, &mut self.batch);
        let (intake, rules) = (&mut carry.intake, &carry.rules);
        let mut unmade = 0;
        intake.last_round(&mut |source, sighting| {
            unmade += u64::from(encode::add(batch, rules, source, sighting).is_err());
        });
        let instant = Instant::now();
        self.store(unmade, instant, self.shared.clock.millis_at(instant));
    }

    /// Puts the batch into the queue and the lanes, and returns the position of its last event. `unmade`:
    /// sightings of which no event could be made.
    pub(super) fn store(&mut self, unmade: u64, instant: Instant, now: u64) -> Option<Position> {
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
        let mut too_large = 0;
        let mut too_many = Vec::new();
        let mut last = None;
        self.queue.append(&mut self.batch, now, &mut |stored| {
            let Some(position) = stored.position else {
                too_large += 1;
                return;
            };
            last = Some(position);
            let event = PendingEvent {
                position,
                visitor: stored.key,
                at: stored.at,
            };
            if !lanes.push(event) {
                too_many.push(position);
            }
        });
        if too_large + too_many.len() > 0 {
            self.count_ended(EventEnd::Overflow, (too_large + too_many.len()) as u64);
        }
        for position in too_many {
            self.queue.finish(position);
        }
        last
    }
}
