//! Many connections that do the same wrong thing at once, beside one that asks politely.

use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    app::App,
    connection::{Connection, End, Over, Target},
    frames,
};
use crate::support::{DEADLINE, process::Builder};

/// Connections that attack at once.
pub(super) const CONNECTIONS: u64 = 20;
/// What one of them may cost, in bytes (P15).
const COST: u64 = 1 << 20;
/// Spare buffers that a worker keeps for all of its connections, in bytes.
const SPARE: u64 = 4 << 20;
/// How long the polite client may wait for an answer.
const WAIT: Duration = Duration::from_secs(1);

/// How long a request's head may take in these tests, and how long a connection may be idle: short, so that
/// what is only held is let go while a test waits for it.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// What an attack came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How each connection ended, from the attack's own account.
    pub(super) ends: Vec<Option<End>>,
    /// Connections that ended with an error of HTTP/2, by gatecount's account.
    pub(super) errors: u64,
}

/// A sidecar with the times of these tests.
pub(super) fn target(app: &App, over: Over) -> Target {
    target_with(app, over, |builder| builder)
}

/// The same, with other settings.
pub(super) fn target_with(app: &App, over: Over, change: impl FnOnce(Builder) -> Builder) -> Target {
    Target::start(app, over, |builder| {
        change(
            builder
                .set("listen.header_timeout", "2s")
                .set("listen.idle_timeout", "3s"),
        )
    })
}

/// Attacks over TLS and in plain text, and holds gatecount to P15: memory, the other connections, and rest
/// afterwards.
#[track_caller]
pub(super) fn withstands(
    what: &str,
    attack: impl Fn(&mut Connection) -> Option<End> + Send + Sync + 'static,
) -> Vec<Outcome> {
    let attack = Arc::new(attack);
    let run = |over| {
        let app = App::start();
        let target = target(&app, over);
        lay(&format!("{what} over {over:?}"), &target, &attack)
    };
    [Over::Plain, Over::Tls].map(run).into()
}

/// Attacks this target.
#[track_caller]
pub(super) fn lay<A>(what: &str, target: &Target, attack: &Arc<A>) -> Outcome
where
    A: Fn(&mut Connection) -> Option<End> + Send + Sync + 'static,
{
    // What the first requests need stays.
    for _ in 0..3 {
        assert_eq!(polite(target).map(|(status, _)| status), Ok(200));
    }
    target.await_rest();
    let errors = target.errors();
    let before = target.sidecar.rss();
    let (peak, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let done = Arc::new(Barrier::new(CONNECTIONS as usize + 1));
    let (ends, longest) = thread::scope(|scope| {
        let watching = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                peak.fetch_max(target.sidecar.rss(), Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let probing = scope.spawn(|| probe(target, &stop));
        let attackers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (attack, done) = (Arc::clone(attack), Arc::clone(&done));
                let mut connection = target.connect();
                thread::spawn(move || {
                    let end = panic::catch_unwind(AssertUnwindSafe(|| attack(&mut connection)));
                    // All of them are held until the last is as far.
                    done.wait();
                    drop(connection);
                    end.unwrap_or_else(|panic| panic::resume_unwind(panic))
                })
            })
            .collect();
        done.wait();
        stop.store(true, Ordering::SeqCst);
        watching.join().expect("the watching thread");
        let longest = probing.join().expect("the polite client");
        let ends: Vec<_> = attackers
            .into_iter()
            .map(|a| a.join().expect("an attacker"))
            .collect();
        (ends, longest)
    });
    let cost = peak.load(Ordering::SeqCst).saturating_sub(before) / CONNECTIONS;
    println!(
        "{what}: {} KiB a connection, the longest wait {longest:?}, {}",
        cost >> 10,
        count(&ends)
    );
    assert!(
        cost <= COST + SPARE / CONNECTIONS,
        "{what}: {cost} bytes a connection"
    );
    assert!(longest <= WAIT, "{what}: the polite client waited {longest:?}");
    target.await_rest();
    assert_eq!(polite(target).map(|(status, _)| status), Ok(200));
    Outcome {
        ends,
        errors: target.errors() - errors,
    }
}

/// How often each end came.
fn count(ends: &[Option<End>]) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for end in ends {
        *counts.entry(format!("{end:?}")).or_default() += 1;
    }
    format!("{counts:?}")
}

/// One request over a connection of its own.
fn polite(target: &Target) -> Result<(u16, Vec<u8>), String> {
    let mut connection = target.connect();
    connection
        .try_send(&frames::request(1, &frames::get("/")))
        .map_err(|e| e.to_string())?;
    connection.try_response(1)
}

/// Asks again and again over one connection; the longest wait for an answer.
fn probe(target: &Target, stop: &AtomicBool) -> Duration {
    let mut connection = target.connect();
    connection.send(&frames::window(0, 0x7fff_0000));
    let mut longest = Duration::ZERO;
    let mut stream = 1;
    while !stop.load(Ordering::SeqCst) {
        let asked = Instant::now();
        connection.send(&frames::request(stream, &frames::get("/")));
        let (status, _) = connection.response(stream);
        assert_eq!(status, 200);
        longest = longest.max(asked.elapsed());
        stream += 2;
        thread::sleep(Duration::from_millis(5));
    }
    longest
}

/// Sends a piece again and again, without reading, until the peer takes no more for a moment; then reads to
/// the end.
#[allow(clippy::unnecessary_wraps, reason = "it ends an attack, which has this form")]
pub(super) fn floods(connection: &mut Connection, piece: &[u8], times: usize) -> Option<End> {
    connection.write_patience(Duration::from_millis(500));
    for _ in 0..times {
        if connection.try_send(piece).is_err() {
            break;
        }
    }
    Some(connection.end())
}

/// The same, with what comes back read beside it.
#[allow(clippy::unnecessary_wraps, reason = "it ends an attack, which has this form")]
pub(super) fn floods_and_reads(connection: &mut Connection, piece: &[u8], times: usize) -> Option<End> {
    let begun = Instant::now();
    for _ in 0..times {
        if connection.try_send(piece).is_err() || begun.elapsed() > DEADLINE {
            break;
        }
        loop {
            match connection.frame_within(Duration::from_micros(1)) {
                Ok(Some(frame)) if frame.kind == frames::GOAWAY => return Some(End::GoAway(frame.number(4))),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Some(End::Closed),
            }
        }
    }
    Some(connection.end())
}
