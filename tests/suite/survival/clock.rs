//! Wall clocks that jump (RELIABILITY.md Q16), by faketime.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::{Stage, recorded, stage, visit};
use crate::support::{
    eventually,
    load::Steady,
    process::{Builder, Sidecar},
    receiver::Reply,
    skip, within,
};

/// Within which everything goes on after a jump.
const STALL: Duration = Duration::from_secs(5);
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A process's wall clock; its monotonic one stays as it is.
struct Clock {
    directory: TempDir,
    library: PathBuf,
}

impl Clock {
    fn new() -> Option<Clock> {
        let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .iter()
            .map(|arch| PathBuf::from(format!("/usr/lib/{arch}/faketime/libfaketimeMT.so.1")))
            .find(|file| file.exists())?;
        let directory = TempDir::new().unwrap();
        let clock = Clock { directory, library };
        clock.set(0);
        Some(clock)
    }

    fn before(&self, builder: Builder) -> Builder {
        let file = self.file();
        builder
            .environment("LD_PRELOAD", self.library.to_str().unwrap())
            .environment("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// So many seconds beside the right time from now on.
    fn set(&self, seconds: i64) {
        // At once, so that nobody reads half of it.
        let next = self.directory.path().join("next");
        fs::write(&next, format!("{seconds:+}")).unwrap();
        fs::rename(next, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("clock")
    }
}

/// The clock has jumped for this process, or the test would prove nothing: its log says so.
fn has_jumped(sidecar: &Sidecar, seconds: i64) {
    sidecar.signal("HUP");
    eventually("a log line with the new time", || {
        let line = sidecar.log().pop().unwrap_or_default();
        let line: serde_json::Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        let told = humantime::parse_rfc3339(line["timestamp"].as_str().unwrap_or_default());
        let told = told.map_err(|e| e.to_string())?;
        let now = SystemTime::now();
        let off = match told.duration_since(now) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        };
        let jumped = (off - seconds as f64).abs() < 60.0;
        if jumped {
            Ok(())
        } else {
            Err(format!("{off} s instead of {seconds}"))
        }
    });
}

/// Q16: jumps while events are pending, in flight and waiting for their backoff.
#[test]
fn clock_jumps_lose_and_stall_nothing() {
    let Some(clock) = Clock::new() else {
        return skip("libfaketime is not installed");
    };
    let Stage {
        app: _app,
        plausible,
        builder,
    } = stage();
    let sidecar = clock.before(builder).start();
    let steady = Steady::through(sidecar.address);
    let mut next = 0;
    for jump in [30 * DAY, -30 * DAY, -HOUR, 0] {
        plausible.always(Reply::Status(503));
        visit(&sidecar, next..next + 10);
        plausible.await_arrivals(1);
        clock.set(jump);
        has_jumped(&sidecar, jump);
        visit(&sidecar, next + 10..next + 20);
        next += 20;
        plausible.always(Reply::Accept);
        within(STALL, &format!("all arrive after a jump by {jump} s"), || {
            let metrics = sidecar.metrics();
            metrics.assert_account();
            match metrics.finished("delivered") {
                all if all == next as u64 => Ok(()),
                some => Err(format!("{some} of {next}")),
            }
        });
    }
    steady.finish();
    assert_eq!(recorded(&plausible), (0..next).map(|n| (n, 1)).collect());
}

/// Q16: the clock was set while no process ran, or a process began with a wrong one that was then set right.
#[test]
fn a_start_after_a_jump_loses_and_stalls_nothing() {
    let Some(clock) = Clock::new() else {
        return skip("libfaketime is not installed");
    };
    let Stage {
        app: _app,
        plausible,
        builder,
    } = stage();
    plausible.die();
    let mut sidecar = clock.before(builder).start();
    let mut next = 0;
    // What a clock says that was an hour late by a jump forward is within `max_age`; thirty days would
    // rightly expire.
    for jump in [-HOUR, -30 * DAY, -30 * DAY + HOUR, -30 * DAY] {
        visit(&sidecar, next..next + 10);
        next += 10;
        sidecar.stop();
        clock.set(jump);
        sidecar = sidecar.again();
        let metrics = sidecar.await_metrics("all are found", |m| m.offered() == next as u64);
        assert_eq!(metrics.pending(), next as u64, "after {jump} s: {metrics:?}");
    }
    plausible.come_back();
    within(STALL, "all arrive", || {
        match sidecar.metrics().finished("delivered") {
            all if all == next as u64 => Ok(()),
            some => Err(format!("{some} of {next}")),
        }
    });
    assert_eq!(recorded(&plausible), (0..next).map(|n| (n, 1)).collect());
}
