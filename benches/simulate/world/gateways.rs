//! The gateways: the real ownership and shares, and around them what the stream's consumer does with them.

use std::collections::{HashMap, HashSet};

use gatecount::{
    delivery::{Lanes, Ticket},
    stream::{Arrival, Lease, MessageSign, Outstanding, Ownership, Shares, StreamedEvent},
};

use super::{Doubt, Happening, Settings, World, crowd, servers::Word};

/// How long a partition is left to others.
const LEFT: u64 = 5_000;
/// How often the servers are asked whom they deliver to: as the owner, and while taking over.
const ASK: [u64; 2] = [2_000, 250];
/// Of the attempts of a gateway that is paused, one in so many has yet to send its bytes.
const UNSENT: u64 = 10;

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) up: bool,
    pub(super) leaving: bool,
    pub(super) connected: bool,
    /// Which of its lives it is in.
    pub(super) life: u32,
    pub(super) paused_until: u64,
    /// The servers have its requests until then, though it can't renew them.
    pub(super) asks_until: u64,
    pub(super) partitions: Vec<Held>,
    shares: Shares,
    pub(super) lanes: Lanes,
    /// What is in the lanes.
    pub(super) handed: HashMap<Ticket, Handed>,
    /// How often attempts at it have failed.
    pub(super) failures: HashMap<Ticket, u32>,
    /// The attempts on the wire.
    pub(super) in_flight: HashSet<usize>,
    /// The events that are over, of which the servers have not confirmed that they know.
    pub(super) unconfirmed: HashSet<u32>,
}

/// A partition as a gateway has it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) ownership: Ownership,
    /// It is left to others until then.
    rests_until: u64,
    asking: bool,
    /// Messages that came, for counting those that are here.
    came: Vec<u64>,
}

/// An event that was handed over to delivery.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) partition: usize,
    pub(super) sequence: u64,
    pub(super) lease: Lease,
}

impl Gateway {
    pub(super) fn new(name: u64, life: u32, settings: &Settings) -> Self {
        let held = || Held {
            ownership: Ownership::new(settings.terms()),
            rests_until: 0,
            asking: false,
            came: Vec::new(),
        };
        Gateway {
            up: true,
            leaving: false,
            connected: true,
            life,
            paused_until: 0,
            asks_until: 0,
            partitions: (0..settings.partitions).map(|_| held()).collect(),
            shares: Shares::new(name),
            lanes: Lanes::new(name),
            handed: HashMap::new(),
            failures: HashMap::new(),
            in_flight: HashSet::new(),
            unconfirmed: HashSet::new(),
        }
    }

    pub(super) fn is_well(&self, now: u64) -> bool {
        self.up && now >= self.paused_until
    }

    /// Whether it renews its requests for a partition.
    pub(super) fn asks_itself(&self, partition: usize, now: u64) -> bool {
        let rests = self.leaving || now < self.partitions[partition].rests_until;
        self.is_well(now) && self.connected && !rests
    }

    /// Whether the servers have a request of it.
    pub(super) fn is_asking(&self, partition: usize, now: u64) -> bool {
        let rests = self.leaving || now < self.partitions[partition].rests_until;
        self.asks_itself(partition, now) || self.up && !rests && now < self.asks_until
    }

    /// Events that are here.
    pub(super) fn holds(&mut self) -> usize {
        let held = self.partitions.iter_mut().map(|held| {
            let ownership = &held.ownership;
            held.came.retain(|sequence| ownership.knows(*sequence));
            held.came.len()
        });
        held.sum()
    }

    pub(super) fn owned(&self) -> Vec<usize> {
        let owned = |partition: &usize| self.partitions[*partition].ownership.is_pinned();
        (0..self.partitions.len()).filter(owned).collect()
    }
}

