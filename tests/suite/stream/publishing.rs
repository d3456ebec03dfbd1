//! The way of an event through one server, and what becomes of it when its sidecar is killed on that way.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    fleet::{CONCURRENCY, Fleet, PUBLISHED_AT_ONCE, STREAM, Size, owned, published, redelivered},
    load::{Load, SAFE, VISITORS},
};
use crate::support::{
    eventually,
    metrics::Metrics,
    nats::{Nats, Sync},
    process::Sidecar,
};

/// `SCHED_BATCH`, as Linux numbers it.
const BATCH: &str = "3";

/// The scheduling policies of a process's threads, by the beginnings of their names.
fn policies(process: &Sidecar) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).expect("read /proc");
    tasks
        .filter_map(|task| {
            let path = task.expect("a thread").path().join("stat");
            // A thread may end meanwhile.
            let stat = fs::read_to_string(path).ok()?;
            let (name, rest) = stat.rsplit_once(") ").expect("a name in brackets");
            let name = name.split_once('(').expect("a name in brackets").1;
            // The 41st field, of which the third is the first behind the name.
            let policy = rest.split(' ').nth(41 - 3).expect("a policy");
            Some((name.to_owned(), policy.to_owned()))
        })
        .collect()
}

/// What brings events out does not take the CPU away from a worker that is serving on it.
#[test]
fn the_threads_that_publish_stand_behind_the_traffic() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let fleet = Fleet::plain(nats, Size::LEAST);
    let policies = policies(&fleet.sidecars[0]);
    for (thread, behind) in [
        ("gatecount-deliv", true),
        ("gatecount-strea", true),
        ("gatecount-0", false),
    ] {
        let of_it: Vec<bool> = policies
            .iter()
            .filter(|(name, _)| name.starts_with(thread))
            .map(|(_, policy)| policy == BATCH)
            .collect();
        assert!(!of_it.is_empty(), "{policies:?}");
        assert!(of_it.iter().all(|is| *is == behind), "{policies:?}");
    }
}

/// Forty visitors with five pages each, one after the other.
fn pages() -> impl Iterator<Item = usize> + Clone {
    (0..5).flat_map(|round| (0..40).map(move |visitor| round * VISITORS + visitor))
}

#[test]
fn each_event_comes_once_in_its_visitors_order_and_is_in_the_account() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, pages());
    fleet.ledger.await_len(200);
    fleet.settle();
    fleet.ledger.assert_each_once(pages());
    assert_eq!(fleet.ledger.disorder(|_| true), (0, 200));
    fleet.plausible.assert_strict();

    let (sidecar, gateway) = (fleet.sidecars[0].metrics(), fleet.gateways[0].metrics());
    assert_eq!((sidecar.offered(), sidecar.finished("published")), (200, 200));
    assert_eq!(sidecar.finished("delivered"), 0, "that is the gateway's to say");
    assert_eq!(published(&sidecar, "accepted"), 200);
    assert_eq!((gateway.offered(), gateway.finished("delivered")), (200, 200));
    assert_eq!(owned(&fleet.gateways[0]), u64::from(Size::LEAST.partitions));
    assert_eq!(redelivered(&fleet.gateways[0]), 0);
    let status = fleet.gateways[0].status();
    assert_eq!(status["delivery"]["state"], "passing", "{status}");
    assert_eq!(
        status["delivery"]["finished"]["delivered"],
        Value::from(200),
        "{status}"
    );
}

/// What was on its way to the servers when the sidecar was killed is published again at its next start, under the
/// id that it had. The server stands still meanwhile, so that all of it is on its way.
#[test]
fn what_is_published_again_after_a_kill_does_not_come_twice() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, 0..1);
    fleet.ledger.await_len(1);
    fleet.settle();
    fleet.nats.signal(0, "STOP");
    // As many visitors as may be on their way at once.
    fleet.visit(0, 1..=CONCURRENCY);
    eventually("all are on their way", || {
        match &fleet.sidecars[0].status()["delivery"]["in_flight"] {
            count if *count == CONCURRENCY => Ok(()),
            other => Err(other.to_string()),
        }
    });
    // What is on its way is written to the socket by a task of its own.
    thread::sleep(Duration::from_millis(200));
    fleet.sidecars[0].kill();
    fleet.nats.signal(0, "CONT");
    fleet.sidecar_again(0);
    let last = CONCURRENCY;
    fleet.ledger.await_len(1 + last);
    fleet.settle();
    fleet.ledger.assert_each_once(0..=last);
    let metrics = fleet.sidecars[0].metrics();
    assert!(
        published(&metrics, "duplicate") > 0,
        "none was published twice: {metrics:?}"
    );
    assert_eq!(metrics.finished("published"), last as u64);
}

/// However long the servers are silent, no more events may have come to them unconfirmed than are published at once: so
/// many may come twice if the sidecar is killed and they do not know the ids any more. Here they do, and so say how many.
#[test]
fn while_a_server_is_silent_no_more_is_published_than_may_be_at_once() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    // So that the sidecar knows how long an answer takes.
    fleet.visit(0, 0..20);
    fleet.ledger.await_len(20);
    fleet.settle();
    fleet.nats.signal(0, "STOP");
    fleet.visit(0, 20..VISITORS);
    let timed_out = |metrics: &Metrics| {
        let attempts = metrics.metric("gatecount_delivery_attempts_total");
        attempts.label("result", "timeout").value()
    };
    fleet.sidecars[0].await_metrics("all that may be were published, and some again", |metrics| {
        timed_out(metrics) > PUBLISHED_AT_ONCE as u64
    });
    fleet.sidecars[0].kill();
    fleet.nats.signal(0, "CONT");
    fleet.sidecar_again(0);
    fleet.ledger.await_len(VISITORS);
    fleet.settle();
    fleet.ledger.assert_each_once(0..VISITORS);
    let were_there = published(&fleet.sidecars[0].metrics(), "duplicate");
    assert!(
        (1..=PUBLISHED_AT_ONCE as u64).contains(&were_there),
        "{were_there}"
    );
}

#[test]
fn a_sidecar_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    let load = Load::through(&fleet.addresses, 200);
    let mut kills = Vec::new();
    for _ in 0..4 {
        load.goes_on(fastrand::usize(1..80));
        let killed = Instant::now();
        fleet.sidecars[0].kill();
        kills.push(killed..=Instant::now());
        fleet.sidecar_again(0);
    }
    load.goes_on(20);
    let asked = load.finish();
    fleet.settle();
    let times = fleet.ledger.times();
    let lost: Vec<_> = asked
        .iter()
        .filter(|asked| asked.is_safe_at(kills.iter().cloned(), SAFE))
        .filter(|asked| !times.contains_key(&asked.number))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        asked.len()
    );
    let repeats = fleet.ledger.repeats();
    assert!(repeats.is_empty(), "{repeats:?}");
    let (wrong, all) = fleet.ledger.disorder(|_| true);
    assert_eq!(wrong, 0, "of {all}");
    fleet.plausible.assert_strict();
    assert_eq!(fleet.nats.stream(STREAM).map(|stream| stream.messages), Some(0));
}
