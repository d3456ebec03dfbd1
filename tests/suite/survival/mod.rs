//! What the queue survives (RELIABILITY.md, "Queue and delivery"). Small figures by default, the table's own
//! with `GATECOUNT_FULL=1`.

mod account;
mod backlog;
mod clock;
mod damage;
mod disk;
mod inspection;
mod kills;
mod stops;
mod storage;
mod tampering;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    client::{NAVIGATION, Request},
    eventually,
    origin::Origin,
    process::{Builder, Sidecar},
    receiver::{Arrival, Receiver},
    site,
};

/// An event counts as accepted so long after its page's response ended; that is the promise, not a guess.
const ACCEPTED: Duration = Duration::from_millis(50);

/// Requests to Plausible at once.
const CONCURRENCY: usize = 8;

struct Stage {
    app: Origin,
    plausible: Receiver,
    builder: Builder,
}

fn stage() -> Stage {
    let (app, plausible) = (site::start().forgetful(), Receiver::start());
    let builder = Builder::before(&app)
        .telling(&plausible)
        .set("plausible.concurrency", i64::try_from(CONCURRENCY).unwrap());
    Stage {
        app,
        plausible,
        builder,
    }
}

fn page(n: usize) -> Request {
    Request::get(&format!("/page/{n}"))
        .as_(NAVIGATION)
        .from(&visitor(n))
}

/// An address for each of the first fifteen million.
pub(crate) fn visitor(n: usize) -> String {
    format!("203.{}.{}.{}", n / 62500 % 250, n / 250 % 250, n % 250 + 1)
}

fn visit(sidecar: &Sidecar, numbers: std::ops::Range<usize>) {
    let mut client = sidecar.client();
    for n in numbers {
        assert_eq!(client.ask(&page(n)).status(), 200);
    }
}

/// How often each page was recorded.
fn recorded(plausible: &Receiver) -> BTreeMap<usize, usize> {
    let mut times = BTreeMap::new();
    for event in plausible.recorded() {
        *times.entry(number(&event)).or_default() += 1;
    }
    times
}

/// Which page an event is of.
pub(crate) fn number(event: &Arrival) -> usize {
    event.text("url").rsplit('/').next().unwrap().parse().unwrap()
}

/// Waits until the queue has an alarm, or none. It is opened beside the start, so both may take a moment.
#[track_caller]
fn await_alarm(sidecar: &Sidecar, wanted: bool) {
    eventually("the queue's alarm", || {
        let status = sidecar.status();
        let settled = status["delivery"]["state"] != "starting";
        if settled && status["queue"]["alarm"].is_string() == wanted {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_file())
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
