//! Metrics and `/status` tell the truth at every moment, under load, faults, evictions and kills: checked
//! against what the other side counted, and against what is in the files.

use std::{
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use super::{ACCEPTED, page, stage};
use crate::support::{
    client::Client,
    eventually, full,
    load::Steady,
    metrics::Metrics,
    process::{Sidecar, run},
    receiver::{Receiver, Reply},
};

/// Clients at once.
const CLIENTS: u64 = 2;

/// What Plausible did to the events of one process, and what was asked of it; counted on this side.
#[derive(Debug, Default)]
struct Counted {
    mood: AtomicU8,
    accepted: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    asked: AtomicU64,
    /// What it found in the files at its start.
    found: AtomicU64,
}

/// How Plausible takes events.
const DOWN: u8 = 0;
const STORMY: u8 = 1;

impl Counted {
    fn script(self: &Arc<Counted>, plausible: &Receiver) {
        let counted = Arc::clone(self);
        plausible.script(move |_, _| {
            if counted.mood.load(SeqCst) == DOWN {
                return Reply::Status(503);
            }
            let (count, reply) = match fastrand::u8(..10) {
                0..3 => return Reply::Status(503),
                3 => return Reply::CutOff,
                4 => (&counted.dropped, Reply::Drop),
                5 => (&counted.refused, Reply::Status(400)),
                _ => (&counted.accepted, Reply::Accept),
            };
            count.fetch_add(1, SeqCst);
            reply
        });
    }

    /// Nothing is told that has not happened: whatever the metrics say was counted here before.
    fn bounds(&self, metrics: &Metrics) {
        metrics.assert_account();
        for (outcome, count) in [
            ("delivered", &self.accepted),
            ("dropped_by_plausible", &self.dropped),
            ("rejected", &self.refused),
        ] {
            let (told, count) = (metrics.finished(outcome), count.load(SeqCst));
            assert!(told <= count, "{told} {outcome}, of {count}");
        }
        let (offered, known) = (
            metrics.offered(),
            self.asked.load(SeqCst) + self.found.load(SeqCst),
        );
        assert!(offered <= known, "{offered} offered, of {known}");
    }

    /// While nothing comes and nothing gets through, all that is told is what is.
    fn equals(&self, sidecar: &Sidecar) -> u64 {
        eventually("everything is told", || {
            let metrics = sidecar.metrics();
            self.bounds(&metrics);
            let told = [
                metrics.finished("delivered"),
                metrics.finished("dropped_by_plausible"),
                metrics.finished("rejected"),
                metrics.offered(),
            ];
            let is = [
                self.accepted.load(SeqCst),
                self.dropped.load(SeqCst),
                self.refused.load(SeqCst),
                self.asked.load(SeqCst) + self.found.load(SeqCst),
            ];
            if told == is {
                Ok(())
            } else {
                Err(format!("{told:?} is told, {is:?} is"))
            }
        });
        eventually("metrics, /status and the files agree", || {
            let pending = sidecar.metrics().pending();
            let status = sidecar.status()["queue"]["events"].as_u64();
            let files = pending_in(sidecar);
            if status == Some(pending) && files == pending {
                Ok(pending)
            } else {
                Err(format!(
                    "{pending} pending, {status:?} in /status, {files} in the files"
                ))
            }
        })
    }
}

/// What `gatecount queue status` finds in the files, in use or not.
fn pending_in(sidecar: &Sidecar) -> u64 {
    let queue = sidecar.queue();
    let Output { status, stdout, .. } = run(&["queue", "status", queue.to_str().unwrap()], "");
    assert!(status.success(), "{status}");
    let text = String::from_utf8(stdout).unwrap();
    let pending = text
        .lines()
        .find_map(|line| line.strip_prefix("pending"))
        .unwrap();
    pending.trim().parse().unwrap()
}

/// Offered = finished + pending, and each of the three is what it says.
#[test]
fn what_is_told_is_true_at_every_moment() {
    let (rounds, pages) = if full() { (40, 3_000) } else { (4, 600) };
    let stage = stage();
    // A few hundred events: each round evicts some.
    let mut sidecar = stage
        .builder
        .set("queue.max_bytes", "128KiB")
        .set("plausible.max_tries", 1_000_000)
        .start();
    let (mut found, mut evicted, mut scrapes) = (0, 0, 0);
    for round in 0..rounds {
        let counted = Arc::new(Counted::default());
        counted.found.store(found, SeqCst);
        counted.script(&stage.plausible);
        // What an earlier process left is there before anything else is.
        sidecar.await_metrics("what was left is found", |m| m.offered() == found);
        assert_eq!(counted.equals(&sidecar), found);
        let steady = Steady::through(sidecar.address);
        let over = AtomicBool::new(false);
        scrapes += thread::scope(|scope| {
            let watch = scope.spawn(|| watch(&sidecar, &counted, &over));
            for mood in [STORMY, DOWN, STORMY] {
                counted.mood.store(mood, SeqCst);
                load(&sidecar, &counted, round * 10 * pages, pages);
            }
            over.store(true, SeqCst);
            watch.join().unwrap()
        });
        steady.finish();
        counted.mood.store(DOWN, SeqCst);
        let pending = counted.equals(&sidecar);
        let metrics = sidecar.metrics();
        evicted += metrics.finished("evicted");
        assert_eq!(
            metrics.finished("overflow") + metrics.finished("expired") + metrics.finished("corrupt"),
            0
        );
        thread::sleep(ACCEPTED);
        if round % 2 == 0 {
            sidecar.kill();
        } else {
            sidecar.stop();
        }
        found = pending_in(&sidecar);
        assert_eq!(
            found, pending,
            "what was pending is in the files, kill or no kill"
        );
        sidecar = sidecar.again();
    }
    assert!(evicted > 0, "nothing was evicted");
    stage.plausible.always(Reply::Accept);
    sidecar.drained();
    println!(
        "{rounds} rounds of {} pages, {scrapes} readings, {evicted} evicted",
        3 * pages
    );
    assert!(scrapes > rounds);
    stage.plausible.assert_strict();
}

/// Reads again and again, and holds each reading against what is known here. Gives how often.
fn watch(sidecar: &Sidecar, counted: &Counted, over: &AtomicBool) -> u64 {
    let (mut scrapes, mut before) = (0, [0; 4]);
    while !over.load(SeqCst) {
        let metrics = sidecar.metrics();
        counted.bounds(&metrics);
        let now = ["delivered", "dropped_by_plausible", "rejected", "evicted"].map(|o| metrics.finished(o));
        assert!(
            before.iter().zip(now).all(|(before, now)| *before <= now),
            "{before:?}, then {now:?}"
        );
        before = now;
        let events = sidecar.status()["queue"]["events"].as_u64().unwrap();
        let known = counted.asked.load(SeqCst) + counted.found.load(SeqCst);
        assert!(
            events + now.iter().sum::<u64>() <= known,
            "{events} in /status, {now:?} ended, of {known}"
        );
        scrapes += 1;
    }
    scrapes
}

/// Pages of visitors that each come several times, by several clients.
fn load(sidecar: &Sidecar, counted: &Counted, first: u64, pages: u64) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = Client::to(sidecar.address);
                for n in (client..pages).step_by(CLIENTS as usize) {
                    // Before it is asked: what is told is never more than what is counted here.
                    counted.asked.fetch_add(1, SeqCst);
                    let number = (first + n) as usize;
                    assert_eq!(connection.ask(&page(number)).status(), 200);
                }
            });
        }
    });
}
