//! The events that a gateway has from the stream. They are in memory alone: the stream keeps each until the
//! servers hear that it is over, so a second copy on a disk would only have to be reconciled.

use std::collections::HashMap;

use super::lanes::Ticket;
use crate::{
    queue::Position,
    stream::{HandedEvent, Intake, Lease, OpenDelivery},
};

/// Events that are taken in at once, so that a long backlog does not hold up what is in flight.
const AT_ONCE: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(super) struct Streamed {
    intake: Intake,
    /// What has come and is not in a lane yet.
    arrived: Vec<HandedEvent>,
    events: HashMap<Ticket, OpenEvent>,
    /// The bytes of `events`.
    bytes: u64,
    /// How many events have come so far.
    count: u64,
    /// Whether the stream's end has gone, so that nothing comes any more.
    closed: bool,
}

#[derive(Debug)]
struct OpenEvent {
    record: Vec<u8>,
    lease: Lease,
    open: OpenDelivery,
}

/// Whether an event may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseState {
    Holds,
    /// The servers have not confirmed it for a while. They may yet, so the event waits.
    RanOut,
    /// Another gateway sends the event.
    Lost,
}

impl Streamed {
    pub(super) fn new(intake: Intake) -> Self {
        Streamed {
            intake,
            arrived: Vec::new(),
            events: HashMap::new(),
            bytes: 0,
            count: 0,
            closed: false,
        }
    }

    /// Waits until an event has come. It is safe to drop this and call it again.
    pub(super) async fn arrival(&mut self) {
        if self.closed {
            return std::future::pending().await;
        }
        match self.intake.events.recv().await {
            Some(event) => self.arrived.push(event),
            None => self.closed = true,
        }
    }

    /// Takes what has come, and says whether that was all.
    pub(super) fn take_arrived(&mut self) -> (Vec<HandedEvent>, bool) {
        let mut arrived = std::mem::take(&mut self.arrived);
        while arrived.len() < AT_ONCE {
            match self.intake.events.try_recv() {
                Ok(event) => arrived.push(event),
                Err(_) => return (arrived, true),
            }
        }
        (arrived, false)
    }

    /// The next event's position: a number like any other, for there is no record behind it.
    pub(super) fn next_position(&mut self) -> Position {
        self.count += 1;
        Position::new((self.count >> 32) as u32, self.count as u32)
    }

    /// Keeps an event that has its place in a lane.
    pub(super) fn keep(&mut self, ticket: Ticket, handed: HandedEvent) {
        let HandedEvent { event, lease, open } = handed;
        self.bytes += event.record.len() as u64;
        let open = OpenEvent {
            record: event.record,
            lease,
            open,
        };
        self.events.insert(ticket, open);
    }

    /// Whether an event may be sent now, in milliseconds since 1970.
    pub(super) fn lease_of(&self, ticket: Ticket, now: u64) -> LeaseState {
        match self.events.get(&ticket) {
            Some(event) if event.lease.holds(now) => LeaseState::Holds,
            Some(event) if !event.lease.is_revoked() => LeaseState::RanOut,
            _ => LeaseState::Lost,
        }
    }

    /// Replaces the content of `into` by the event's bytes. False if it is not there.
    pub(super) fn read(&self, ticket: Ticket, into: &mut Vec<u8>) -> bool {
        into.clear();
        let Some(event) = self.events.get(&ticket) else {
            return false;
        };
        into.extend_from_slice(&event.record);
        true
    }

    /// An event has ended: no gateway is to send it any more.
    pub(super) fn finish(&mut self, ticket: Ticket) {
        if let Some(event) = self.remove(ticket) {
            event.open.finish();
        }
    }

    /// An event that is not on its way goes to whoever the servers give it to.
    pub(super) fn give_back(&mut self, ticket: Ticket) {
        if let Some(event) = self.remove(ticket) {
            event.open.give_back();
        }
    }

    /// The events whose lease was revoked, or all of them.
    pub(super) fn lost(&self, all: bool) -> Vec<Ticket> {
        let lost = self
            .events
            .iter()
            .filter(|(_, event)| all || event.lease.is_revoked());
        let mut lost: Vec<Ticket> = lost.map(|(ticket, _)| *ticket).collect();
        // Those behind others in their lanes first, so that no lane sends what is about to go.
        lost.sort_unstable_by(|a, b| b.cmp(a));
        lost
    }

    /// Forgets everything. What of it was on its way is not known any more, so the servers let its time pass
    /// before they give it to another gateway.
    pub(super) fn forget(&mut self) {
        self.arrived.clear();
        self.events.clear();
        self.bytes = 0;
    }

    /// Leaves all partitions to other gateways.
    pub(super) fn leave(&self) {
        self.intake.leave();
    }

    /// Waits until the servers know of every end that they were told.
    pub(super) async fn left(&mut self) {
        self.intake.left().await;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn remove(&mut self, ticket: Ticket) -> Option<OpenEvent> {
        let event = self.events.remove(&ticket)?;
        self.bytes -= event.record.len() as u64;
        Some(event)
    }
}
