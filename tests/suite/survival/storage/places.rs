//! A place for the queue that can't be used, or not all of it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::Instant,
};

use super::{DURABLE, segments, survive_a_kill};
use crate::{
    support::{disk::Small, load::Steady, process::Sidecar, receiver::Receiver, skip},
    survival::{Stage, await_alarm, recorded, stage, visit},
};

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
fn is_durable_again(sidecar: Sidecar, plausible: &Receiver, what: &str) {
    let mended = Instant::now();
    await_alarm(&sidecar, false);
    let took = mended.elapsed();
    assert!(took < DURABLE, "{what}: durable again only after {took:?}");
    assert_eq!(
        sidecar.metrics().metric("gatecount_queue_alarm").value(),
        0,
        "{what}"
    );
    survive_a_kill(sidecar, plausible, 20..30, what);
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
    let hidden: Vec<PathBuf> = segments(&sidecar.queue());
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
