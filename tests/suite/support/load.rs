//! Steady traffic beside what a test does to the rest: failing open means that it never notices.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    client::{Client, FETCH, Request},
    site,
};

/// Two hundred requests a second before a [`site`], none of them a page view.
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Calm, String>>,
}

/// What the traffic saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calm {
    /// Requests answered, byte for byte.
    pub(crate) requests: usize,
    /// Of a hundred waits for an answer, 99 were shorter.
    pub(crate) p99: Duration,
}

impl Steady {
    /// Begins.
    pub(crate) fn through(address: SocketAddr) -> Steady {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || run(address, &stop)
        });
        Steady { stop, thread }
    }

    /// Ends, and fails the test if one answer was wrong.
    #[track_caller]
    pub(crate) fn finish(self) -> Calm {
        self.stop.store(true, Ordering::SeqCst);
        let outcome = self.thread.join().expect("the steady traffic's thread");
        outcome.unwrap_or_else(|e| panic!("the app's traffic noticed: {e}"))
    }
}

fn run(address: SocketAddr, stop: &AtomicBool) -> Result<Calm, String> {
    let mut client = Client::try_to(address).map_err(|e| e.to_string())?;
    let mut waits = Vec::new();
    let begun = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let request = Request::get(&format!("/api/{}", waits.len())).as_(FETCH);
        let asked = Instant::now();
        let response = client
            .try_ask(&request)
            .map_err(|e| format!("request {}: {e}", waits.len()))?;
        let waited = asked.elapsed();
        site::compare(&request, &response).map_err(|e| format!("request {}: {e}", waits.len()))?;
        waits.push(waited);
        // A pace, not a wait: the nth request is due at n × 5 ms.
        let due = Duration::from_millis(5) * waits.len() as u32;
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Calm {
        requests: waits.len(),
        p99,
    })
}