impl World<'_> {
    pub(super) fn message(&mut self, gateway: usize, partition: usize, sequence: u64, pin: u64, again: bool) {
        let event = self.stored[sequence as usize];
        let streamed = StreamedEvent {
            sequence,
            visitor: crowd::key(self.day[event as usize].visitor),
            at: self.claimed(event),
            record: Vec::new(),
        };
        let now = self.now;
        let trace = &mut self.traces[event as usize];
        if trace.came == 0 {
            trace.came = now as u32;
        }
        let held = &mut self.gateways[gateway].partitions[partition];
        let was_pinned = held.ownership.is_pinned();
        match held.ownership.receive(&pin.to_string(), streamed, again, now) {
            Arrival::Kept => {
                held.came.push(sequence);
                let life = self.gateways[gateway].life;
                self.at(
                    now + self.settings.reorder(),
                    Happening::Due {
                        gateway,
                        life,
                        partition,
                    },
                );
            }
            Arrival::Known => {}
            Arrival::Over => self.tell(gateway, partition, sequence, Word::Over),
        }
        if was_pinned {
            self.sweep(gateway);
        }
        if !self.gateways[gateway].partitions[partition].asking {
            self.gateways[gateway].partitions[partition].asking = true;
            self.ask(gateway, partition);
        }
    }

    /// Asks the servers how a partition stands, and goes on to.
    pub(super) fn ask(&mut self, gateway: usize, partition: usize) {
        let (now, life) = (self.now, self.gateways[gateway].life);
        let held = &mut self.gateways[gateway].partitions[partition];
        if !held.ownership.is_pinned() {
            held.asking = false;
            return;
        }
        let pace = ASK[usize::from(held.ownership.is_taking_over())];
        self.at(
            now + pace,
            Happening::Ask {
                gateway,
                life,
                partition,
            },
        );
        if self.gateways[gateway].connected {
            let at = now + self.chance.between(1, 3);
            let asked = Happening::Asked {
                gateway,
                life,
                partition,
                asked: now,
            };
            self.at(at, asked);
        }
    }

    /// The servers answer how a partition stands.
    pub(super) fn asked(&mut self, gateway: usize, life: u32, partition: usize, asked: u64) {
        if let Some((pin, all, again)) = self.standing(partition) {
            let at = self.now + self.chance.between(1, 3);
            let out = Outstanding { all, again };
            self.at(
                at,
                Happening::Standing {
                    gateway,
                    life,
                    partition,
                    pin,
                    out,
                    asked,
                },
            );
        }
    }

    pub(super) fn stands(
        &mut self,
        gateway: usize,
        partition: usize,
        pin: Option<u64>,
        out: Outstanding,
        asked: u64,
    ) {
        if !self.gateways[gateway].connected {
            return;
        }
        let now = self.now;
        let ownership = &mut self.gateways[gateway].partitions[partition].ownership;
        let was_taking_over = ownership.is_taking_over();
        let pin = pin.map(|pin| pin.to_string());
        let returned = ownership.confirm(pin.as_deref(), out, asked, now);
        let (is_pinned, is_taking_over) = (ownership.is_pinned(), ownership.is_taking_over());
        for sequence in returned {
            self.tell(gateway, partition, sequence, Word::Returned);
        }
        if !is_pinned {
            self.sweep(gateway);
        } else if was_taking_over && !is_taking_over {
            self.hand_over(gateway, partition);
        }
    }

    /// Tells the servers about a message, while there is a connection.
    pub(super) fn tell(&mut self, gateway: usize, partition: usize, sequence: u64, word: Word) {
        if self.gateways[gateway].connected {
            let (at, life) = (self.now + self.chance.between(1, 3), self.gateways[gateway].life);
            self.at(
                at,
                Happening::Told {
                    gateway,
                    life,
                    partition,
                    sequence,
                    word,
                },
            );
        }
    }

    pub(super) fn told(&mut self, gateway: usize, life: u32, partition: usize, sequence: u64, word: Word) {
        if self.hear_of(partition, sequence, word) && word == Word::Over {
            let at = self.now + self.chance.between(1, 3);
            self.at(
                at,
                Happening::Confirmed {
                    gateway,
                    life,
                    partition,
                    sequence,
                },
            );
        }
    }

    pub(super) fn confirmed(&mut self, gateway: usize, partition: usize, sequence: u64) {
        let now = self.now;
        let hears = &mut self.gateways[gateway];
        if hears.connected {
            hears.unconfirmed.remove(&self.stored[sequence as usize]);
            hears.partitions[partition].ownership.acknowledged(sequence, now);
        }
    }

    /// Several times a second: signs of life, and what rested long enough.
    pub(super) fn tick(&mut self, gateway: usize) {
        let now = self.now;
        for partition in 0..self.gateways[gateway].partitions.len() {
            let held = &mut self.gateways[gateway].partitions[partition];
            if held.rests_until > 0 && now >= held.rests_until {
                held.rests_until = 0;
                self.deliver(partition);
            }
            let ownership = &mut self.gateways[gateway].partitions[partition].ownership;
            for (sequence, sign) in ownership.signs(now) {
                let over = sign == MessageSign::Over;
                let word = if over { Word::Over } else { Word::Working };
                self.tell(gateway, partition, sequence, word);
            }
            let ownership = &mut self.gateways[gateway].partitions[partition].ownership;
            if ownership.due(now).is_some_and(|due| due <= now) {
                self.hand_over(gateway, partition);
            }
        }
    }

    /// Once a second, the gateway says what it owns, and leaves what is too much.
    pub(super) fn turn(&mut self, gateway: usize) {
        let now = self.now;
        if self.gateways[gateway].leaving {
            return;
        }
        let owned = self.gateways[gateway].owned();
        let turn = self.gateways[gateway].shares.turn(&owned, now);
        self.report.left += turn.leaves.len() as u64;
        for partition in turn.leaves {
            self.leave(gateway, partition, now + LEFT);
        }
        if !self.gateways[gateway].connected {
            return;
        }
        let said = turn.says.to_string();
        for other in 0..self.gateways.len() {
            let hears = &mut self.gateways[other];
            if other == gateway || !hears.is_well(now) || !hears.connected {
                continue;
            }
            let notice = said.parse().expect("it was written as it is read");
            for partition in hears.shares.hear(&notice, now) {
                let held = &mut hears.partitions[partition];
                if !held.ownership.is_pinned() {
                    held.rests_until = now + LEFT;
                }
            }
        }
    }

    /// Leaves a partition to others until then.
    pub(super) fn leave(&mut self, gateway: usize, partition: usize, until: u64) {
        let now = self.now;
        let held = &mut self.gateways[gateway].partitions[partition];
        held.rests_until = until;
        let was_pinned = held.ownership.is_pinned();
        for sequence in held.ownership.give_back(now) {
            self.tell(gateway, partition, sequence, Word::Returned);
        }
        self.sweep(gateway);
        if was_pinned && self.gateways[gateway].connected {
            self.at(now + 4, Happening::Unpin { gateway, partition });
        }
    }

    /// No sign of the servers for a while: what waits is forgotten.
    pub(super) fn stale(&mut self, gateway: usize, partition: usize) {
        self.gateways[gateway].partitions[partition].ownership.lose();
        self.sweep(gateway);
    }

    /// The events of which a gateway's failure may make a second one: what it has on the wire, and what the
    /// servers have not confirmed to know of.
    pub(super) fn doubt(&mut self, gateway: usize, why: Doubt) {
        let from = &self.gateways[gateway];
        let in_flight = from.in_flight.iter().map(|number| self.attempts[*number].event);
        for event in in_flight.chain(from.unconfirmed.iter().copied()) {
            self.traces[event as usize].doubt(why);
            self.report.at_risk += 1;
        }
    }

    /// The same of one partition.
    pub(super) fn doubt_of(&mut self, gateway: usize, partition: usize, why: Doubt) {
        let from = &self.gateways[gateway];
        let in_flight = from.in_flight.iter().map(|number| self.attempts[*number].event);
        let events: Vec<u32> = in_flight.chain(from.unconfirmed.iter().copied()).collect();
        for event in events {
            if self.partition_of(event) == partition {
                self.traces[event as usize].doubt(why);
                self.report.at_risk += 1;
            }
        }
    }

    /// A gateway is stopped for a while; some attempts had yet to send their bytes.
    pub(super) fn pause(&mut self, gateway: usize, lasts: u64) {
        self.doubt(gateway, Doubt::Paused);
        self.gateways[gateway].paused_until = self.now + lasts;
        let mut in_flight: Vec<usize> = self.gateways[gateway].in_flight.iter().copied().collect();
        in_flight.sort_unstable();
        for number in in_flight {
            let life = self.gateways[gateway].life;
            if self.chance.between(1, UNSENT) == 1 && self.attempts[number].draw > 0 {
                self.attempts[number].draw = 0;
                self.leaves(self.attempts[number].event);
                self.at(
                    self.now + lasts,
                    Happening::SendsAtLast {
                        gateway,
                        life,
                        number,
                    },
                );
            }
        }
        self.stops_asking(gateway);
    }
}
