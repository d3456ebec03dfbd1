//! One client's flood is bounded, and is nobody else's trouble (RELIABILITY.md P18).

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Stage, numbered, post};
use crate::support::{
    client::{CHROME, Client, NAVIGATION, Request},
    full,
};

/// Sends so many events of one visitor over several connections; how many were answered 202 and 429.
fn flood(address: SocketAddr, events: usize) -> (usize, usize) {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut client = Client::to(address);
                    let (mut taken, mut refused) = (0, 0);
                    for n in 0..events / 4 {
                        let response = client.ask(&post(&numbered(n)).from("198.51.100.1"));
                        match response.status() {
                            202 => taken += 1,
                            429 => {
                                let wait: u64 = response.head.get("retry-after").unwrap().parse().unwrap();
                                assert!((1..=10).contains(&wait), "{wait} s");
                                refused += 1;
                            }
                            other => panic!("{other}: {}", response.text()),
                        }
                    }
                    (taken, refused)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .fold((0, 0), |(taken, refused), (t, r)| (taken + t, refused + r))
    })
}

#[test]
fn a_flood_of_one_client_is_bounded_and_others_are_unharmed() {
    let stage = Stage::new();
    stage.plausible.keep_nothing();
    let events = if full() { 1_000_000 } else { 8_000 };
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut client = Client::to(stage.sidecar.address);
            let mut slowest = Duration::ZERO;
            let mut asked = 0;
            while !over.load(Ordering::SeqCst) {
                let visitor = format!("203.0.113.{}", asked % 200);
                let asked_at = Instant::now();
                let response = client.ask(&post(&numbered(asked)).from(&visitor));
                slowest = slowest.max(asked_at.elapsed());
                assert_eq!(response.status(), 202, "{}", response.text());
                let page = Request::get("/").as_(NAVIGATION).from(&visitor);
                assert_eq!(client.ask(&page).status(), 200);
                asked += 1;
            }
            (asked, slowest)
        });
        let (taken, refused) = flood(stage.sidecar.address, events);
        over.store(true, Ordering::SeqCst);
        let (asked, slowest) = others.join().unwrap();
        let bound = 2_000.0 + 200.0 * begun.elapsed().as_secs_f64() + 4.0;
        println!("{taken} taken, {refused} refused; {asked} of others, the slowest after {slowest:?}");
        assert_eq!(taken + refused, events);
        assert!((taken as f64) <= bound, "{taken} taken, {bound} at the most");
        assert_eq!(stage.events("flood"), refused as u64);
        assert!(
            asked > 10 && slowest < Duration::from_secs(2),
            "{asked}, {slowest:?}"
        );
    });
}

/// Large bodies of many clients, none of which comes to its end.
#[test]
fn large_bodies_that_never_end_take_bounded_memory_and_no_room_from_ordinary_events() {
    let stage = Stage::new();
    let before = stage.sidecar.rss();
    let head = Request::new("POST", "/api/event")
        .with("User-Agent", CHROME)
        .with("Content-Type", "application/json")
        .with("Content-Length", "8000000");
    let body = vec![b' '; 7_000_000];
    let mut hogs = Vec::new();
    let mut refused = 0;
    for n in 0..40 {
        let mut hog = Client::to(stage.sidecar.address);
        hog.send(&head.clone().from(&format!("198.51.100.{n}")).bytes());
        hog.patience(Duration::from_millis(200));
        if hog.try_send(&body).is_err() {
            refused += 1;
        }
        hogs.push(hog);
    }
    for n in 0..20 {
        let event = post(&numbered(n)).from(&format!("203.0.113.{n}"));
        assert_eq!(stage.ask_http1(&event).status(), 202);
    }
    let grown = stage.sidecar.rss().saturating_sub(before);
    println!("{refused} refused, {} MiB more", grown >> 20);
    assert!(grown < 96 << 20, "{} MiB", grown >> 20);
    let unavailable = stage.events("unavailable");
    assert!(unavailable >= 30, "{unavailable} of 40 found no room");
    drop(hogs);
    // The room is given back.
    let event = Request::post(
        "/api/event",
        format!("{{\"pad\":\"{}\",{}", "x".repeat(900_000), &numbered(0)[1..]).as_bytes(),
    )
    .with("User-Agent", CHROME)
    .from("203.0.113.99");
    crate::support::eventually("there is room again", || match stage.ask_http1(&event).status() {
        202 => Ok(()),
        other => Err(other.to_string()),
    });
}
