//! SIGKILL at any moment, and what a power cut would find (RELIABILITY.md Q1 to Q3).

use std::{
    collections::HashMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{ACCEPTED, CONCURRENCY, number, page, recorded, stage, visit};
use crate::support::{client::Client, faults::Faults, full, receiver::Receiver, skip};

/// Q1, one kill at rest: all of it is there, and nothing comes twice.
#[test]
fn accepted_events_survive_a_kill() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.start();
    visit(&sidecar, 0..50);
    thread::sleep(ACCEPTED);
    sidecar.kill();
    stage.plausible.come_back();
    let sidecar = sidecar.again();
    let metrics = sidecar.await_metrics("fifty are delivered", |m| m.finished("delivered") == 50);
    metrics.assert_account();
    assert_eq!(recorded(&stage.plausible), (0..50).map(|n| (n, 1)).collect());
    stage.plausible.assert_strict();
}

/// Q1: kills at random moments under load, each at another state of the queue, from a start that has only
/// begun to one in full work with a backlog.
#[test]
fn kills_at_any_point_lose_nothing_and_repeat_no_more_than_was_in_flight() {
    let kills = if full() { 200 } else { 6 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let stage = stage();
    // So that some are in flight whenever the kill comes.
    stage.plausible.slow(Duration::from_millis(5));
    let mut sidecar = stage.builder.start();
    let (mut next, mut accepted, mut loaded) = (0, Vec::new(), Duration::ZERO);
    let mut ends = Vec::new();
    for _ in 0..kills {
        let (address, first, begun) = (sidecar.address, next, Instant::now());
        let asking = thread::spawn(move || load(address, first));
        thread::sleep(Duration::from_millis(random.u64(1..400)));
        let killed = Instant::now();
        sidecar.kill();
        let asked = asking.join().unwrap();
        loaded += killed - begun;
        // One more may have been under way.
        next += asked.len() + 1;
        let safe = asked.iter().filter(|(_, at)| *at + ACCEPTED < killed);
        accepted.extend(safe.map(|(n, _)| *n));
        // What is still on its way to the receiver is this process's.
        thread::sleep(Duration::from_millis(20));
        ends.push(Instant::now());
        sidecar = sidecar.again();
    }
    sidecar.drained();
    let times = recorded(&stage.plausible);
    let lost: Vec<_> = accepted.iter().filter(|n| !times.contains_key(n)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} accepted events were lost: {lost:?}",
        lost.len(),
        accepted.len()
    );
    let repeated = repeated_after(&stage.plausible, &ends);
    let most = repeated.iter().copied().max().unwrap_or(0);
    let rate = next as f64 / loaded.as_secs_f64();
    println!(
        "{kills} kills at {rate:.0} events/s: {} accepted, none lost; {} repeated, after one kill {most} at the most",
        accepted.len(),
        repeated.iter().sum::<usize>()
    );
    assert!(
        most <= CONCURRENCY,
        "{most} repeated after one kill with {CONCURRENCY} in flight at most: {repeated:?}"
    );
    assert!(
        accepted.len() > kills,
        "only {} events were accepted",
        accepted.len()
    );
    assert!(!full() || rate >= 500.0, "{rate} events/s");
    stage.plausible.assert_strict();
}

