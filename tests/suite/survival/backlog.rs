//! A long outage: what piles up costs little memory, is there after a restart, and goes in each visitor's order.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use super::stage;
use crate::support::{
    client::{Client, NAVIGATION, Request},
    full, within,
};

/// Pages of one visitor.
const ROUNDS: usize = 2;
/// Clients at once.
const CLIENTS: usize = 4;
/// What a million pending events may add, in bytes (RELIABILITY.md, Q9).
const MEMORY: u64 = 64 << 20;

#[test]
fn a_long_outage_costs_little_memory_and_ends_in_order() {
    let visitors = if full() { 500_000 } else { 2_000 };
    let events = (visitors * ROUNDS) as u64;
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage
        .builder
        .set("queue.max_bytes", "1GiB")
        .set("plausible.concurrency", 64)
        .start();
    let idle = sidecar.rss();

    let address = sidecar.address;
    let crowd: Vec<_> = (0..CLIENTS)
        .map(|client| {
            thread::spawn(move || {
                let mut connection = Client::to(address);
                for round in 0..ROUNDS {
                    for visitor in (client..visitors).step_by(CLIENTS) {
                        assert_eq!(connection.ask(&page(visitor, round)).status(), 200);
                    }
                }
            })
        })
        .collect();
    for client in crowd {
        client.join().unwrap();
    }
    let metrics = sidecar.await_metrics("all are pending", |m| m.pending() == events);
    metrics.assert_account();
    let added = sidecar.rss().saturating_sub(idle);
    assert!(added <= MEMORY, "{added} bytes for {events} pending events");

    sidecar.stop();
    let begun = Instant::now();
    let sidecar = sidecar.again();
    let accepting = begun.elapsed();
    assert_eq!(
        sidecar.client().ask(&Request::get("/style.css")).status() / 100,
        2,
        "served while it recovers"
    );
    let begun = Instant::now();
    stage.plausible.come_back();
    within(Duration::from_mins(15), "the backlog is sent", || {
        let sent = sidecar.metrics().finished("delivered");
        if sent == events {
            Ok(())
        } else {
            Err(format!("{sent} of {events} were delivered"))
        }
    });
    println!(
        "{events} events: {added} bytes of memory more, accepting {accepting:?} after the start, sent in {:?}",
        begun.elapsed()
    );

    let mut next: HashMap<String, usize> = HashMap::new();
    for event in stage.plausible.recorded() {
        let (round, visitor) = event
            .text("url")
            .rsplit_once("/page/")
            .unwrap()
            .1
            .split_once('/')
            .unwrap();
        let next = next.entry(visitor.to_owned()).or_default();
        assert_eq!(round.parse(), Ok(*next), "visitor {visitor}");
        *next += 1;
    }
    assert_eq!(next.len(), visitors);
    assert!(next.values().all(|n| *n == ROUNDS), "each event once");
}

fn page(visitor: usize, round: usize) -> Request {
    let address = format!(
        "203.{}.{}.{}",
        visitor / 62_500 % 250,
        visitor / 250 % 250,
        visitor % 250 + 1
    );
    Request::get(&format!("/page/{round}/{visitor}"))
        .as_(NAVIGATION)
        .from(&address)
}
