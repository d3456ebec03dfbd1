//! A long outage: what piles up costs little memory, is there after a restart, and goes in each visitor's
//! order.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::{ACCEPTED, stage, visitor};
use crate::support::{
    DEADLINE,
    client::{Client, NAVIGATION, Request},
    full,
    load::Steady,
    receiver::{Receiver, Reply},
};

/// The hours of the outage, each with a Plausible that fails in another way.
const HOURS: [fn(&Receiver); 4] = [
    Receiver::die,
    |plausible| {
        plausible.always(Reply::Status(503));
        plausible.come_back();
    },
    Receiver::babble,
    |plausible| {
        plausible.always(Reply::Hang);
        plausible.come_back();
    },
];
/// Clients at once.
const CLIENTS: usize = 4;
/// What a million pending events may add, in bytes (Q9).
const MEMORY: u64 = 64 << 20;
/// Within which the port accepts, whatever is pending (Q12); held where nothing else keeps the machine busy.
const ACCEPTING: Duration = Duration::from_millis(500);
/// Events a second at which a backlog is sent (Q10); held where nothing else keeps the machine busy.
const DRAINED: f64 = 1_000.0;

/// Q9, Q10 and Q12: each visitor comes once in each hour, and nothing gets through in any of them.
#[test]
fn a_long_outage_costs_little_memory_and_ends_in_order() {
    let visitors = if full() { 250_000 } else { 500 };
    let events = (visitors * HOURS.len()) as u64;
    let stage = stage();
    let came = Arc::new(Mutex::new(Vec::with_capacity(visitors * HOURS.len())));
    stage.plausible.keep_nothing();
    let mut sidecar = stage
        .builder
        .set("queue.max_bytes", "1GiB")
        .set("plausible.concurrency", 64)
        .set("plausible.timeout", "1s")
        .start();
    let idle = sidecar.rss();

    let steady = Steady::through(sidecar.address);
    let begun = Instant::now();
    for (hour, fault) in HOURS.iter().enumerate() {
        fault(&stage.plausible);
        let address = sidecar.address;
        let crowd: Vec<_> = (0..CLIENTS)
            .map(|client| {
                thread::spawn(move || {
                    let mut connection = Client::to(address);
                    for visitor in (client..visitors).step_by(CLIENTS) {
                        assert_eq!(connection.ask(&page(visitor, hour)).status(), 200);
                    }
                })
            })
            .collect();
        for client in crowd {
            client.join().unwrap();
        }
    }
    let loaded = begun.elapsed();
    let metrics = sidecar.await_metrics("all are pending", |m| m.pending() == events);
    metrics.assert_account();
    let calm = steady.finish();
    let added = sidecar.rss().saturating_sub(idle);
    assert!(added <= MEMORY, "{added} bytes for {events} pending events");

    sidecar.stop();
    let sidecar = sidecar.again();
    let limit = if full() { ACCEPTING } else { DEADLINE };
    assert!(
        sidecar.started_in <= limit,
        "accepting {:?} after the start",
        sidecar.started_in
    );
    let steady = Steady::through(sidecar.address);
    let metrics = sidecar.await_metrics("all are found", |m| m.offered() == events);
    assert_eq!(metrics.pending(), events, "{metrics:?}");
    let found = sidecar.rss();

    let begun = Instant::now();
    stage.plausible.script({
        let came = Arc::clone(&came);
        move |event, _| {
            let place = event.text("url").rsplit_once("/page/").unwrap().1;
            let (hour, visitor) = place.split_once('/').unwrap();
            let (hour, visitor): (u8, u32) = (hour.parse().unwrap(), visitor.parse().unwrap());
            came.lock().unwrap().push((hour, visitor));
            Reply::Accept
        }
    });
    stage.plausible.come_back();
    let metrics = sidecar.drained();
    let took = begun.elapsed();
    assert_eq!(metrics.finished("delivered"), events);
    let rate = events as f64 / took.as_secs_f64();
    println!(
        "{events} events in {loaded:?}: {added} bytes more than the {idle} at rest, {found} in all after the restart; \
         accepting {:?} after the start; sent in {took:?}, {rate:.0} a second; beside it {calm:?}",
        sidecar.started_in
    );
    assert!(!full() || rate >= DRAINED, "{rate} events/s");
    steady.finish();

    let came = came.lock().unwrap();
    assert_eq!(came.len() as u64, events, "each event once");
    let mut next = vec![0; visitors];
    for (hour, visitor) in came.iter() {
        let next = &mut next[*visitor as usize];
        assert_eq!(hour, next, "visitor {visitor}");
        *next += 1;
    }
    assert!(next.iter().all(|n| usize::from(*n) == HOURS.len()));
    stage.plausible.assert_strict();
}

/// Q12: files that are larger than a limit that was lowered meanwhile: the oldest go, and all else goes on.
#[test]
fn a_lowered_limit_drops_the_oldest_and_the_rest_is_sent() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.set("queue.max_bytes", "4MiB").start();
    let mut client = sidecar.client();
    let long = "x".repeat(1500);
    for n in 0..1000 {
        let request = Request::get(&format!("/page/0/{n}?ref={long}"))
            .as_(NAVIGATION)
            .from(&visitor(n));
        assert_eq!(client.ask(&request).status(), 200);
    }
    sidecar.await_metrics("a thousand are pending", |m| m.pending() == 1000);
    thread::sleep(ACCEPTED);
    // A kill, so that the file is not even sealed.
    sidecar.kill();
    let lowered = sidecar.builder().set("queue.max_bytes", "1MiB");
    drop(sidecar);
    let sidecar = lowered.start();
    let steady = Steady::through(sidecar.address);
    let metrics = sidecar.await_metrics("a thousand are found", |m| m.offered() == 1000);
    metrics.assert_account();
    let evicted = metrics.finished("evicted");
    assert!((1..1000).contains(&evicted), "{metrics:?}");
    assert_eq!(sidecar.client().ask(&page(2000, 0)).status(), 200);
    stage.plausible.come_back();
    let metrics = sidecar.drained();
    assert_eq!(
        metrics.finished("delivered") + metrics.finished("evicted"),
        1001,
        "{metrics:?}"
    );
    assert!(
        stage
            .plausible
            .recorded()
            .iter()
            .any(|e| e.text("url").ends_with("/2000"))
    );
    steady.finish();
}

/// Q11: what grew too old while no process ran is counted and never sent.
#[test]
fn what_is_too_old_at_a_start_expires() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.set("plausible.max_age", "2s").start();
    super::visit(&sidecar, 0..5);
    thread::sleep(ACCEPTED);
    sidecar.kill();
    thread::sleep(Duration::from_secs(2));
    stage.plausible.come_back();
    let sidecar = sidecar.again();
    let metrics = sidecar.await_metrics("five have expired", |m| m.finished("expired") == 5);
    metrics.assert_account();
    super::visit(&sidecar, 5..6);
    let came = stage.plausible.await_recorded(1);
    assert_eq!(super::number(&came[0]), 5);
    assert_eq!(
        stage.plausible.arrivals().len(),
        1,
        "one that was too old was sent"
    );
}

fn page(visitor: usize, hour: usize) -> Request {
    Request::get(&format!("/page/{hour}/{visitor}"))
        .as_(NAVIGATION)
        .from(&super::visitor(visitor))
}
