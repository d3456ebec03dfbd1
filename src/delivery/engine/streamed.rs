//! A gateway's side of the engine: takes in what the stream gives, and gives back what another gateway is to
//! send.

use super::state::Engine;
use crate::delivery::{
    account::{EventEnd, Source},
    lanes::{PendingEvent, Ticket},
    streamed::LeaseState,
    target::Publication,
};
use crate::stream::EventId;

/// How long an event waits whose lease was not confirmed in time, in milliseconds.
const UNCONFIRMED: u64 = 100;

impl Engine<'_> {
    /// Takes in what the stream has given.
    pub(super) fn take_in_streamed(&mut self) {
        let Some(streamed) = &mut self.carry.streamed else {
            return;
        };
        let (arrived, all) = streamed.take_arrived();
        self.hurry |= !all;
        let events = arrived.len() as u64;
        if events == 0 {
            return;
        }
        let mut too_many = 0;
        for handed in arrived {
            let event = PendingEvent {
                position: streamed.next_position(),
                visitor: handed.event.visitor,
                at: handed.event.at,
            };
            if let Some(ticket) = self.lanes.push(event) {
                streamed.keep(ticket, handed);
            } else {
                handed.open.give_back();
                too_many += 1;
            }
        }
        self.shared.account.offered(Source::Stream, events);
        self.carry.adopt(events);
        if too_many > 0 {
            self.count_ended(EventEnd::HandedOver, too_many);
        }
    }

    /// Gives back what is not on its way and whose lease was revoked; with `all`, everything that is not on its
    /// way.
    pub(super) fn hand_over(&mut self, all: bool) {
        let Some(streamed) = &mut self.carry.streamed else {
            return;
        };
        let mut events = 0;
        for ticket in streamed.lost(all) {
            if self.lanes.withdraw(ticket) {
                self.tries.remove(&ticket);
                streamed.give_back(ticket);
                events += 1;
            }
        }
        if events > 0 {
            self.count_ended(EventEnd::HandedOver, events);
        }
    }

    /// Whether an event that was taken out of its lane may be sent as far as its lease goes. If not, it waits,
    /// or has been given back.
    pub(super) fn has_lease(&mut self, ticket: Ticket, now: u64) -> bool {
        let Some(streamed) = &mut self.carry.streamed else {
            return true;
        };
        match streamed.lease_of(ticket, now) {
            LeaseState::Holds => return true,
            LeaseState::RanOut => self.lanes.wait(ticket, now + UNCONFIRMED),
            LeaseState::Lost => {
                streamed.give_back(ticket);
                self.end(ticket, EventEnd::HandedOver);
            }
        }
        false
    }

    /// What the stream has to know of an event beside its bytes, if events go there.
    pub(super) fn publication(&self, ticket: Ticket) -> Option<Publication> {
        if !self.target.is_stream() {
            return None;
        }
        let event = self.lanes.event(ticket)?;
        let (file, offset) = self.queue.identity(event.position)?;
        Some(Publication {
            id: EventId { file, offset },
            visitor: event.visitor,
            at: event.at,
        })
    }

    /// The end of an event that the stream gave.
    pub(super) fn finish_streamed(&mut self, ticket: Ticket) {
        if let Some(streamed) = &mut self.carry.streamed {
            streamed.finish(ticket);
        }
    }
}
