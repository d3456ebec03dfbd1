//! What others do to the queue's files while it has them open (R3, R12, R17): the alarm is up within a
//! second, what is pending is written again, and what is lost is counted and said.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{ACCEPTED, await_alarm, files_in, mode, recorded, stage, visit};
use crate::support::{load::Steady, process::Builder, process::run, receiver::Reply, skip, within};

/// Within which the alarm is up. The machine may be busy with other tests.
const NOTICED: Duration = Duration::from_millis(1500);

/// After so long all that is accepted is synced. What is written over in place before that is noticed when it
/// is read.
const SYNCED: Duration = Duration::from_millis(400);

/// Within which all is in order again.
const MENDED: Duration = Duration::from_secs(5);

type Deed = fn(&Path);

const DEEDS: [(&str, Deed); 11] = [
    ("the directory is removed", |queue| {
        fs::remove_dir_all(queue).unwrap();
    }),
    ("the directory is moved away", |queue| {
        fs::rename(queue, queue.with_extension("away")).unwrap();
    }),
    ("the directory is replaced", |queue| {
        fs::rename(queue, queue.with_extension("away")).unwrap();
        fs::create_dir(queue).unwrap();
    }),
    ("the directory is made unreadable", |queue| permit(queue, 0o000)),
    ("the file is removed", |queue| {
        fs::remove_file(active(queue)).unwrap();
    }),
    ("the file is moved away", |queue| {
        fs::rename(active(queue), queue.with_extension("away")).unwrap();
    }),
    ("the file is replaced by a copy", |queue| {
        let (file, copy) = (active(queue), queue.with_extension("copy"));
        fs::copy(&file, &copy).unwrap();
        fs::rename(copy, file).unwrap();
    }),
    ("the file is emptied", |queue| cut(queue, 0)),
    ("the file is cut in the middle", |queue| {
        cut(queue, fs::metadata(active(queue)).unwrap().len() / 2);
    }),
    ("another process writes into the file", |queue| {
        let mut file = OpenOptions::new().write(true).open(active(queue)).unwrap();
        file.seek(SeekFrom::Start(1000)).unwrap();
        file.write_all(&[0xa5; 5000]).unwrap();
    }),
    ("the file is made unreadable", |queue| {
        permit(&active(queue), 0o000);
    }),
];

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn cut(queue: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(active(queue)).unwrap();
    file.set_len(length).unwrap();
}

/// The newest segment.
fn active(queue: &Path) -> PathBuf {
    let segment = |file: &PathBuf| file.extension().is_some_and(|e| e == "seg");
    files_in(queue).into_iter().filter(segment).max().unwrap()
}

/// R3, with a few events, which memory still knows: not one is lost, though the process is killed soon after.
#[test]
fn whatever_is_done_to_the_files_is_noticed_and_mended() {
    for (what, deed) in DEEDS {
        let mut stage = stage();
        stage.plausible.die();
        // Root may open everything; others may not.
        stage.builder = stage.builder.clone().bound_by_modes().unwrap_or(stage.builder);
        let mut sidecar = stage.builder.start();
        let queue = sidecar.queue();
        let steady = Steady::through(sidecar.address);
        visit(&sidecar, 0..60);
        sidecar.await_metrics("sixty pending", |m| m.pending() == 60);
        thread::sleep(SYNCED);
        deed(&queue);
        within(NOTICED, what, || {
            let alarm = sidecar.status()["queue"]["alarm"].clone();
            if alarm.is_string() {
                Ok(())
            } else {
                Err("no alarm".into())
            }
        });
        assert_eq!(
            sidecar.metrics().metric("gatecount_queue_alarm").value(),
            1,
            "{what}"
        );
        let line = sidecar.await_log("in memory alone");
        assert!(
            line.contains("ERROR") && line.contains(queue.to_str().unwrap()),
            "{line}"
        );
        visit(&sidecar, 60..80);
        let noticed = Instant::now();
        await_alarm(&sidecar, false);
        assert!(noticed.elapsed() < MENDED, "{what}: {:?}", noticed.elapsed());
        visit(&sidecar, 80..90);
        thread::sleep(ACCEPTED);
        sidecar.metrics().assert_account();
        steady.finish();
        assert_eq!(mode(&queue), 0o700, "{what}");
        sidecar.kill();
        stage.plausible.come_back();
        let sidecar = sidecar.again();
        sidecar.drained();
        assert_eq!(
            recorded(&stage.plausible),
            (0..90).map(|n| (n, 1)).collect(),
            "{what}"
        );
    }
}

