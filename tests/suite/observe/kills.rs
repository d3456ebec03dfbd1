//! SIGKILL while a log is read (RELIABILITY.md P19): no line is lost, none makes two events.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Log, assert_each_once, recorded, stage};
use crate::support::{as_long_as_it_moves, full, receiver::Reply};

/// How many kills.
fn kills() -> usize {
    if full() { 50 } else { 5 }
}

/// Writes pages until it is told to end, and rotates the log now and then by renaming it.
fn write(log: &Mutex<Log>, over: &AtomicBool) -> usize {
    let mut next = 0;
    let mut rotations = 0;
    while !over.load(Ordering::Relaxed) {
        let mut log = log.lock().unwrap();
        log.pages(next..next + 20);
        next += 20;
        if next % 4000 == 0 {
            rotations += 1;
            fs::rename(
                log.path(),
                log.beside(&format!("access.log.{}", 9999 - rotations)),
            )
            .unwrap();
            log.reopen();
        }
        drop(log);
        thread::sleep(Duration::from_millis(5));
    }
    next
}

/// Nothing gets through meanwhile, so each event that is sent in the end is one that the queue held once.
#[test]
fn kills_at_any_moment_lose_no_line_and_count_none_twice() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let stage = stage();
    stage.plausible.always(Reply::Status(503));
    let log = Arc::new(Mutex::new(stage.log));
    let over = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (log, over) = (Arc::clone(&log), Arc::clone(&over));
        move || write(&log, &over)
    });
    let mut sidecar = stage.builder.set("plausible.max_tries", 1_000_000).start();
    for _ in 0..kills() {
        thread::sleep(Duration::from_millis(random.u64(1..500)));
        sidecar.kill();
        sidecar = sidecar.again();
    }
    over.store(true, Ordering::Relaxed);
    let pages = writer.join().unwrap();
    as_long_as_it_moves("every line is stored", || match sidecar.metrics().pending() {
        enough if enough >= pages as u64 => Ok(()),
        so_far => Err(so_far),
    });
    assert_eq!(
        sidecar.metrics().pending(),
        pages as u64,
        "no more than there are"
    );
    stage.plausible.always(Reply::Accept);
    println!("{pages} lines over {} kills", kills());
    assert_each_once(&sidecar, &stage.plausible, 0..pages);
}

/// While events are delivered: an event is sent twice only if its answer was on its way at a kill.
#[test]
fn kills_while_events_are_delivered_repeat_no_more_than_was_in_flight() {
    const CONCURRENCY: usize = 4;
    let stage = stage();
    let mut log = stage.log;
    let mut sidecar = stage
        .builder
        .set("plausible.concurrency", i64::try_from(CONCURRENCY).unwrap())
        .start();
    let kills = kills();
    for kill in 0..kills {
        log.pages(kill * 300..(kill + 1) * 300);
        thread::sleep(Duration::from_millis(fastrand::u64(100..400)));
        sidecar.kill();
        sidecar = sidecar.again();
    }
    let pages = kills * 300;
    as_long_as_it_moves("every page is recorded", || {
        let so_far = recorded(&stage.plausible).len();
        if so_far == pages { Ok(()) } else { Err(so_far) }
    });
    sidecar.drained();
    let repeated: usize = recorded(&stage.plausible).values().map(|times| times - 1).sum();
    assert!(
        repeated <= kills * CONCURRENCY,
        "{repeated} repeated over {kills} kills"
    );
}

/// A queue whose directory can't be used stores nothing, and the log waits for it.
#[test]
fn a_log_waits_for_the_queues_disk() {
    let mut stage = stage();
    let queue = stage.builder.directory().join("queue");
    fs::write(&queue, "in the way").unwrap();
    let sidecar = stage.builder.start();
    sidecar.await_metrics("an alarm", |m| m.metric("gatecount_queue_alarm").value() == 1);
    stage.log.pages(0..20);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sidecar.metrics().decided(), 0, "nothing is read meanwhile");
    fs::remove_file(&queue).unwrap();
    assert_each_once(&sidecar, &stage.plausible, 0..20);
}
