//! Storage that can't be used, from the start or from some moment on (RELIABILITY.md Q6, Q7): the app's
//! traffic does not notice, events go through memory, `/status`, metrics and log say so, and the disk is in
//! use again soon after it works.

mod calls;
mod places;
mod room;
mod stuck;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{ACCEPTED, files_in, recorded, visit};
use crate::support::{
    full,
    load::{Calm, Steady},
    process::Sidecar,
    receiver::Receiver,
};

/// Within which the disk is in use again once it works (Q7).
const DURABLE: Duration = Duration::from_secs(5);

/// For how long traffic is watched, at 200 requests a second: enough for its slowest hundredth to be more
/// than one.
const WATCHED: Duration = Duration::from_secs(2);

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

/// What these visits leave in the queue survives a kill: every page from the first one on has come once.
#[track_caller]
fn survive_a_kill(mut sidecar: Sidecar, plausible: &Receiver, visits: Range<usize>, what: &str) {
    let all = (0..visits.end).map(|n| (n, 1)).collect();
    plausible.die();
    visit(&sidecar, visits);
    thread::sleep(ACCEPTED);
    sidecar.kill();
    plausible.come_back();
    sidecar.again().drained();
    assert_eq!(recorded(plausible), all, "{what}");
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files = files_in(directory);
    files.retain(|file| file.extension().is_some_and(|e| e == "seg"));
    files
}
