//! A disk that is full.

use std::{fs, path::Path, thread, time::Instant};

use super::{DURABLE, WATCHED, as_calm_as, calm, segments};
use crate::{
    support::{disk::Small, load::Steady, skip, within},
    survival::{await_alarm, recorded, stage, visit},
};

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

fn size_of(directory: &Path) -> u64 {
    segments(directory)
        .iter()
        .filter_map(|f| Some(fs::metadata(f).ok()?.len()))
        .sum()
}
