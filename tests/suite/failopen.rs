//! Analytics fails open (RELIABILITY.md P1): whatever is wrong behind the app's back, each answer is the app's own,
//! byte for byte.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::support::{
    client::Client,
    full,
    process::Builder,
    receiver::{Receiver, Reply},
    site,
};

/// Clients that share the requests of a load.
const CLIENTS: usize = 4;

fn requests() -> usize {
    if full() { 100_000 } else { 5_000 }
}

/// Sends requests `0..count` by several clients over kept-alive connections, each a visitor of its own, and does
/// `half_way` once half of them are answered. Gives how many were page views.
fn load(address: SocketAddr, count: usize, half_way: impl FnOnce()) -> usize {
    let first = spread(address, 0..count / 2);
    half_way();
    first + spread(address, count / 2..count)
}

fn spread(address: SocketAddr, numbers: Range<usize>) -> usize {
    let next = AtomicUsize::new(numbers.start);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|visitor| {
                scope.spawn({
                    let next = &next;
                    move || share(address, visitor, next, numbers.end)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|c| c.join().expect("each answer is the app's own"))
            .sum()
    })
}

/// One client's share of the requests below `to`.
fn share(address: SocketAddr, visitor: usize, next: &AtomicUsize, to: usize) -> usize {
    let mut client = Client::to(address);
    let mut pages = 0;
    loop {
        let n = next.fetch_add(1, Ordering::SeqCst);
        if n >= to {
            return pages;
        }
        let request = site::request(n).from(&format!("203.0.113.{}", visitor + 1));
        let response = client.ask(&request);
        site::compare(&request, &response).unwrap_or_else(|e| panic!("request {n}: {e}"));
        pages += usize::from(site::is_page(&request));
    }
}

#[test]
fn every_answer_is_the_apps_with_plausible_dead_for_half_of_them() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let pages = load(sidecar.address, requests(), || plausible.die());
    let metrics = sidecar.metrics();
    metrics.assert_account();
    for class in ["5xx", "4xx"] {
        let count = metrics
            .metric("gatecount_requests_total")
            .label("code", class)
            .value();
        let own = (0..requests()).filter(|n| class_of(*n) == class).count();
        assert_eq!(count, own as u64, "{class}");
    }
    assert_eq!(metrics.metric("gatecount_app_errors_total").value(), 0);
    plausible.come_back();
    let metrics = sidecar.settled(requests());
    assert_eq!(usize::try_from(metrics.finished("delivered")).unwrap(), pages);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in plausible.recorded() {
        *times.entry(event.text("url").to_owned()).or_default() += 1;
    }
    assert_eq!(times.len(), pages, "each page view once");
    // What was in flight when Plausible died may have been recorded and is sent again.
    let repeated: usize = times.values().map(|t| t - 1).sum();
    assert!(repeated <= 64, "{repeated} repeated");
    plausible.assert_strict();
}

/// The class of the app's own status to the nth request.
fn class_of(n: usize) -> &'static str {
    match n % 12 {
        4 => "4xx",
        11 if !n.is_multiple_of(3) => "5xx",
        _ => "other",
    }
}

#[test]
fn every_answer_is_the_apps_with_plausible_slow_babbling_or_refusing() {
    type Fault = fn(&Receiver);
    let faults: [(&str, Fault); 4] = [
        ("hanging", |p| p.always(Reply::Hang)),
        ("slow", |p| p.slow(Duration::from_secs(2))),
        ("babbling", Receiver::babble),
        ("refusing", |p| p.always(Reply::Status(401))),
    ];
    for (name, fault) in faults {
        let (app, plausible) = (site::start(), Receiver::start());
        fault(&plausible);
        let sidecar = Builder::before(&app).telling(&plausible).start();
        load(sidecar.address, requests() / 10, || ());
        let metrics = sidecar.metrics();
        metrics.assert_account();
        assert_eq!(metrics.metric("gatecount_app_errors_total").value(), 0, "{name}");
    }
}

#[test]
fn every_answer_is_the_apps_with_a_queue_too_small_for_the_events() {
    let (app, plausible) = (site::start(), Receiver::start());
    plausible.die();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("queue.at", "memory")
        .set("queue.max_bytes", "64KiB")
        .start();
    load(sidecar.address, requests() / 5, || ());
    let metrics = sidecar.await_metrics("all decided", |m| m.decided() == requests() as u64 / 5);
    metrics.assert_account();
    assert!(
        metrics.finished("evicted") + metrics.finished("overflow") > 0,
        "{metrics:?}"
    );
}
