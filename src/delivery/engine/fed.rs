//! Takes in what a source gives that can be read again.

use std::time::Instant;

use super::{state::Engine, take_in::Brought};
use crate::{
    delivery::{
        account::{EventEnd, Source},
        encode,
        portion::{FeedRequest, KnownPlace, Portion, Taken},
    },
    event::{Event, Sighting},
    queue::{Batch, Position},
};

impl Engine<'_> {
    pub(super) fn answer(&mut self, request: FeedRequest) {
        // A source that does not wait for the answer has gone.
        match request {
            FeedRequest::Place(reply) => drop(reply.send(self.known_place())),
            FeedRequest::Store(portion, reply) => {
                let taken = self.take_portion(&portion);
                drop(reply.send((taken, portion)));
            }
        }
    }

    /// Appends a portion's events, then notes its place.
    fn take_portion(&mut self, portion: &Portion) -> Taken {
        let disk_is_out = self.queue.has_home() && !self.queue.survives();
        let must_wait = self.lanes.len() > 0 && self.queue.is_nearly_full();
        if disk_is_out || must_wait {
            return Taken::NotNow;
        }
        let events = portion.len() as u64;
        self.shared.account.offered(Source::Observe, events);
        self.carry.adopt(events);
        let instant = Instant::now();
        let now = self.shared.clock.millis_at(instant);
        let (mut brought, mut expired) = (Brought::default(), 0);
        for (sighting, hold, place) in portion.events() {
            if Sighting::time_of(sighting).is_some_and(|at| now.saturating_sub(at) > self.max_age) {
                expired += 1;
                continue;
            }
            let rules = &self.carry.rules;
            let add = |batch: &mut Batch| {
                encode::add_placed(batch, rules, Source::Observe, sighting, place, hold).is_ok()
            };
            match hold {
                Some(hold) => brought.add_held(&mut self.batch, &mut self.loads, sighting, hold, add),
                None => brought.unmade += u64::from(!add(&mut self.batch)),
            }
        }
        if expired > 0 {
            self.count_ended(EventEnd::Expired, expired);
        }
        let newest = self.store(brought, instant, now);
        self.newest_placed = newest.or(self.newest_placed);
        let position = self.newest_placed.map_or(0, Position::to_number);
        let note = [&position.to_le_bytes()[..], portion.place()].concat();
        self.schedule.queue_used(instant);
        if self.queue.write_note(&note) {
            Taken::Noted
        } else {
            Taken::Unnoted
        }
    }

    /// The note's place, or that of a record that was appended after the note was written.
    fn known_place(&mut self) -> KnownPlace {
        if !self.queue.has_home() {
            return KnownPlace::NeverKept;
        }
        if !self.queue.survives() {
            return KnownPlace::NotNow;
        }
        let note = match self.queue.note() {
            Ok(note) => note.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "queue: its note can't be read");
                return KnownPlace::NotNow;
            }
        };
        let noted = note.split_first_chunk();
        let position = noted.map_or(0, |(position, _)| u64::from_le_bytes(*position));
        if let Some(newest) = self.newest_placed.filter(|newest| newest.to_number() > position) {
            let mut record = Vec::new();
            if self.queue.read(newest, &mut record).is_ok()
                && let Some(place) = Event::place_of(&record)
            {
                return KnownPlace::At(place.to_vec());
            }
        }
        noted.map_or(KnownPlace::Nowhere, |(_, place)| KnownPlace::At(place.to_vec()))
    }
}
