//! No server, and no Plausible.

use std::time::{Duration, Instant};

use super::{
    fleet::{ACK_WAIT, Fleet, Size, redelivered},
    load::{Load, VISITORS},
};
use crate::support::{
    as_long_as_it_moves, full,
    load::Steady,
    nats::{Nats, Sync},
    receiver::Reply,
};

/// The app notices nothing of it. What was published before is there when the server is back, and what came
/// meanwhile goes out.
#[test]
fn while_no_server_is_there_the_sidecars_keep_what_comes() {
    let Some(nats) = Nats::one(Sync::Always) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, 0..10);
    fleet.ledger.await_len(10);
    fleet.settle();
    // These are in the stream when the server dies.
    fleet.plausible.die();
    fleet.visit(0, 10..20);
    fleet.sidecars[0].await_metrics("they are published", |metrics| {
        metrics.finished("published") == 20
    });
    let steady = Steady::through(fleet.sidecars[0].address);
    fleet.nats.kill(0);
    fleet.plausible.come_back();
    fleet.visit(0, 20..320);
    fleet.sidecars[0].await_metrics("they wait", |metrics| metrics.pending() == 300);
    steady.goes_on();
    let status = fleet.sidecars[0].status();
    assert_eq!(status["troubles"][0]["kind"], "stream_unreachable", "{status}");
    steady.finish();
    // Killed as well, it still has them.
    fleet.sidecars[0].kill();
    fleet.sidecar_again(0);
    fleet.nats.again(0);
    fleet.ledger.await_len(320);
    fleet.settle();
    fleet.ledger.assert_each_once(0..320);
    assert_eq!(fleet.ledger.disorder(|_| true), (0, 320));
    fleet.plausible.assert_strict();
}

/// What a gateway holds for as long as Plausible is away is its own: it says so to the servers, and they give it
/// to no other.
#[test]
fn while_plausible_is_away_nothing_is_given_to_another_gateway() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, 0..40);
    fleet.ledger.await_len(40);
    fleet.settle();
    // The second one comes late, so that the first one has what comes next; what it leaves comes first.
    fleet.more_gateways();
    for round in 1.. {
        fleet.visit(0, (0..40).map(|visitor| round * VISITORS + visitor));
        fleet.settle();
        if fleet
            .gateways
            .iter()
            .all(|gateway| super::fleet::owned(gateway) == 2)
        {
            break;
        }
        assert!(round < 300, "each has its share");
    }
    let (before, sent): (Vec<u64>, usize) = (
        fleet.gateways.iter().map(redelivered).collect(),
        fleet.ledger.len(),
    );
    fleet.plausible.die();
    let first = 1_000 * VISITORS;
    fleet.visit(0, first..first + 40);
    let begun = Instant::now();
    as_long_as_it_moves("the time passes after which it would be another's", || {
        let left = (ACK_WAIT + ACK_WAIT / 2).saturating_sub(begun.elapsed());
        if left.is_zero() { Ok(()) } else { Err(left) }
    });
    fleet.plausible.come_back();
    fleet.ledger.await_len(sent + 40);
    fleet.settle();
    let after: Vec<u64> = fleet.gateways.iter().map(redelivered).collect();
    assert_eq!(after, before, "nothing came again");
    assert!(fleet.ledger.repeats().is_empty());
    fleet.plausible.assert_strict();
}

/// An outage of all servers for the time of a million events. A good part of them is in the sidecars' queues
/// meanwhile, and the app's own requests take no longer.
#[test]
fn all_servers_are_away_for_a_million_events() {
    if !full() {
        // Five thousand take a minute in a debug build; three hundred are in every run, above.
        return;
    }
    let Some(nats) = Nats::three(Sync::Always) else {
        return;
    };
    let size = Size {
        sidecars: 4,
        gateways: 3,
        partitions: 16,
    };
    let mut fleet = Fleet::start(
        nats,
        size,
        |builder| {
            builder
                .set("queue.max_bytes", "1GiB")
                .set("plausible.concurrency", 256)
        },
        |builder| builder.set("plausible.concurrency", 256),
    );
    fleet.visit(0, 0..size.partitions as usize * 4);
    fleet.settle();
    fleet.plausible.always(Reply::Accept);
    let events = 1_000_000;
    // Before: the same load, with all servers there.
    let rate = 2_000;
    let steady = Steady::through(fleet.sidecars[0].address);
    let load = Load::through(&fleet.addresses, rate);
    load.goes_on(rate as usize * 20);
    load.finish();
    let before = steady.finish();
    fleet.settle();

    fleet.nats.kill_all();
    let ledger = super::ledger::Ledger::of(&fleet.plausible);
    let steady = Steady::through(fleet.sidecars[0].address);
    let load = Load::through(&fleet.addresses, rate);
    let mut asked = 0;
    while asked < events {
        load.goes_on(10_000);
        asked += 10_000;
    }
    let asked = load.finish();
    let during = steady.finish();
    let waiting: u64 = fleet
        .sidecars
        .iter()
        .map(|sidecar| sidecar.metrics().pending())
        .sum();
    assert_eq!(waiting, asked.len() as u64, "all of it waits");

    let begun = Instant::now();
    fleet.nats.all_again();
    fleet.nats.await_well();
    fleet.ledger = ledger;
    fleet.ledger.await_len(asked.len());
    let drained = begun.elapsed();
    fleet.settle();
    fleet
        .ledger
        .assert_each_once(asked.iter().map(|asked| asked.number));
    let (wrong, all) = fleet.ledger.disorder(|number| !super::load::roams(number));
    eprintln!(
        "measured: {} events kept while no server was there, drained in {drained:?}; p99 of the app before {:?}, \
         during {:?}",
        asked.len(),
        before.p99,
        during.p99
    );
    assert_eq!(wrong, 0, "of {all}");
    fleet.plausible.assert_strict();
    // Of two halves of one run on a quiet machine they differ by some tenths.
    assert!(
        during.p99 <= before.p99 * 2 + Duration::from_millis(1),
        "{:?}, before {:?}",
        during.p99,
        before.p99
    );
}
