//! Analytics fails open (RELIABILITY.md P1): whatever is wrong behind the app's back, each answer is the
//! app's own, byte for byte.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::Client,
    disk::Small,
    faults::Faults,
    full,
    process::{Builder, Sidecar},
    receiver::{Receiver, Reply},
    site, skip,
};

/// Clients that share the requests of a load.
const CLIENTS: usize = 4;

fn requests() -> usize {
    if full() { 100_000 } else { 5_000 }
}

/// Sends requests `0..count` by several clients over kept-alive connections, each a visitor of its own, and
/// does `half_way` once half of them are answered. Gives how many were page views.
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

/// How many requests each fault is given; they are not so many by default, as there are so many faults.
fn for_each_fault() -> usize {
    if full() { 100_000 } else { 500 }
}

/// Sends them through a sidecar on which a fault is worked half-way.
fn unnoticed(name: &str, sidecar: &Sidecar, fault: impl FnOnce()) {
    let begun = Instant::now();
    load(sidecar.address, for_each_fault(), fault);
    println!(
        "{name}: {} requests in {:?}, each answered by the app",
        for_each_fault(),
        begun.elapsed()
    );
    let metrics = sidecar.metrics();
    metrics.assert_account();
    assert_eq!(metrics.metric("gatecount_app_errors_total").value(), 0, "{name}");
}

#[test]
fn every_answer_is_the_apps_with_plausible_slow_babbling_or_refusing() {
    type Fault = fn(&Receiver);
    let faults: [(&str, Fault); 5] = [
        ("dead", Receiver::die),
        ("hanging", |p| p.always(Reply::Hang)),
        ("slow", |p| p.slow(Duration::from_secs(2))),
        ("babbling", Receiver::babble),
        ("refusing", |p| p.always(Reply::Status(401))),
    ];
    for (name, fault) in faults {
        let (app, plausible) = (site::start().forgetful(), Receiver::start());
        plausible.keep_nothing();
        let sidecar = Builder::before(&app).telling(&plausible).start();
        unnoticed(name, &sidecar, || fault(&plausible));
    }
}

#[test]
fn every_answer_is_the_apps_with_a_queue_too_small_for_the_events() {
    let (app, plausible) = (site::start().forgetful(), Receiver::start());
    plausible.die();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("queue.at", "memory")
        .set("queue.max_bytes", "64KiB")
        .start();
    // Half a thousand would not fill it.
    load(sidecar.address, 1_000, || ());
    unnoticed("a queue too small", &sidecar, || ());
    let metrics = sidecar.metrics();
    assert!(
        metrics.finished("evicted") + metrics.finished("overflow") > 0,
        "{metrics:?}"
    );
}

#[test]
fn every_answer_is_the_apps_with_the_disk_full() {
    let Some(disk) = Small::mount("size=1m") else {
        return skip("a tmpfs cannot be mounted here (it needs root)");
    };
    let (app, plausible) = (site::start().forgetful(), Receiver::start());
    plausible.die();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("queue.path", disk.path().join("queue").to_str().unwrap())
        .start();
    unnoticed("the disk full", &sidecar, || drop(disk.fill()));
    sidecar.await_metrics("the alarm", |m| m.metric("gatecount_queue_alarm").value() == 1);
}

/// As if the queue's thread were gone: it never comes back from the first write.
#[test]
fn every_answer_is_the_apps_with_the_queues_thread_stuck() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let (app, plausible) = (site::start().forgetful(), Receiver::start());
    plausible.keep_nothing();
    let builder = Builder::before(&app).telling(&plausible);
    let sidecar = faults.before(builder).start();
    unnoticed("the queue's thread stuck", &sidecar, || faults.hang("write"));
}

#[test]
fn every_answer_is_the_apps_with_a_broken_file_reloaded() {
    let (app, plausible) = (site::start().forgetful(), Receiver::start());
    plausible.keep_nothing();
    let sidecar = Builder::before(&app).telling(&plausible).start();
    unnoticed("a broken file reloaded", &sidecar, || {
        fs::write(sidecar.builder().file(), "[listen\naddress = 7").unwrap();
        sidecar.signal("HUP");
    });
    sidecar.await_log("was not reloaded");
}
