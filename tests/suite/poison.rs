//! One visitor's trouble is no other's (R4, RELIABILITY.md Q14): every third event is bad, in each way that
//! there is, from one address or from many, and nobody else's waits for a second.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::{NAVIGATION, Request},
    full,
    origin::{self, Origin},
    process::Builder,
    receiver::{Arrival, Receiver, Reply},
};

/// Within which everybody else's event arrives. The machine may be busy with other tests.
fn limit() -> Duration {
    Duration::from_millis(if full() { 1_000 } else { 1_500 })
}

/// For how long events come, ten a second.
const EVENTS: usize = 120;
const PACE: Duration = Duration::from_millis(100);

fn is_bad(event: &Arrival) -> bool {
    event.text("url").contains("/bad/")
}

/// How late the latest good event arrived, with the bad ones answered so.
fn latest(reply: Reply, addresses: usize) -> Duration {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(move |event, _| if is_bad(event) { reply } else { Reply::Accept });
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("plausible.concurrency", 8)
        // As they are by default.
        .set("plausible.retry_initial", "500ms")
        .set("plausible.retry_max", "60s")
        .start();
    let mut client = sidecar.client();
    let begun = Instant::now();
    let mut asked = HashMap::new();
    for n in 0..EVENTS {
        // Several at a time. The first ones show that Plausible works.
        let (path, visitor) = if n % 15 >= 10 {
            (format!("/bad/{n}"), format!("198.51.100.{}", n % addresses + 1))
        } else {
            (format!("/good/{n}"), format!("203.0.113.{}", n + 1))
        };
        asked.insert(path.clone(), Instant::now());
        assert_eq!(
            client
                .ask(&Request::get(&path).as_(NAVIGATION).from(&visitor))
                .status(),
            200
        );
        thread::sleep((begun + PACE * (n as u32 + 1)).saturating_duration_since(Instant::now()));
    }
    let good = plausible.await_recorded(EVENTS * 2 / 3);
    sidecar.metrics().assert_account();
    let waited = |event: &Arrival| {
        let path = event
            .text("url")
            .trim_start_matches("http://example.com")
            .to_owned();
        event.at - asked[&path]
    };
    good.iter()
        .filter(|event| !is_bad(event))
        .map(waited)
        .max()
        .unwrap()
}

fn nobody_waits(replies: &[Reply]) {
    thread::scope(|scope| {
        let runs = replies
            .iter()
            .flat_map(|reply| [1, 200].map(|addresses| (*reply, addresses)));
        let runs: Vec<_> = runs
            .map(|(reply, addresses)| (reply, addresses, scope.spawn(move || latest(reply, addresses))))
            .collect();
        for (reply, addresses, run) in runs {
            let latest = run.join().unwrap();
            println!("{reply:?} of {addresses} addresses: the latest other event took {latest:?}");
            assert!(latest < limit(), "{reply:?} of {addresses} addresses: {latest:?}");
        }
    });
}

#[test]
fn refused_events_hold_nobody_up() {
    nobody_waits(&[400, 403, 413, 414, 422, 431].map(Reply::Status));
}

#[test]
fn events_that_fail_hold_nobody_up() {
    nobody_waits(&[
        Reply::Status(500),
        Reply::Status(503),
        Reply::RetryAfter(503, 60),
        Reply::RetryAfter(429, 60),
        Reply::CutOff,
    ]);
}

#[test]
fn events_without_an_answer_hold_nobody_up() {
    nobody_waits(&[Reply::Hang]);
}

/// More of them than there are places, at once.
#[test]
fn slow_answers_do_not_take_all_places() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(|event, _| if is_bad(event) { Reply::Hang } else { Reply::Accept });
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("plausible.concurrency", 8)
        .start();
    let mut client = sidecar.client();
    let mut visit = |path: &str, visitor: &str| {
        let request = Request::get(path).as_(NAVIGATION).from(visitor);
        assert_eq!(client.ask(&request).status(), 200);
    };
    visit("/good/0", "203.0.113.1");
    plausible.await_recorded(1);
    for n in 0..8 {
        visit(&format!("/bad/{n}"), &format!("198.51.100.{}", n + 1));
    }
    plausible.await_arrivals(9);
    let asked = Instant::now();
    visit("/good/1", "203.0.113.2");
    plausible.await_recorded(2);
    let took = asked.elapsed();
    assert!(took < limit(), "it took {took:?}");
    assert!(plausible.peaks().0 <= 8, "{:?} at once", plausible.peaks());
}

/// A server's limit for heads is 4 KiB and more.
#[test]
fn a_long_user_agent_is_cut() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let agent = format!(
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0 {}",
        "x".repeat(6_000)
    );
    let request = Request::get("/long")
        .as_(&NAVIGATION[1..])
        .with("User-Agent", &agent)
        .from("203.0.113.7");
    assert_eq!(sidecar.client().ask(&request).status(), 200);
    let events = plausible.await_recorded(1);
    assert_eq!(events[0].field("user-agent").unwrap(), &agent[..1_024]);
}
