//! What was answered 202 is not lost (RELIABILITY.md, "accepted").

use std::{
    collections::HashMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{Stage, numbered, post};
use crate::support::{client::Client, faults::Faults, full, skip};

/// Posts events, each of a visitor of its own, until the connection breaks; the numbers that were answered
/// 202.
fn post_until_broken(address: SocketAddr, first: usize) -> Vec<usize> {
    let mut accepted = Vec::new();
    let Ok(mut client) = Client::try_to(address) else {
        return accepted;
    };
    for n in first.. {
        let event = post(&numbered(n)).from(&format!("198.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255));
        match client.try_ask(&event) {
            Ok(response) if response.status() == 202 => accepted.push(n),
            Ok(response) => panic!("{}", response.status()),
            Err(_) => break,
        }
    }
    accepted
}

#[test]
fn a_kill_right_after_the_answer_loses_nothing() {
    let kills = if full() { 200 } else { 8 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stage = Stage::new();
    stage.plausible.slow(Duration::from_millis(5));
    let (mut next, mut accepted) = (0, Vec::new());
    let begun = Instant::now();
    for _ in 0..kills {
        let address = stage.sidecar.address;
        let posting = thread::spawn(move || post_until_broken(address, next));
        thread::sleep(Duration::from_millis(random.u64(1..300)));
        stage.sidecar.kill();
        let posted = posting.join().unwrap();
        next = posted.last().map_or(next, |last| last + 1) + 1;
        accepted.extend(posted);
        stage.sidecar = stage.sidecar.again();
    }
    let rate = accepted.len() as f64 / begun.elapsed().as_secs_f64();
    stage.sidecar.drained();
    let mut times: HashMap<String, usize> = HashMap::new();
    for event in stage.plausible.recorded() {
        *times.entry(event.text("n").to_owned()).or_default() += 1;
    }
    let lost: Vec<_> = accepted
        .iter()
        .filter(|n| !times.contains_key(&format!("e{n}")))
        .collect();
    println!(
        "{} accepted at {rate:.0} a second, {} lost",
        accepted.len(),
        lost.len()
    );
    assert!(lost.is_empty(), "{lost:?} of {} were lost", accepted.len());
    assert!(accepted.len() > 10 * kills, "{} were accepted", accepted.len());
}

#[test]
fn a_stop_loses_nothing_either() {
    let mut stage = Stage::new();
    stage.plausible.die();
    for n in 0..50 {
        let event = post(&numbered(n)).from(&format!("203.0.113.{n}"));
        assert_eq!(stage.ask_http1(&event).status(), 202);
    }
    stage.sidecar.stop();
    stage.plausible.come_back();
    stage.sidecar = stage.sidecar.again();
    assert_eq!(stage.plausible.await_recorded(50).len(), 50);
    stage.plausible.assert_strict();
}

/// Kept in memory while the disk is out of use, as the alarm says.
#[test]
fn a_disk_that_takes_nothing_refuses_no_event() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let stage = Stage::with(|builder| faults.before(builder));
    faults.fail("write", 28);
    for n in 0..20 {
        let event = post(&numbered(n)).from(&format!("203.0.113.{n}"));
        assert_eq!(stage.ask_http1(&event).status(), 202);
    }
    assert_eq!(stage.plausible.await_recorded(20).len(), 20);
    stage.sidecar.await_metrics("the alarm", |metrics| {
        metrics.metric("gatecount_queue_alarm").value() == 1
    });
}
