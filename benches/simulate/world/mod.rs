//! A day of a site with many sidecars and gateways, without a network: the real partitioning, ownership, leases,
//! shares and lanes, and around them visitors, servers, Plausible, and what goes wrong.
//!
//! Time is a number, and what happens next comes from a heap; chance comes from a seed. So the same seed gives
//! the same day.

mod chance;
pub(crate) mod crowd;
mod failures;
mod gateways;
mod plan;
mod plausible;
mod report;
mod sending;
mod servers;
mod sidecars;
mod weather;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use chance::Chance;
use crowd::PageShown;
use gatecount::stream::{Partition, Terms, UNSIGNED};
use gateways::Gateway;
use plan::{Happening, Planned};
use plausible::{Attempt, TIMEOUT};
use servers::Consumer;
use sidecars::Sidecar;

use report::Doubt;
pub(crate) use report::Report;

/// How long a lease lasts from the servers' last answer.
const LEASE: u64 = 5_000;
/// How long a message is out without a sign of life before it is delivered again.
const ACK_WAIT: u64 = TIMEOUT + LEASE + UNSIGNED;
/// How long after the day's end everything has to be over.
const EVENING: u64 = 2 * 3_600_000;

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// The last hours of the day.
    pub(crate) hours: usize,
    pub(crate) sidecars: usize,
    pub(crate) gateways: usize,
    pub(crate) partitions: u16,
    /// `[stream] reorder`, in milliseconds.
    pub(crate) reorder: u64,
    /// `[stream] strict`.
    pub(crate) strict: bool,
    /// How much goes wrong, against a bad day; 0 for nothing at all.
    pub(crate) trouble: f64,
}

impl Settings {
    fn reorder(&self) -> u64 {
        if self.strict { 0 } else { self.reorder }
    }

    fn out_at_once(&self) -> usize {
        if self.strict { 1 } else { 256 }
    }

    fn terms(&self) -> Terms {
        Terms {
            reorder: self.reorder(),
            lease: LEASE,
            ack_wait: ACK_WAIT,
        }
    }
}

/// What goes wrong, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    KillGateway(u64),
    PauseGateway(u64),
    CutGateway(u64),
    ReplaceGateway,
    AddGateway,
    RemoveGateway,
    /// A third of the partitions gets another leader.
    KillServer,
    AllServersDown(u64),
    RestartSidecar(u64),
    CutSidecar(u64),
    PlausibleDown(u64),
    PlausibleSlow(u64),
}

/// What is known of an event. Times are in milliseconds since the day began; 0: not yet.
#[derive(Debug, Clone, Copy, Default)]
struct Trace {
    /// When the servers had it.
    stored: u32,
    /// When it came to a gateway.
    came: u32,
    /// When it was last handed over to delivery before Plausible counted it.
    taken: u32,
    sidecar: u8,
    /// How often Plausible counted it.
    counted: u8,
    /// Why it may be counted twice.
    doubts: u8,
}

impl Trace {
    fn doubt(&mut self, why: Doubt) {
        self.doubts |= 1 << why as u8;
    }

    fn has(self, why: Doubt) -> bool {
        self.doubts & 1 << why as u8 > 0
    }

    /// Whether another attempt at it, or at its visitor's next event, may be on the wire.
    fn may_overlap(self) -> bool {
        self.has(Doubt::Paused) || self.has(Doubt::Servers)
    }
}

/// See the module.
pub(crate) struct World<'a> {
    settings: Settings,
    day: &'a [PageShown],
    now: u64,
    plan: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    chance: Chance,
    traces: Vec<Trace>,
    sidecars: Vec<Sidecar>,
    gateways: Vec<Gateway>,
    consumers: Vec<Consumer>,
    /// The events in the stream, by their numbers there.
    stored: Vec<u32>,
    pins: u64,
    stream_down_until: u64,
    attempts: Vec<Attempt>,
    free_attempts: Vec<usize>,
    draws: u64,
    /// Of visitors with events at Plausible: how many, and the first.
    in_flight: HashMap<u32, (u32, u32)>,
    /// Of each visitor, the newest event that counted.
    newest: Vec<Option<u32>>,
    plausible_down_until: u64,
    plausible_slow_until: u64,
    /// Since when the gateways are others, until they share evenly.
    changed: Option<u64>,
    report: Report,
}

impl<'a> World<'a> {
    /// Lives through a day.
    pub(crate) fn live(settings: &Settings, day: &'a [PageShown]) -> Report {
        let mut world = World::new(settings.clone(), day);
        let end = settings.hours as u64 * 3_600_000;
        for (at, failure) in weather::failures(settings) {
            world.at(at, Happening::Fails(failure));
        }
        for gateway in 0..settings.gateways {
            world.at(0, Happening::GatewayStarts(gateway));
        }
        world.at(1_000, Happening::Second);
        let mut next = 0;
        loop {
            let page = day.get(next).map_or(u64::MAX, |page| u64::from(page.at) + 1);
            let planned = world.plan.peek().map_or(u64::MAX, |planned| planned.0.0);
            if page <= planned && page < u64::MAX {
                world.now = page;
                world.page(next as u32);
                next += 1;
            } else if let Some(Reverse(Planned(at, _, happening))) = world.plan.pop() {
                world.now = at;
                if matches!(happening, Happening::Second) {
                    let over = next == day.len() && world.is_over();
                    if over || at > end + EVENING {
                        break;
                    }
                }
                world.happens(happening);
            }
        }
        world.finish()
    }

