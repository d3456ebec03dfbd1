//! Calls upon the queue's files that do not return.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::survive_a_kill;
use crate::{
    support::{eventually, faults::Faults, load::Steady, process::Sidecar, skip},
    survival::{ACCEPTED, await_alarm, recorded, stage, visit},
};

/// Q7, Q13: a disk whose calls do not return keeps nobody waiting, neither the app nor who stops the process.
#[test]
fn a_stuck_disk_holds_up_neither_the_app_nor_a_stop() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    for call in ["sync", "write"] {
        let stage = stage();
        stage.plausible.die();
        let mut sidecar = faults.before(stage.builder).start();
        visit(&sidecar, 0..10);
        sidecar.await_metrics("ten pending", |m| m.pending() == 10);
        thread::sleep(ACCEPTED);
        faults.hang(call);
        let steady = Steady::through(sidecar.address);
        visit(&sidecar, 10..20);
        thread::sleep(Duration::from_millis(300));
        sidecar.metrics().assert_account();
        steady.finish();
        let asked = Instant::now();
        sidecar.stop();
        let took = asked.elapsed();
        // The drain of these tests.
        assert!(
            took < Duration::from_secs(5),
            "a stop took {took:?} with a stuck {call}"
        );
        faults.mend();
        stage.plausible.come_back();
        let sidecar = sidecar.again();
        sidecar.drained();
        let came = recorded(&stage.plausible);
        // What was written before the disk got stuck, and with a stuck sync what was written after it too.
        let written = if call == "sync" { 20 } else { 10 };
        assert!((0..written).all(|n| came.get(&n) == Some(&1)), "{call}: {came:?}");
    }
}

/// Q7: however long the disk holds an event up, Plausible has its time to answer, and gets no event twice.
#[test]
fn a_slow_disk_is_not_held_against_plausible() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let stage = stage();
    let builder = stage.builder.set("plausible.timeout", "300ms");
    let sidecar = faults.before(builder).start();
    // The connections are there and will be used again.
    visit(&sidecar, 0..10);
    sidecar.drained();
    faults.hang("write");
    visit(&sidecar, 10..20);
    thread::sleep(Duration::from_secs(1));
    faults.mend();
    sidecar.drained();
    let metrics = sidecar.metrics();
    let attempts = metrics.metric("gatecount_delivery_attempts_total").value();
    let came = recorded(&stage.plausible);
    assert!((0..20).all(|n| came.get(&n) == Some(&1)), "{came:?}");
    assert_eq!(attempts, 20, "one for each event");
}

/// Whatever call of the queue's does not return, events go on through memory, the alarm says so, the app does
/// not notice, and nothing that was accepted is lost; the calls that another thread makes need no alarm.
#[test]
fn a_disk_that_does_not_answer_is_said_and_holds_nothing_up() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    for call in ["sync", "sync_directory", "write", "any"] {
        let stage = stage();
        let sidecar = faults.before(stage.builder).start();
        visit(&sidecar, 0..10);
        sidecar.drained();
        let steady = Steady::through(sidecar.address);
        faults.hang(call);
        visit(&sidecar, 10..20);
        stage.plausible.await_recorded(20);
        if call.starts_with("sync") {
            sidecar.drained();
        } else {
            await_no_answer(&sidecar);
            assert_eq!(sidecar.metrics().metric("gatecount_queue_alarm").value(), 1);
        }
        // Not one write's time later either.
        visit(&sidecar, 20..30);
        stage.plausible.await_recorded(30);
        faults.mend();
        await_alarm(&sidecar, false);
        let metrics = sidecar.drained();
        assert_eq!(metrics.finished("delivered"), 30, "{call}");
        assert_eq!(recorded(&stage.plausible).len(), 30, "{call}");
        steady.finish();
        // The disk is in use again.
        survive_a_kill(sidecar, &stage.plausible, 30..40, call);
    }
}

/// A start on a disk that does not answer serves and delivers from memory, and takes the disk when it does.
#[test]
fn a_start_on_a_disk_that_does_not_answer_serves_and_delivers() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    for call in ["mkdir", "lock", "list", "create", "any"] {
        let stage = stage();
        faults.hang(call);
        let sidecar = faults.before(stage.builder).start();
        visit(&sidecar, 0..10);
        stage.plausible.await_recorded(10);
        await_no_answer(&sidecar);
        faults.mend();
        await_alarm(&sidecar, false);
        survive_a_kill(sidecar, &stage.plausible, 10..20, call);
    }
}

/// What the disk does not give back waits, and nothing else waits for it.
#[test]
fn a_read_that_does_not_return_holds_up_its_own_events_alone() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = faults.before(stage.builder).start();
    // More than is kept of what was read last.
    let old = 3_000;
    visit(&sidecar, 0..old);
    sidecar.await_metrics("all pending", |m| m.pending() == 3_000);
    sidecar.stop();
    let sidecar = sidecar.again();
    sidecar.await_metrics("all recovered", |m| m.pending() == 3_000);
    faults.hang("read");
    stage.plausible.come_back();
    visit(&sidecar, old..old + 10);
    eventually("the events in memory", || {
        let came = recorded(&stage.plausible);
        if (old..old + 10).all(|n| came.get(&n) == Some(&1)) {
            Ok(())
        } else {
            Err(format!("{} came", came.len()))
        }
    });
    assert!(sidecar.metrics().pending() > 0, "some can't be read");
    faults.mend();
    sidecar.drained();
    let came = recorded(&stage.plausible);
    assert!(
        (0..old + 10).all(|n| came.get(&n) == Some(&1)),
        "{} came",
        came.len()
    );
}

#[track_caller]
fn await_no_answer(sidecar: &Sidecar) {
    eventually("the alarm", || {
        let alarm = sidecar.status()["queue"]["alarm"].to_string();
        if alarm.contains("does not answer") {
            Ok(())
        } else {
            Err(alarm)
        }
    });
}
