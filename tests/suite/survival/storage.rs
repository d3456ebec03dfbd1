//! Storage that can't be used, from the start or from some moment on (RELIABILITY.md Q6, Q7): the app's
//! traffic does not notice, events go through memory, `/status`, metrics and log say so, and the disk is in
//! use again soon after it works.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{ACCEPTED, Stage, await_alarm, files_in, queue_of, recorded, stage, visit};
use crate::support::{
    disk::Small,
    eventually,
    faults::{CALLS, ERRORS, Faults},
    full,
    load::{Calm, Steady},
    process::Sidecar,
    receiver::{Receiver, Reply},
    skip, within,
};

/// Within which the disk is in use again once it works (Q7).
const DURABLE: Duration = Duration::from_secs(5);

/// For how long traffic is watched, at 200 requests a second: enough for its slowest hundredth to be more
/// than one.
const WATCHED: Duration = Duration::from_secs(2);

/// It serves, its events arrive, and it says what is wrong everywhere that an operator looks.
fn falls_back(sidecar: &Sidecar, plausible: &Receiver, what: &str) {
    let steady = Steady::through(sidecar.address);
    visit(sidecar, 0..20);
    plausible.await_recorded(20);
    // Where a directory can be locked it shows with the first event alone that nothing can be put there.
    await_alarm(sidecar, true);
    let metrics = sidecar.drained();
    assert_eq!(metrics.metric("gatecount_queue_alarm").value(), 1, "{what}");
    let log = sidecar.await_log("in memory alone");
    assert!(log.contains("ERROR") && log.contains("queue"), "{what}: {log}");
    steady.finish();
}

/// The disk is in use again in time, and what is accepted from then on survives a kill.
fn is_durable_again(mut sidecar: Sidecar, plausible: &Receiver, what: &str) {
    let mended = Instant::now();
    await_alarm(&sidecar, false);
    let took = mended.elapsed();
    assert!(took < DURABLE, "{what}: durable again only after {took:?}");
    assert_eq!(
        sidecar.metrics().metric("gatecount_queue_alarm").value(),
        0,
        "{what}"
    );
    plausible.die();
    visit(&sidecar, 20..30);
    thread::sleep(ACCEPTED);
    sidecar.kill();
    plausible.come_back();
    let sidecar = sidecar.again();
    sidecar.drained();
    assert_eq!(recorded(plausible), (0..30).map(|n| (n, 1)).collect(), "{what}");
}

/// Q6: a file where the directory should be.
#[test]
fn a_path_that_cannot_be_is_memory_with_an_alarm() {
    let Stage {
        app: _app,
        plausible,
        builder,
    } = stage();
    let file = builder.directory().join("a-file");
    fs::write(&file, "").unwrap();
    let queue = file.join("queue");
    let sidecar = builder.set("queue.path", queue.to_str().unwrap()).start();
    falls_back(&sidecar, &plausible, "a file in the way");
    fs::remove_file(&file).unwrap();
    is_durable_again(sidecar, &plausible, "a file in the way");
}

/// Q6: a directory that may not be made, and one that may not be written to.
#[test]
fn a_read_only_directory_is_memory_with_an_alarm() {
    for (what, read_only) in [("the directory", "queue"), ("the one above it", "")] {
        let Stage {
            app: _app,
            plausible,
            builder,
        } = stage();
        let Some(builder) = builder.bound_by_modes() else {
            return skip("the tests run as root, and setpriv can't take its powers away");
        };
        let state = builder.directory().join("state");
        let read_only = state.join(read_only);
        fs::create_dir_all(&read_only).unwrap();
        fs::set_permissions(&read_only, Permissions::from_mode(0o500)).unwrap();
        let queue = state.join("queue");
        let sidecar = builder.set("queue.path", queue.to_str().unwrap()).start();
        falls_back(&sidecar, &plausible, what);
        fs::set_permissions(&read_only, Permissions::from_mode(0o700)).unwrap();
        is_durable_again(sidecar, &plausible, what);
    }
}

/// Q6: a directory that takes no more files.
#[test]
fn a_full_directory_is_memory_with_an_alarm() {
    let Some(disk) = Small::mount("size=4m,nr_inodes=4") else {
        return skip("a tmpfs cannot be mounted here (it needs root)");
    };
    let Stage {
        app: _app,
        plausible,
        builder,
    } = stage();
    // The root, the directory, its lock and this.
    let last = disk.path().join("last");
    fs::write(&last, "").unwrap();
    let queue = disk.path().join("queue");
    let sidecar = builder.set("queue.path", queue.to_str().unwrap()).start();
    falls_back(&sidecar, &plausible, "no room for a file");
    fs::remove_file(&last).unwrap();
    is_durable_again(sidecar, &plausible, "no room for a file");
}

