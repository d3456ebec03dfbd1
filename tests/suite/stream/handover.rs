//! A gateway leaves, and one is paused.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    fleet::{CONCURRENCY, Fleet, Size, owned},
    load::VISITORS,
};
use crate::support::{
    eventually,
    nats::{Nats, Sync},
};

/// Two gateways, of which the second one has come later, and has nothing yet.
fn stage(nats: Nats, strict: bool, timeout: &'static str) -> Fleet {
    let mut fleet = Fleet::start(
        nats,
        Size {
            partitions: 1,
            ..Size::LEAST
        },
        |builder| builder,
        |builder| {
            builder
                .set("stream.strict", strict)
                .set("plausible.timeout", timeout)
                .set("stream.reorder", "0s")
        },
    );
    fleet.visit(0, [0]);
    fleet.ledger.await_len(1);
    fleet.settle();
    let builder = fleet.gateways[0].builder();
    assert_eq!(owned(&fleet.gateways[0]), 1);
    // Its share is the one partition, so it keeps it.
    let second = super::fleet::delivering(&fleet.plausible, &fleet.nats, 1)
        .set("stream.strict", strict)
        .set("plausible.timeout", timeout)
        .set("stream.reorder", "0s");
    drop(builder);
    fleet.gateways.push(second.start());
    fleet
}

/// What it has not sent goes to another one at once, though these messages would be its own for half a minute.
#[test]
fn a_gateway_that_stops_hands_over_at_once() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let mut fleet = stage(nats, false, "25s");
    // Each answer takes a while, so that most of it waits in the gateway's lane when it is told to stop.
    fleet.plausible.slow(Duration::from_millis(200));
    let pages = (1..=40).map(|turn| turn * VISITORS);
    fleet.visit(0, pages.clone());
    fleet.ledger.await_len(3);
    fleet.gateways[0].stop();
    let stopped = Instant::now();
    let there = fleet.ledger.len();
    assert!(there < 30, "{there} of 40 before its end");
    fleet.plausible.slow(Duration::ZERO);
    fleet.ledger.await_len(41);
    let took = stopped.elapsed();
    fleet.gateways.remove(0);
    fleet.settle();
    fleet.ledger.assert_each_once([0].into_iter().chain(pages));
    assert_eq!(fleet.ledger.disorder(|_| true), (0, 41));
    fleet.plausible.assert_strict();
    assert!(took < Duration::from_secs(20), "{took:?} after the stop");
    eprintln!("measured: all of a stopped gateway's was delivered by another one {took:?} after its end");
}

/// The case that is documented: paused in the middle of an attempt, for longer than a message may be out, a gateway
/// has sent that one event, and another one sends it again. It sends nothing else when it goes on, though a whole
/// lane of the visitor's waits in it.
#[test]
fn a_gateway_that_is_paused_in_an_attempt_repeats_that_one_alone() {
    for strict in [false, true] {
        let Some(nats) = Nats::one(Sync::Default) else {
            return;
        };
        let fleet = stage(nats, strict, "2s");
        fleet.plausible.slow(Duration::from_secs(1));
        let pages = (1..=5).map(|turn| turn * VISITORS);
        fleet.visit(0, pages.clone());
        // The attempt of the first one has begun.
        fleet.ledger.await_len(2);
        fleet.gateways[0].signal("STOP");
        fleet.plausible.slow(Duration::ZERO);
        fleet.ledger.await_len(7);
        fleet.gateways[0].signal("CONT");
        // It is well again, and has nothing to say.
        eventually("it goes on", || match fleet.gateways[0].metrics().pending() {
            0 => Ok(()),
            pending => Err(pending.to_string()),
        });
        let last = 6 * VISITORS;
        fleet.visit(0, [last]);
        fleet.ledger.await_len(8);
        fleet.settle();
        thread::sleep(Duration::from_millis(200));
        let repeats: Vec<usize> = fleet
            .ledger
            .repeats()
            .iter()
            .map(|repeat| repeat.number)
            .collect();
        assert_eq!(repeats, [VISITORS], "strict: {strict}");
        let mut once: Vec<usize> = [0].into_iter().chain(pages).chain([last]).collect();
        once.retain(|number| *number != VISITORS);
        let times = fleet.ledger.times();
        assert!(
            once.iter().all(|number| times.get(number) == Some(&1)),
            "strict: {strict}: {times:?}"
        );
        assert_eq!(fleet.ledger.disorder(|_| true), (0, 6), "strict: {strict}");
        // The attempt of the one that is paused is still open at Plausible, or over.
        let (_, of_one_visitor) = fleet.plausible.peaks();
        assert!(of_one_visitor <= 2, "{of_one_visitor} at once");
        assert!(fleet.plausible.peaks().0 <= CONCURRENCY);
    }
}
