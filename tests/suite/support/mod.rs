//! What the tests stand on: scripted apps, a strict Plausible, raw-byte clients, the real binary as a
//! process.

pub(crate) mod chromium;
pub(crate) mod client;
pub(crate) mod devtools;
pub(crate) mod disk;
pub(crate) mod faults;
pub(crate) mod forward_proxy;
pub(crate) mod frames;
pub(crate) mod front;
pub(crate) mod http2;
pub(crate) mod load;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod nats;
pub(crate) mod nginx;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod resolver;
pub(crate) mod site;
mod tests;
pub(crate) mod tls;
pub(crate) mod wire;

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// How long anything may take that is expected to come: generous, as the machine may be busy with other
/// tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again until the answer is there, and fails with the last reason at the deadline.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    within(DEADLINE, what, probe)
}

/// [`eventually`] with a deadline of its own, where the time is what is tested.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(reason) if start.elapsed() > limit => panic!("{what}: not within {limit:?}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Asks again and again until the answer is there, for as long as the reason why not keeps changing: fails
/// once it has been the same for [`DEADLINE`]. For what takes as long as there is much of it.
#[track_caller]
pub(crate) fn as_long_as_it_moves<T, R: PartialEq + Debug>(
    what: &str,
    mut probe: impl FnMut() -> Result<T, R>,
) -> T {
    let (mut last, mut since) = (None, Instant::now());
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(reason) if last.as_ref() == Some(&reason) => {
                assert!(
                    since.elapsed() <= DEADLINE,
                    "{what}: nothing has moved for {DEADLINE:?}: {reason:?}"
                );
            }
            Err(reason) => (last, since) = (Some(reason), Instant::now()),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the full figures of the reliability table are asked for (`GATECOUNT_FULL=1`).
pub(crate) fn full() -> bool {
    std::env::var_os("GATECOUNT_FULL").is_some_and(|v| v == "1")
}

/// Says why a test does nothing on this machine. The test command counts these lines.
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}