    fn new(settings: Settings, day: &'a [PageShown]) -> Self {
        let mut chance = Chance::new(settings.seed);
        let visitors = day
            .iter()
            .map(|page| page.visitor)
            .max()
            .map_or(0, |last| last + 1);
        World {
            day,
            now: 0,
            plan: BinaryHeap::new(),
            planned: 0,
            traces: vec![Trace::default(); day.len()],
            sidecars: (0..settings.sidecars)
                .map(|number| Sidecar::new(number, &mut chance))
                .collect(),
            gateways: Vec::new(),
            consumers: (0..settings.partitions).map(|_| Consumer::default()).collect(),
            stored: Vec::with_capacity(day.len()),
            pins: 0,
            stream_down_until: 0,
            attempts: Vec::new(),
            free_attempts: Vec::new(),
            draws: 0,
            in_flight: HashMap::new(),
            newest: vec![None; visitors as usize],
            plausible_down_until: 0,
            plausible_slow_until: 0,
            changed: None,
            report: Report::default(),
            chance,
            settings,
        }
    }

    fn at(&mut self, at: u64, happening: Happening) {
        self.planned += 1;
        self.plan.push(Reverse(Planned(at, self.planned, happening)));
    }

    fn partition_of(&self, event: u32) -> usize {
        let visitor = crowd::key(self.day[event as usize].visitor);
        Partition::of(visitor, self.settings.partitions).index()
    }

    fn is_over(&self) -> bool {
        let published = self.sidecars.iter().all(Sidecar::is_empty);
        published && self.left() == 0 && self.in_flight.is_empty()
    }

    /// Lets it happen; what a paused gateway would do, once it goes on.
    fn happens(&mut self, happening: Happening) {
        let of_gateway = match happening {
            Happening::Message { gateway, life, .. }
            | Happening::Due { gateway, life, .. }
            | Happening::Ask { gateway, life, .. }
            | Happening::Standing { gateway, life, .. }
            | Happening::Confirmed { gateway, life, .. }
            | Happening::Dispatch { gateway, life }
            | Happening::SendsAtLast { gateway, life, .. }
            | Happening::Stale { gateway, life, .. }
            | Happening::Tick { gateway, life }
            | Happening::Turn { gateway, life } => Some((gateway, life)),
            Happening::AttemptEnds(number) => {
                let attempt = &self.attempts[number];
                Some((attempt.gateway, attempt.life))
            }
            _ => None,
        };
        if let Some((gateway, life)) = of_gateway {
            let actor = &self.gateways[gateway];
            if actor.life == life && actor.up && self.now < actor.paused_until {
                let later = actor.paused_until;
                return self.at(later, happening);
            }
            if actor.life != life && !matches!(happening, Happening::AttemptEnds(_)) {
                return;
            }
        }
        match happening {
            Happening::TakenIn { sidecar, life, event } => self.taken_in(sidecar, life, event),
            Happening::Publish {
                sidecar,
                life,
                ticket,
            } => self.publish_arrives(sidecar, life, ticket),
            Happening::PublishAgain(sidecar) => self.publish(sidecar),
            Happening::SidecarStarts(sidecar) => self.sidecar_starts(sidecar),
            Happening::SidecarIsBack(sidecar) => self.sidecar_is_back(sidecar),
            Happening::LeaderIsThere(partition) => self.deliver(partition),
            Happening::Overdue(partition) => self.overdue(partition),
            Happening::PinLapses { partition, pin } => self.pin_lapses(partition, pin),
            Happening::Asked {
                gateway,
                life,
                partition,
                asked,
            } => self.asked(gateway, life, partition, asked),
            Happening::Told {
                gateway,
                life,
                partition,
                sequence,
                word,
            } => {
                self.told(gateway, life, partition, sequence, word);
            }
            Happening::Unpin { gateway, partition } => self.unpin(partition, gateway),
            Happening::Answered(number, draw) => self.answered(number, draw),
            Happening::GatewayStarts(gateway) => self.gateway_starts(gateway),
            Happening::GatewayIsBack(gateway) => self.gateway_is_back(gateway),
            Happening::GatewayGoes {
                gateway,
                life,
                starts,
            } => self.gateway_goes(gateway, life, starts),
            Happening::Fails(failure) => self.fails(failure),
            Happening::Second => self.second(),
            Happening::Message {
                gateway,
                partition,
                sequence,
                pin,
                again,
                ..
            } => {
                self.message(gateway, partition, sequence, pin, again);
            }
            Happening::Due {
                gateway, partition, ..
            } => self.hand_over(gateway, partition),
            Happening::Ask {
                gateway, partition, ..
            } => self.ask(gateway, partition),
            Happening::Standing {
                gateway,
                partition,
                pin,
                out,
                asked,
                ..
            } => {
                self.stands(gateway, partition, pin, out, asked);
            }
            Happening::Confirmed {
                gateway,
                partition,
                sequence,
                ..
            } => {
                self.confirmed(gateway, partition, sequence);
            }
            Happening::Dispatch { gateway, .. } => self.dispatch(gateway),
            Happening::SendsAtLast { number, .. } => self.arrives(number),
            Happening::Stale {
                gateway, partition, ..
            } => self.stale(gateway, partition),
            Happening::Tick { gateway, life } => {
                self.tick(gateway);
                self.at(self.now + 250, Happening::Tick { gateway, life });
            }
            Happening::Turn { gateway, life } => {
                self.turn(gateway);
                self.at(self.now + 1_000, Happening::Turn { gateway, life });
            }
            Happening::AttemptEnds(number) => self.attempt_ends(number),
        }
    }
}
