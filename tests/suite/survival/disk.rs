//! The files themselves: whose they are, who uses them, how much they take (RELIABILITY.md Q8, Q17, P14).

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{await_alarm, files_in, mode, recorded, stage, visit, visitor};
use crate::support::{
    client::{NAVIGATION, Request},
    load::Steady,
    process::{Builder, run},
    within,
};

/// P14: nobody else reads what visitors did.
#[test]
fn the_queue_is_for_its_owner_alone() {
    let stage = stage();
    stage.plausible.die();
    let sidecar = stage.builder.start();
    visit(&sidecar, 0..5);
    sidecar.await_metrics("five pending", |m| m.pending() == 5);
    let queue = sidecar.queue();
    assert_eq!(mode(&queue), 0o700);
    let files = files_in(&queue);
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

/// Q17: the second says so and keeps to memory, both serve and deliver, and the files are the first one's
/// alone.
#[test]
fn two_processes_on_one_directory_both_serve_and_the_second_says_so() {
    let stage = stage();
    let mut first = stage.builder.clone().start();
    let queue = first.queue();
    let mut other = Builder::before(&stage.app)
        .telling(&stage.plausible)
        .set("queue.path", queue.to_str().unwrap())
        .start();
    await_alarm(&other, true);
    await_alarm(&first, false);
    let alarm = other.status()["queue"]["alarm"].to_string();
    assert!(alarm.contains("in use by another process"), "{alarm}");
    assert_eq!(other.metrics().metric("gatecount_queue_alarm").value(), 1);
    assert!(other.await_log("in use by another process").contains("ERROR"));
    let steady = [Steady::through(first.address), Steady::through(other.address)];
    visit(&first, 0..20);
    visit(&other, 20..40);
    stage.plausible.await_recorded(40);
    // What piles up in both is the first one's in the files.
    stage.plausible.die();
    visit(&first, 40..60);
    visit(&other, 60..80);
    first.await_metrics("twenty pending", |m| m.pending() == 20);
    other.await_metrics("twenty pending", |m| m.pending() == 20);
    for steady in steady {
        steady.finish();
    }
    first.stop();
    // The directory is free now: the second takes it over with what is in it, and what it has itself.
    await_alarm(&other, false);
    other.await_metrics("forty pending", |m| m.pending() == 40);
    other.stop();
    let status = run(&["queue", "status", queue.to_str().unwrap()], "");
    let status = String::from_utf8(status.stdout).unwrap();
    let lines = ["in use       no", "pending      40", "corrupt      0"];
    assert!(lines.iter().all(|l| status.lines().any(|s| s == *l)), "{status}");
    stage.plausible.come_back();
    let next = first.again();
    next.drained();
    assert_eq!(recorded(&stage.plausible), (0..80).map(|n| (n, 1)).collect());
    let log = next.log().join("\n");
    assert!(
        !log.contains("WARN") && !log.contains("ERROR"),
        "the files are not whole: {log}"
    );
}

/// Q8: whatever comes, the files take no more than the limit and a segment; the oldest events go and are
/// counted.
#[test]
fn a_full_queue_lets_the_oldest_go_and_keeps_its_bound() {
    const LIMIT: u64 = 2 << 20;
    // An eighth of the limit (the queue's specification).
    const SEGMENT: u64 = LIMIT / 8;
    let stage = stage();
    stage.plausible.die();
    let sidecar = stage.builder.set("queue.max_bytes", "2MiB").start();
    let steady = Steady::through(sidecar.address);
    let (queue, over) = (sidecar.queue(), AtomicBool::new(false));
    let largest = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut largest = 0;
            while !over.load(Ordering::SeqCst) {
                largest = largest.max(size_of(&queue));
                thread::sleep(Duration::from_millis(1));
            }
            largest
        });
        let mut client = sidecar.client();
        let long = "x".repeat(1500);
        for n in 0..3000 {
            let request = Request::get(&format!("/page/{n}?ref={long}"))
                .as_(NAVIGATION)
                .from(&visitor(n % 200));
            client.ask(&request);
        }
        let metrics = sidecar.await_metrics("3,000 decided", |m| m.decisions("counted") == 3000);
        metrics.assert_account();
        assert!(metrics.finished("evicted") > 0, "{metrics:?}");
        assert!(metrics.pending() > 0);
        over.store(true, Ordering::SeqCst);
        watch.join().unwrap()
    });
    println!("{largest} bytes at the most, of {LIMIT}");
    assert!(largest > LIMIT / 2, "{largest} bytes: the watch saw nothing");
    assert!(largest <= LIMIT + SEGMENT, "{largest} bytes on disk");
    stage.plausible.come_back();
    let last = "/page/2999";
    within(Duration::from_secs(30), "the newest event arrives", || {
        let found = stage
            .plausible
            .recorded()
            .iter()
            .any(|e| e.text("url").contains(last));
        if found { Ok(()) } else { Err("not yet".into()) }
    });
    steady.finish();
}

/// Files may go while they are counted.
fn size_of(directory: &Path) -> u64 {
    let files = files_in(directory);
    files
        .iter()
        .filter_map(|f| Some(fs::metadata(f).ok()?.len()))
        .sum()
}