/// Q6: a file that may not be read is left where it is and noted; all else goes on.
#[test]
fn an_unreadable_file_is_noted_and_the_rest_is_sent() {
    let Stage {
        app: _app,
        plausible,
        builder,
    } = stage();
    let Some(builder) = builder.bound_by_modes() else {
        return skip("the tests run as root, and setpriv can't take its powers away");
    };
    plausible.die();
    let mut sidecar = builder.start();
    visit(&sidecar, 0..10);
    sidecar.stop();
    let hidden: Vec<PathBuf> = segments(&queue_of(&sidecar));
    for file in &hidden {
        fs::set_permissions(file, Permissions::from_mode(0o000)).unwrap();
    }
    let mut sidecar = sidecar.again();
    visit(&sidecar, 10..20);
    sidecar.stop();
    plausible.come_back();
    let mut sidecar = sidecar.again();
    let steady = Steady::through(sidecar.address);
    assert!(sidecar.await_log("is left there").contains("WARN"));
    plausible.await_recorded(10);
    steady.finish();
    sidecar.stop();
    assert_eq!(recorded(&plausible), (10..20).map(|n| (n, 1)).collect());
    // Once it can be read, its events are sent.
    for file in &hidden {
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
    let sidecar = sidecar.again();
    plausible.await_recorded(20);
    sidecar.drained();
    assert_eq!(recorded(&plausible), (0..20).map(|n| (n, 1)).collect());
}

/// Q7: a disk without a free byte.
#[test]
fn a_full_disk_is_not_noticed_by_the_app_and_is_durable_again() {
    let Some(disk) = Small::mount("size=1m") else {
        return skip("a tmpfs cannot be mounted here (it needs root)");
    };
    let stage = stage();
    stage.plausible.die();
    let queue = disk.path().join("queue");
    let sidecar = stage.builder.set("queue.path", queue.to_str().unwrap()).start();
    let before = calm(&sidecar);
    let steady = Steady::through(sidecar.address);
    let ballast = disk.fill();
    visit(&sidecar, 0..200);
    let alarmed = sidecar.await_metrics("200 decided", |m| m.decisions("counted") == 200);
    alarmed.assert_account();
    await_alarm(&sidecar, true);
    thread::sleep(WATCHED);
    let calm = steady.finish();
    println!("with room {before:?}, without {calm:?}");
    assert!(calm.requests > 10, "{calm:?}");
    as_calm_as(before, calm);
    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    await_alarm(&sidecar, false);
    let took = freed.elapsed();
    assert!(took < DURABLE, "durable again only after {took:?}");
    stage.plausible.come_back();
    let metrics = sidecar.drained();
    let lost = metrics.finished("evicted") + metrics.finished("overflow");
    assert_eq!(recorded(&stage.plausible).len() as u64 + lost, 200, "{metrics:?}");
}

/// Q7: events end, and their files go, though there is not a free byte to say so in.
#[test]
fn deletes_work_with_no_byte_free() {
    let Some(disk) = Small::mount("size=2m") else {
        return skip("a tmpfs cannot be mounted here (it needs root)");
    };
    let stage = stage();
    stage.plausible.die();
    let queue = disk.path().join("queue");
    // Segments of 128 KiB, so that most are full and closed.
    let sidecar = stage
        .builder
        .set("queue.path", queue.to_str().unwrap())
        .set("queue.max_bytes", "1MiB")
        .start();
    visit(&sidecar, 0..1500);
    sidecar.await_metrics("1,500 pending", |m| m.pending() == 1500);
    let ballast = disk.fill();
    visit(&sidecar, 1500..1600);
    await_alarm(&sidecar, true);
    let full = size_of(&queue);
    assert!(full > 300_000, "{full} bytes");
    let steady = Steady::through(sidecar.address);
    stage.plausible.come_back();
    let metrics = sidecar.drained();
    assert_eq!(metrics.finished("delivered"), 1600, "{metrics:?}");
    within(
        DURABLE,
        "the files go, and with the room they make the alarm",
        || {
            let (size, alarm) = (size_of(&queue), sidecar.status()["queue"]["alarm"].clone());
            if size < 1000 && alarm.is_null() {
                Ok(())
            } else {
                Err(format!("{size} bytes, {alarm}"))
            }
        },
    );
    steady.finish();
    assert!(ballast.exists());
    assert_eq!(recorded(&stage.plausible), (0..1600).map(|n| (n, 1)).collect());
}

/// Q7: each call upon the queue's files fails for a while, with each error, under load.
#[test]
fn any_call_may_fail_and_the_app_does_not_notice() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let stage = stage();
    let builder = stage.builder.set("queue.max_bytes", "1MiB");
    let sidecar = faults.before(builder).start();
    let before = calm(&sidecar);
    let steady = Steady::through(sidecar.address);
    let mut next = 0;
    for (call, error) in CALLS
        .iter()
        .chain(&["any"])
        .flat_map(|call| ERRORS.map(|error| (*call, error)))
    {
        faults.fail(call, error);
        // Some pile up, some are sent at once.
        for reply in [
            Reply::Status(503),
            Reply::Status(503),
            Reply::Accept,
            Reply::Accept,
        ] {
            stage.plausible.always(reply);
            visit(&sidecar, next..next + 25);
            next += 25;
            sidecar.metrics().assert_account();
        }
        // These are made all the time, so what was asked of them has failed by now, or is about to.
        if ["write", "sync", "any"].contains(&call) {
            await_alarm(&sidecar, true);
        }
        faults.mend();
        within(
            DURABLE,
            &format!("durable again after {call} failed with {error}"),
            || {
                let alarm = sidecar.status()["queue"]["alarm"].clone();
                if alarm.is_null() {
                    Ok(())
                } else {
                    Err(alarm.to_string())
                }
            },
        );
    }
    let metrics = sidecar.drained();
    let calm = steady.finish();
    println!(
        "{} calls failed twice each: before {before:?}, meanwhile {calm:?}",
        CALLS.len()
    );
    as_calm_as(before, calm);
    let came = recorded(&stage.plausible);
    let lost = metrics.finished("evicted") + metrics.finished("overflow") + metrics.finished("corrupt");
    assert_eq!(came.len() + lost as usize, next, "{metrics:?}");
    assert_eq!(lost, 0, "memory had room for all: {metrics:?}");
    assert!(came.values().all(|n| *n == 1), "no process ended: {came:?}");
    let log = sidecar.log();
    for doing in ["creating", "writing", "syncing"] {
        let told = |line: &String| line.contains(doing) && line.contains("failed");
        assert!(
            log.iter().any(told),
            "nothing failed while {doing}:\n{}",
            log.join("\n")
        );
    }
}

