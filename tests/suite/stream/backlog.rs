//! All servers are away while many events come. The sidecars keep them, and bring them out afterwards; the app's own
//! traffic is timed in each part of it.
//!
//! With `GATECOUNT_FULL=1` these are a million, over three servers and three gateways. Servers, gateways and Plausible then
//! run when nothing else wants the CPU (`SCHED_IDLE`): they stand for machines of their own, and beside a sidecar on two
//! cores they would be timed in its place. What is left is what a sidecar itself does to the app's traffic.

use std::time::{Duration, Instant};

use super::{
    fleet::{Fleet, Size},
    load::{Asked, Load, VISITORS, roams},
};
use crate::support::{
    as_long_as_it_moves, full,
    load::{Calm, Steady},
    nats::{Nats, Sync},
    process::ELSEWHERE,
};

/// How much of it there is.
struct Plan {
    events: usize,
    /// Pages a second in the outage, and beside the drain.
    rates: [u32; 2],
    /// How many pages each part has that is only there to be compared with.
    compared: [usize; 2],
}

/// A part of the test.
struct Part {
    asked: Vec<Asked>,
    /// Pages a second that were answered.
    rate: f64,
    /// What the app's own traffic saw through the first sidecar, two hundred requests a second.
    app: Calm,
}

/// So many pages a second, and the app's own traffic beside them, until that returns.
fn part(fleet: &Fleet, rate: u32, first: usize, until: impl FnOnce(&Load)) -> Part {
    let steady = Steady::through(fleet.sidecars[0].address);
    let (begun, load) = (Instant::now(), Load::from_page(first, &fleet.addresses, rate));
    until(&load);
    let asked = load.finish();
    Part {
        rate: asked.len() as f64 / begun.elapsed().as_secs_f64(),
        asked,
        app: steady.finish(),
    }
}

impl Part {
    /// The first page after these, of the first visitor.
    fn next(&self) -> usize {
        let last = self.asked.iter().map(|asked| asked.number).max().unwrap_or(0);
        (last / VISITORS + 1) * VISITORS
    }

    /// How many times as long the app's slowest hundredth took as in another part.
    fn slower_than(&self, other: &Part) -> f64 {
        self.app.p99.as_secs_f64() / other.app.p99.as_secs_f64()
    }
}

/// Waits until so many more pages were answered.
fn pages(load: &Load, mut count: usize) {
    while count > 0 {
        let some = count.min(10_000);
        load.goes_on(some);
        count -= some;
    }
}

#[test]
fn all_servers_are_away_for_a_million_events() {
    let (nats, size, plan) = if full() {
        let size = Size {
            sidecars: 4,
            gateways: 3,
            partitions: 16,
        };
        let plan = Plan {
            events: 1_000_000,
            rates: [6_000, 500],
            compared: [120_000, 10_000],
        };
        (Nats::three_elsewhere(Sync::Default), size, plan)
    } else {
        let size = Size {
            sidecars: 2,
            ..Size::LEAST
        };
        let plan = Plan {
            events: 2_000,
            rates: [400, 50],
            compared: [400, 100],
        };
        (Nats::one(Sync::Default), size, plan)
    };
    let Some(nats) = nats else {
        return;
    };
    let mut fleet = Fleet::start(
        nats,
        size,
        |builder| {
            builder
                .set("queue.max_bytes", "1GiB")
                .set("plausible.concurrency", 64)
        },
        |builder| {
            let builder = builder.set("plausible.concurrency", 64);
            if full() {
                builder.under(&ELSEWHERE)
            } else {
                builder
            }
        },
    );
    if full() {
        fleet.plausible.is_elsewhere();
    }
    let [fast, slow] = plan.rates;
    let fast_before = part(&fleet, fast, 0, |load| pages(load, plan.compared[0]));
    // So that the next part has a machine without a backlog.
    fleet.settle();
    let slow_before = part(&fleet, slow, fast_before.next(), |load| {
        pages(load, plan.compared[1]);
    });
    fleet.settle();

    fleet.nats.kill_all();
    let outage = part(&fleet, fast, slow_before.next(), |load| pages(load, plan.events));
    let waiting: u64 = fleet
        .sidecars
        .iter()
        .map(|sidecar| sidecar.metrics().pending())
        .sum();
    assert_eq!(waiting, outage.asked.len() as u64, "all of it waits");

    let before = fleet.ledger.len();
    let due = before + outage.asked.len();
    fleet.nats.all_again();
    fleet.nats.await_well();
    let begun = Instant::now();
    let drain = part(&fleet, slow, outage.next(), |load| {
        as_long_as_it_moves("the backlog is delivered", || {
            // Oldest first: what is left came in the last two seconds.
            match (due + load.answered()).saturating_sub(fleet.ledger.len()) {
                left if left <= 2 * slow as usize => Ok(()),
                left => Err(left),
            }
        });
    });
    let drained = begun.elapsed();
    let delivered = fleet.ledger.len() - before;
    fleet.settle();

    let (wrong, all) = fleet.ledger.disorder(|number| !roams(number));
    let repeats = fleet.ledger.repeats();
    let ratios = [outage.slower_than(&fast_before), drain.slower_than(&slow_before)];
    eprintln!(
        "measured: {} events kept while no server was there, drained beside new ones in {drained:.0?}, {:.0} a second; p99 of the app at \
         {:.0} pages a second {:.2?}, in the outage at {:.0} {:.2?} ({:.2} times); at {:.0} pages a second {:.2?}, \
         in the drain at {:.0} {:.2?} ({:.2} times); {} events came twice",
        outage.asked.len(),
        delivered as f64 / drained.as_secs_f64(),
        fast_before.rate,
        fast_before.app.p99,
        outage.rate,
        outage.app.p99,
        ratios[0],
        slow_before.rate,
        slow_before.app.p99,
        drain.rate,
        drain.app.p99,
        ratios[1],
        repeats.len(),
    );
    let parts = [&fast_before, &slow_before, &outage, &drain];
    let numbers = parts.iter().flat_map(|part| &part.asked);
    fleet.ledger.assert_each_once(numbers.map(|asked| asked.number));
    assert_eq!(wrong, 0, "of {all} are out of order");
    fleet.plausible.assert_strict();
    if full() {
        // Of two halves of one run on a quiet machine they differ by some tenths.
        let most = |before: &Part| before.app.p99 * 2 + Duration::from_millis(1);
        assert!(outage.app.p99 <= most(&fast_before), "{ratios:?}");
        assert!(drain.app.p99 <= most(&slow_before), "{ratios:?}");
    }
}
