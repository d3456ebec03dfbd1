//! Stops, and clocks that jump.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{page, recorded, stage, visit};
use crate::support::{full, load::Steady, receiver::Reply, skip, within};

#[test]
fn a_stop_while_plausible_is_down_loses_nothing_and_is_in_time() {
    let stops = if full() { 100 } else { 4 };
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.start();
    for round in 0..stops {
        visit(&sidecar, round * 10..round * 10 + 10);
        let begun = Instant::now();
        sidecar.stop();
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "a stop took {:?}",
            begun.elapsed()
        );
        sidecar = sidecar.again();
    }
    stage.plausible.come_back();
    stage.plausible.await_recorded(stops * 10);
    sidecar.drained();
    assert_eq!(
        recorded(&stage.plausible),
        (0..stops * 10).map(|n| (n, 1)).collect()
    );
}

#[test]
fn a_stop_and_a_start_in_ordinary_weather_send_nothing_twice() {
    let stage = stage();
    let mut sidecar = stage.builder.start();
    visit(&sidecar, 0..40);
    stage.plausible.await_recorded(40);
    sidecar.stop();
    let mut sidecar = sidecar.again();
    visit(&sidecar, 40..50);
    stage.plausible.await_recorded(50);
    sidecar.stop();
    assert_eq!(recorded(&stage.plausible), (0..50).map(|n| (n, 1)).collect());
}

#[test]
fn clock_jumps_lose_and_stall_nothing() {
    let Some(library) = faketime() else {
        return skip("libfaketime is not installed");
    };
    let stage = stage();
    let directory = TempDir::new().unwrap();
    let clock = directory.path().join("clock");
    fs::write(&clock, "+0").unwrap();
    let sidecar = stage
        .builder
        .environment("LD_PRELOAD", library.to_str().unwrap())
        .environment("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap())
        .environment("FAKETIME_NO_CACHE", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start();
    let steady = Steady::through(sidecar.address);
    for (round, jump) in ["+30d", "-30d", "-1h", "+0"].iter().enumerate() {
        fs::write(&clock, jump).unwrap();
        stage.plausible.next([Reply::Status(503)]);
        visit(&sidecar, round * 10..round * 10 + 10);
        within(
            Duration::from_secs(5),
            &format!("all arrive after a jump to {jump}"),
            || {
                let count = stage.plausible.recorded().len();
                if count >= round * 10 + 10 {
                    Ok(())
                } else {
                    Err(format!("{count}"))
                }
            },
        );
    }
    let metrics = sidecar.drained();
    assert_eq!(metrics.finished("delivered"), 40);
    steady.finish();
}

#[test]
fn closed_connections_give_their_descriptors_back() {
    let stage = stage();
    let sidecar = stage.builder.start();
    visit(&sidecar, 0..10);
    let before = sidecar.descriptors();
    for n in 0..100 {
        let mut client = sidecar.client();
        client.ask(&page(n));
    }
    within(Duration::from_secs(10), "the descriptors are back", || {
        let now = sidecar.descriptors();
        if now <= before + 12 {
            Ok(())
        } else {
            Err(format!("{before} before, {now} now"))
        }
    });
}

fn faketime() -> Option<PathBuf> {
    ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .iter()
        .map(|arch| PathBuf::from(format!("/usr/lib/{arch}/faketime/libfaketimeMT.so.1")))
        .find(|file| file.exists())
}
