//! Who goes when, and how many at once.

use std::collections::HashMap;

use super::{
    account::EventEnd,
    server::{Reply, Server},
    *,
};

#[test]
fn one_of_a_visitor_at_a_time_and_in_order() {
    let server = Server::start(|number, _| Reply::accepted().after(10 + number as u64 % 7));
    let mut rig = Rig::new(settings(server.address));
    for path in 0..20 {
        for visitor in 0..20 {
            rig.offer(visitor, &format!("/{path}"));
        }
    }
    rig.settle();
    assert_eq!(rig.finished(EventEnd::Delivered), 400);
    let mut next: HashMap<String, usize> = HashMap::new();
    for seen in server.seen() {
        assert!(!seen.contends, "two of one visitor at once");
        assert!(seen.at_once <= 16, "{} at once", seen.at_once);
        let next = next.entry(seen.visitor().to_owned()).or_default();
        assert!(
            seen.body.contains(&format!("example.com/{next}\"")),
            "{} is not {next}",
            seen.body
        );
        *next += 1;
    }
    let most = server.seen().iter().map(|seen| seen.at_once).max();
    assert_eq!(most, Some(16), "all of the concurrency is used");
}

#[test]
fn a_failing_visitor_keeps_its_order() {
    let server = Server::start(|number, _| match number % 3 {
        0 => Reply::status(500, &[]),
        _ => Reply::accepted(),
    });
    let mut rig = Rig::new(settings(server.address));
    for path in 0..10 {
        rig.offer(1, &format!("/{path}"));
        rig.offer(2, &format!("/{path}"));
    }
    rig.settle();
    let mut delivered: HashMap<String, Vec<String>> = HashMap::new();
    for (number, seen) in server.seen().iter().enumerate() {
        if number % 3 != 0 {
            delivered
                .entry(seen.visitor().to_owned())
                .or_default()
                .push(seen.body.clone());
        }
    }
    for bodies in delivered.values() {
        assert_eq!(bodies.len(), 10);
        for (path, body) in bodies.iter().enumerate() {
            assert!(
                body.contains(&format!("example.com/{path}\"")),
                "{body} in place of {path}"
            );
        }
    }
}

#[test]
fn a_distant_server_is_kept_busy() {
    const EACH: u64 = 50;
    let server = Server::start(|_, _| Reply::accepted().after(EACH));
    let mut rig = Rig::new(settings(server.address));
    for _ in 0..4 {
        for visitor in 0..160 {
            rig.offer(visitor, "/a");
        }
    }
    rig.settle();
    // From the time that all connections are there.
    let arrived: Vec<Instant> = server.seen().iter().map(|seen| seen.arrived).skip(160).collect();
    let took = *arrived.last().unwrap() - arrived[0];
    let ideal = Duration::from_millis(EACH * (arrived.len() as u64 - 1) / 16);
    assert!(took < ideal.mul_f64(1.25), "{took:?} in place of {ideal:?}");
}

#[test]
fn a_fast_server_is_served_over_few_connections() {
    let server = Server::start(|_, _| Reply::accepted());
    let mut rig = Rig::new(settings(server.address));
    for visitor in 0..200 {
        rig.offer(visitor, "/a");
        // As many as start at once. Larger bursts wait for a time, which has a test by its own clock.
        if visitor % 8 == 0 {
            rig.settle();
        }
    }
    rig.settle();
    let connections = server.seen().iter().map(|seen| seen.connection).max().unwrap() + 1;
    assert!(connections <= 8, "{connections} connections for bursts of eight");
}

#[test]
fn the_account_balances_under_faults() {
    let server = Server::start(|number, _| match number % 5 {
        0 => Reply::status(503, &[]),
        1 => Reply::raw("").and_close(),
        2 => Reply::status(202, &["x-plausible-dropped: 1"]),
        3 => Reply::status(400, &[]),
        _ => Reply::accepted(),
    });
    let mut settings = settings(server.address);
    settings.retry_max = Duration::from_millis(5);
    settings.retry_initial = Duration::from_millis(1);
    let mut rig = Rig::new(settings);
    for round in 0..50 {
        for visitor in 0..20 {
            rig.offer(visitor, &format!("/{round}"));
            rig.balance();
        }
    }
    rig.settle();
    let balance = rig.balance();
    assert_eq!(balance.offered.iter().sum::<u64>(), 1_000);
    for end in [
        EventEnd::Delivered,
        EventEnd::DroppedByPlausible,
        EventEnd::Rejected,
    ] {
        assert!(balance.finished[end as usize] > 0, "{end:?}: {balance:?}");
    }
    let answered =
        rig.attempts("delivered") + rig.attempts("dropped_by_plausible") + rig.attempts("rejected");
    let given_up = 1_000 - answered;
    assert!(
        given_up < 50,
        "{given_up} were given up after ten tries of which two in five fail"
    );
}
