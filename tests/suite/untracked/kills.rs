//! What is held survives a stop and a kill, and the script that was heard is not forgotten.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{Stage, counted, page, report, times};
use crate::support::{client::Client, full};

#[test]
fn a_stop_keeps_what_is_held_and_the_next_process_holds_it_again() {
    let mut stage = Stage::long();
    stage.views("/reported-after", 1);
    stage.views("/never-reported", 1);
    stage.views("/reported-before", 2);
    stage.reports("/reported-before", 2);
    stage.await_held(2);
    stage.sidecar.stop();
    stage.sidecar = stage.sidecar.again();
    stage.await_held(2);
    stage.reports("/reported-after", 1);
    stage.await_held(1);
    let metrics = stage
        .sidecar
        .await_metrics("the decisions", |metrics| metrics.decided() == 2);
    assert_eq!(
        (metrics.decisions("tracked"), metrics.decisions("dedicated")),
        (1, 1)
    );
    metrics.assert_account();
    // The script's own waits behind the view that may still be reported.
    assert_eq!(counted(&stage.plausible), times([("/reported-before", 0, 1)]));
}

/// A page that was answered at that time, and whether the script's report of it was accepted.
struct Answered {
    n: usize,
    at: Instant,
    reported: bool,
}

/// Views pages, each by a visitor of its own, and reports two thirds of them, until the connection breaks.
fn view_until_broken(address: SocketAddr, first: usize) -> Vec<Answered> {
    let mut answered = Vec::new();
    let Ok(mut client) = Client::try_to(address) else {
        return answered;
    };
    for n in first.. {
        let path = format!("/{n}");
        if !client
            .try_ask(&page(&path, n))
            .is_ok_and(|response| response.status() == 200)
        {
            break;
        }
        let at = Instant::now();
        let wants_report = n % 3 > 0;
        let reported = wants_report
            && client
                .try_ask(&report(&path, n))
                .is_ok_and(|response| response.status() == 202);
        answered.push(Answered { n, at, reported });
        if wants_report && !reported {
            break;
        }
    }
    answered
}

/// Plausible is down meanwhile, so that nothing is in flight at a kill: then nothing may come twice either.
#[test]
fn kills_lose_no_view_and_bring_none_twice() {
    let kills = if full() { 100 } else { 6 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stage = Stage::with(|builder| builder.set("pages.tracker_wait", "1500ms"));
    stage.plausible.die();
    let (mut next, mut accepted, mut limbo) = (0, BTreeMap::new(), Vec::new());
    for _ in 0..kills {
        let address = stage.sidecar.address;
        let viewing = thread::spawn(move || view_until_broken(address, next));
        thread::sleep(Duration::from_millis(random.u64(50..600)));
        let killed = Instant::now();
        stage.sidecar.kill();
        let answered = viewing.join().unwrap();
        next = answered.last().map_or(next, |last| last.n + 1) + 1;
        for page in answered {
            // A report is accepted with its answer, and a page 50 ms after its response.
            if page.reported || page.at + Duration::from_millis(50) < killed {
                accepted.insert(page.n, page.reported);
            } else {
                limbo.push(page.n);
            }
        }
        stage.sidecar = stage.sidecar.again();
    }
    stage.plausible.come_back();
    stage.sidecar.drained().assert_account();
    stage.plausible.assert_strict();
    let counted = counted(&stage.plausible);
    let of = |n: usize| counted.get(&format!("/{n}")).copied().unwrap_or_default();
    for (n, reported) in &accepted {
        let (server, script) = of(*n);
        assert_eq!(
            server + script,
            1,
            "/{n}: {server} by the server, {script} by the script"
        );
        assert!(!reported || script == 1, "/{n} was reported");
    }
    for n in &limbo {
        let (server, script) = of(*n);
        assert!(
            server + script <= 1,
            "/{n}: {server} by the server, {script} by the script"
        );
    }
    println!("{} accepted, {} in limbo", accepted.len(), limbo.len());
    assert!(accepted.len() > 5 * kills, "{} were accepted", accepted.len());
}