/// R3, with more than memory knows: what a removal leaves open is all there, and of what is cut off the lost
/// part is counted and said.
#[test]
fn what_nobody_knows_any_more_is_counted_and_said() {
    for (what, deed, loses) in [
        ("removed", DEEDS[0].1, false),
        ("emptied", (|queue| cut(queue, 0)) as Deed, true),
    ] {
        let stage = stage();
        stage.plausible.always(Reply::Status(503));
        let sidecar = stage.builder.start();
        let queue = sidecar.queue();
        visit(&sidecar, 0..3000);
        sidecar.await_metrics("3,000 pending", |m| m.pending() == 3000);
        thread::sleep(ACCEPTED);
        deed(&queue);
        await_alarm(&sidecar, true);
        await_alarm(&sidecar, false);
        let metrics = sidecar.metrics();
        metrics.assert_account();
        stage.plausible.always(Reply::Accept);
        let metrics = sidecar.drained();
        let (lost, came) = (metrics.finished("corrupt"), recorded(&stage.plausible));
        println!("{what}: {lost} lost, {} came", came.len());
        assert_eq!(came.len() as u64 + lost, 3000, "{what}");
        assert_eq!(lost > 0, loses, "{what}: {lost} lost");
        assert!(
            lost < 2500,
            "{what}: memory knew half a MiB of them, {lost} are lost"
        );
        assert!(came.values().all(|n| *n == 1), "{what}");
        if loses {
            let line = sidecar.await_log("events are lost");
            assert!(line.contains("ERROR"), "{line}");
        } else {
            sidecar.await_log("written again");
        }
    }
}

/// R3, Q13: a stop right after it writes all again that the process still knows.
#[test]
fn a_stop_right_after_it_loses_nothing() {
    for (what, deed) in DEEDS {
        let stage = stage();
        stage.plausible.die();
        let mut sidecar = stage.builder.start();
        let queue = sidecar.queue();
        visit(&sidecar, 0..60);
        sidecar.await_metrics("sixty pending", |m| m.pending() == 60);
        thread::sleep(SYNCED);
        deed(&queue);
        sidecar.stop();
        stage.plausible.come_back();
        let sidecar = sidecar.again();
        sidecar.drained();
        assert_eq!(
            recorded(&stage.plausible),
            (0..60).map(|n| (n, 1)).collect(),
            "{what}"
        );
    }
}

/// R3: where nothing can be written at a stop, the log says how many are lost.
#[test]
fn a_stop_that_can_write_nothing_says_how_many_are_lost() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.start();
    let queue = sidecar.queue();
    visit(&sidecar, 0..60);
    sidecar.await_metrics("sixty pending", |m| m.pending() == 60);
    fs::remove_dir_all(&queue).unwrap();
    fs::write(&queue, "a file in the way").unwrap();
    await_alarm(&sidecar, true);
    sidecar.stop();
    let line = sidecar.await_log("are lost");
    assert!(line.contains("ERROR") && line.contains("60"), "{line}");
}

/// The same of a queue in memory.
#[test]
fn a_stop_says_what_a_queue_in_memory_loses() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.set("queue.at", "memory").start();
    visit(&sidecar, 0..7);
    sidecar.await_metrics("seven pending", |m| m.pending() == 7);
    sidecar.stop();
    let line = sidecar.await_log("are lost");
    assert!(line.contains("WARN") && line.contains('7'), "{line}");
}

/// R12: whatever is removed from the directory, a second process sees that it is in use.
#[test]
fn the_lock_cannot_be_removed() {
    let stage = stage();
    stage.plausible.die();
    let first = stage.builder.clone().start();
    let queue = first.queue();
    visit(&first, 0..5);
    first.await_metrics("five pending", |m| m.pending() == 5);
    // Where there is such a file, it is not the lock.
    let _ = fs::remove_file(queue.join("lock"));
    let second = Builder::before(&stage.app)
        .telling(&stage.plausible)
        .set("queue.path", queue.to_str().unwrap())
        .start();
    await_alarm(&second, true);
    let alarm = second.status()["queue"]["alarm"].to_string();
    assert!(alarm.contains("in use by another process"), "{alarm}");
    await_alarm(&first, false);
    let purge = run(&["queue", "purge", queue.to_str().unwrap()], "");
    assert!(!purge.status.success(), "{purge:?}");
    let status = run(&["queue", "status", queue.to_str().unwrap()], "");
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("in use       yes"), "{status}");
}

/// R17: a directory that was there is closed to others, if it is the queue's alone.
#[test]
fn an_open_directory_is_closed_or_warned_of() {
    let prepare = |names: &[&str]| {
        let stage = stage();
        let queue = stage.builder.directory().join("queue");
        fs::create_dir(&queue).unwrap();
        permit(&queue, 0o755);
        for name in names {
            fs::write(queue.join(name), "").unwrap();
        }
        (stage, queue)
    };
    let (stage, queue) = prepare(&[]);
    let sidecar = stage.builder.start();
    await_alarm(&sidecar, false);
    assert_eq!(mode(&queue), 0o700);
    drop(sidecar);

    // It may be a directory of something else.
    let (stage, queue) = prepare(&["somebody-elses"]);
    let sidecar = stage.builder.start();
    let line = sidecar.await_log("a directory of its own");
    assert!(line.contains("WARN") && line.contains("755"), "{line}");
    assert_eq!(mode(&queue), 0o755);
    drop(sidecar);

    let (stage, queue) = prepare(&[]);
    if std::os::unix::fs::chown(&queue, Some(12345), None).is_err() {
        return skip("the tests may give no directory away");
    }
    let sidecar = stage.builder.start();
    let line = sidecar.await_log("a directory of its own");
    assert!(line.contains("WARN"), "{line}");
    assert_eq!(mode(&queue), 0o755);
}