/// Q6, Q7: the same at a start, with a queue that another process left.
#[test]
fn any_call_may_fail_at_a_start() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    for call in CALLS {
        let stage = stage();
        stage.plausible.die();
        let mut sidecar = faults.before(stage.builder).start();
        visit(&sidecar, 0..20);
        thread::sleep(ACCEPTED);
        sidecar.kill();
        faults.fail(call, ERRORS[0]);
        let mut sidecar = sidecar.again();
        let steady = Steady::through(sidecar.address);
        visit(&sidecar, 20..40);
        stage.plausible.come_back();
        stage.plausible.await_recorded(20);
        sidecar.drained();
        faults.mend();
        within(DURABLE, &format!("durable after {call} failed"), || {
            let alarm = sidecar.status()["queue"]["alarm"].clone();
            if alarm.is_null() {
                Ok(())
            } else {
                Err(alarm.to_string())
            }
        });
        steady.finish();
        // Its ends are written.
        thread::sleep(ACCEPTED);
        sidecar.kill();
        // What could not be read then is there for this one.
        let sidecar = sidecar.again();
        stage.plausible.await_recorded(40);
        sidecar.drained();
        let came = recorded(&stage.plausible);
        assert_eq!(came.len(), 40, "{call}: {came:?}");
    }
}

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
        let mut sidecar = faults.before(stage.builder).start();
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
        stage.plausible.die();
        visit(&sidecar, 30..40);
        thread::sleep(ACCEPTED);
        sidecar.kill();
        stage.plausible.come_back();
        let sidecar = sidecar.again();
        sidecar.drained();
        let came = recorded(&stage.plausible);
        assert!((0..40).all(|n| came.get(&n) == Some(&1)), "{call}: {came:?}");
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
        let mut sidecar = faults.before(stage.builder).start();
        visit(&sidecar, 0..10);
        stage.plausible.await_recorded(10);
        await_no_answer(&sidecar);
        faults.mend();
        await_alarm(&sidecar, false);
        stage.plausible.die();
        visit(&sidecar, 10..20);
        thread::sleep(ACCEPTED);
        sidecar.kill();
        stage.plausible.come_back();
        let sidecar = sidecar.again();
        sidecar.drained();
        let came = recorded(&stage.plausible);
        assert!((0..20).all(|n| came.get(&n) == Some(&1)), "{call}: {came:?}");
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

/// What steady traffic sees for a while with nothing wrong.
fn calm(sidecar: &Sidecar) -> Calm {
    let steady = Steady::through(sidecar.address);
    thread::sleep(WATCHED);
    steady.finish()
}

/// Held where nothing else keeps the machine busy: the slowest hundredth is as fast as before, give or take a
/// few milliseconds of the machine's own.
fn as_calm_as(before: Calm, calm: Calm) {
    let limit = before.p99 * 2 + Duration::from_millis(5);
    assert!(!full() || calm.p99 <= limit, "{before:?} became {calm:?}");
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files = files_in(directory);
    files.retain(|file| file.extension().is_some_and(|e| e == "seg"));
    files
}

fn size_of(directory: &Path) -> u64 {
    segments(directory)
        .iter()
        .filter_map(|f| Some(fs::metadata(f).ok()?.len()))
        .sum()
}
