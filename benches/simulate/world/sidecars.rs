//! The sidecars: each has a queue that survives it, and publishes one event of a visitor at a time.

use std::collections::{BTreeSet, VecDeque};

use gatecount::{
    delivery::{Lanes, PendingEvent, Ticket},
    queue::Position,
};

use super::{
    Happening, World,
    chance::{Chance, whole},
    crowd,
};

/// Events are taken in so often.
const ROUND: u64 = 15;
/// Publishes at a time.
const AT_ONCE: usize = 64;
/// The median time until the servers have confirmed an event, and the spread of its logarithm.
const PUBLISH: (f64, f64) = (4.0, 0.8);
/// The share of publishes that meet a pause of the server's disk, and how long these take at most.
const STALL: (f64, u64) = (0.005, 400);
/// How long a sidecar waits for a confirmation.
const PATIENCE: u64 = 3_000;
/// Ends of the last moment are not on the disk when a sidecar is killed.
const UNWRITTEN: u64 = 200;

#[derive(Debug)]
pub(super) struct Sidecar {
    pub(super) up: bool,
    pub(super) connected: bool,
    /// Which of its lives it is in.
    life: u32,
    /// What its clock is ahead of the right time.
    pub(super) skew: i64,
    lanes: Lanes,
    publishing: usize,
    /// On the disk.
    pending: BTreeSet<u32>,
    ended: VecDeque<(u64, u32)>,
}

impl Sidecar {
    /// All but two clocks are a few milliseconds off.
    pub(super) fn new(number: usize, chance: &mut Chance) -> Self {
        let skew = match number {
            0 => 1_000,
            1 => -1_000,
            _ => (chance.normal() * 5.0) as i64,
        };
        Sidecar {
            up: true,
            connected: true,
            life: 0,
            skew,
            lanes: Lanes::new(7),
            publishing: 0,
            pending: BTreeSet::new(),
            ended: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn push(&mut self, event: u32, visitor: u32) {
        let pending = PendingEvent {
            position: Position::new(0, event),
            visitor: crowd::key(visitor),
            at: 0,
        };
        assert!(self.lanes.push(pending).is_some(), "there is room");
    }
}

impl World<'_> {
    /// A page is shown by one of the replicas that are up.
    pub(super) fn page(&mut self, event: u32) {
        let sidecar = loop {
            let sidecar = self.chance.one_of(self.sidecars.len());
            if self.sidecars[sidecar].up {
                break sidecar;
            }
        };
        self.traces[event as usize].sidecar = sidecar as u8;
        self.sidecars[sidecar].pending.insert(event);
        let round = self.now.next_multiple_of(ROUND);
        let life = self.sidecars[sidecar].life;
        self.at(round, Happening::TakenIn { sidecar, life, event });
    }

    pub(super) fn taken_in(&mut self, sidecar: usize, life: u32, event: u32) {
        if self.sidecars[sidecar].life == life {
            let visitor = self.day[event as usize].visitor;
            self.sidecars[sidecar].push(event, visitor);
            self.publish(sidecar);
        }
    }

    pub(super) fn publish(&mut self, sidecar: usize) {
        let now = self.now;
        self.sidecars[sidecar].lanes.admit(now);
        loop {
            let from = &mut self.sidecars[sidecar];
            if !from.up || !from.connected || from.publishing == AT_ONCE {
                return;
            }
            let Some(ticket) = from.lanes.take() else { return };
            from.publishing += 1;
            let life = from.life;
            let mut takes = whole(self.chance.log_normal(PUBLISH.0, PUBLISH.1)) + 1;
            if self.chance.happens(STALL.0) {
                takes += self.chance.between(20, STALL.1);
            }
            let at = now + takes;
            self.at(
                at,
                Happening::Publish {
                    sidecar,
                    life,
                    ticket,
                },
            );
        }
    }

    /// A message reaches the servers, unless the connection is away. What they say comes at once or never.
    pub(super) fn publish_arrives(&mut self, sidecar: usize, life: u32, ticket: Ticket) {
        let from = &self.sidecars[sidecar];
        let Some(event) = from.lanes.event(ticket).filter(|_| from.life == life) else {
            return;
        };
        let event = event.position.to_number() as u32;
        let stored = from.connected && self.store(event);
        let from = &mut self.sidecars[sidecar];
        from.publishing -= 1;
        if stored {
            from.lanes.end(ticket);
            from.pending.remove(&event);
            from.ended.push_back((self.now, event));
            while from
                .ended
                .pop_front_if(|(at, _)| *at + UNWRITTEN < self.now)
                .is_some()
            {}
        } else {
            let again = self.now + PATIENCE + self.chance.between(1, 1_000);
            from.lanes.wait(ticket, again);
            self.at(again, Happening::PublishAgain(sidecar));
        }
        self.publish(sidecar);
    }

    /// Kills a sidecar; its pod starts again on the same disk.
    pub(super) fn kill_sidecar(&mut self, sidecar: usize, lasts: u64) {
        let killed = &mut self.sidecars[sidecar];
        if killed.up {
            killed.up = false;
            killed.life += 1;
            killed.lanes = Lanes::new(7);
            killed.publishing = 0;
            let unwritten = killed.ended.drain(..).filter(|(at, _)| at + UNWRITTEN > self.now);
            killed.pending.extend(unwritten.map(|(_, event)| event));
            self.at(self.now + lasts, Happening::SidecarStarts(sidecar));
        }
    }

    pub(super) fn sidecar_starts(&mut self, sidecar: usize) {
        self.sidecars[sidecar].up = true;
        let pending: Vec<u32> = self.sidecars[sidecar].pending.iter().copied().collect();
        for event in pending {
            let visitor = self.day[event as usize].visitor;
            self.sidecars[sidecar].push(event, visitor);
        }
        self.publish(sidecar);
    }

    /// The time of an event's page by its sidecar's clock, as gateways see it.
    pub(super) fn claimed(&self, event: u32) -> u64 {
        let trace = &self.traces[event as usize];
        let page = i64::from(self.day[event as usize].at) + self.sidecars[usize::from(trace.sidecar)].skew;
        // Far enough from 0 for a clock that is behind.
        (page.min(i64::from(trace.stored)) + 1_000_000).cast_unsigned()
    }
}