/// Q3: the process is killed at one call to the file system after the other, writes half done: in creating,
/// appending, rotating, writing ends down, cutting back and removing.
#[test]
fn killed_at_any_call_to_the_file_system_it_loses_nothing() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let calls = 250;
    let points: Vec<usize> = if full() {
        (1..=calls).collect()
    } else {
        (0..10).map(|_| fastrand::usize(1..=calls)).collect()
    };
    for at in &points {
        let stage = stage();
        // Segments of 64 KiB, the smallest there are: a few batches each.
        let builder = faults.before(stage.builder).set("queue.max_bytes", "512KiB");
        faults.die_at(*at);
        let (mut sidecar, up) = builder.try_start();
        let asked = up.map_or_else(|_| Vec::new(), |()| load(sidecar.address, 0));
        sidecar.kill();
        faults.mend();
        // It was alive for the last answer's request, which came after the answer before.
        let alive = asked.iter().rev().nth(1).map(|(_, at)| *at);
        let accepted = asked
            .iter()
            .filter(|(_, at)| alive.is_some_and(|alive| *at + ACCEPTED < alive));
        let sidecar = sidecar.again();
        let metrics = sidecar.drained();
        assert_eq!(metrics.finished("corrupt"), 0, "killed at call {at}");
        assert_eq!(
            metrics.metric("gatecount_queue_alarm").value(),
            0,
            "killed at call {at}"
        );
        let times = recorded(&stage.plausible);
        let lost: Vec<_> = accepted.filter(|(n, _)| !times.contains_key(n)).collect();
        assert!(
            lost.is_empty(),
            "killed at call {at}: {lost:?} of {}",
            asked.len()
        );
        let repeated: usize = times.values().map(|times| times - 1).sum();
        assert!(
            repeated <= CONCURRENCY,
            "killed at call {at}: {repeated} repeated"
        );
    }
    let mut kinds: Vec<String> = faults.calls().into_iter().map(|(call, _)| call).collect();
    kinds.sort();
    kinds.dedup();
    println!("killed at {} calls, of {kinds:?}", points.len());
    for kind in ["create", "write", "sync", "truncate", "unlink"] {
        assert!(kinds.iter().any(|k| k == kind), "no {kind} among {kinds:?}");
    }
}

/// Q2: what was written is synced within 200 ms.
#[test]
fn each_write_is_synced_soon() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let stage = stage();
    let mut sidecar = faults.before(stage.builder).start();
    let address = sidecar.address;
    let asking = thread::spawn(move || load(address, 0));
    thread::sleep(Duration::from_secs(2));
    sidecar.stop();
    asking.join().unwrap();
    let calls = faults.calls();
    let syncs: Vec<u64> = calls
        .iter()
        .filter(|(call, _)| call == "sync")
        .map(|(_, at)| *at)
        .collect();
    let writes: Vec<u64> = calls
        .iter()
        .filter(|(call, _)| call == "write")
        .map(|(_, at)| *at)
        .collect();
    let wait = |write: &u64| syncs.iter().find(|sync| *sync >= write).map(|sync| sync - write);
    let longest = writes
        .iter()
        .map(|write| wait(write).expect("a sync after each write"))
        .max();
    let longest = Duration::from_micros(longest.expect("a write"));
    println!(
        "{} writes, {} syncs, the longest wait {longest:?}",
        writes.len(),
        syncs.len()
    );
    assert!(syncs.len() > 3 && writes.len() > syncs.len());
    assert!(
        !full() || longest <= Duration::from_millis(200),
        "{longest:?} until a sync"
    );
}

/// How many events that were recorded before each of these moments were recorded again after it.
fn repeated_after(plausible: &Receiver, ends: &[Instant]) -> Vec<usize> {
    let mut last: HashMap<usize, Instant> = HashMap::new();
    let mut repeated = vec![0; ends.len()];
    for event in plausible.recorded() {
        if let Some(before) = last.insert(number(&event), event.at) {
            let kill = ends.partition_point(|end| *end <= before);
            assert!(
                ends.get(kill).is_some_and(|end| *end <= event.at),
                "repeated without a kill: {event:?}"
            );
            repeated[kill] += 1;
        }
    }
    repeated
}

/// Pages as fast as one client gets them, until the connection dies; each with the moment of its answer's
/// end.
fn load(address: SocketAddr, first: usize) -> Vec<(usize, Instant)> {
    let mut asked = Vec::new();
    let Ok(mut client) = Client::try_to(address) else {
        return asked;
    };
    while client.try_ask(&page(first + asked.len())).is_ok() {
        asked.push((first + asked.len(), Instant::now()));
    }
    asked
}
