//! Signals, the readiness latch, and how a stop goes: readiness turns, listeners stay open while it is noticed, requests
//! in flight finish.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals that this process obeys.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The operating system's, where a handler can't be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// The next one that asks to stop.
    pub async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// Readiness: turned on once, and off once for good.
#[derive(Debug)]
pub struct Readiness(watch::Sender<bool>);

impl Default for Readiness {
    fn default() -> Self {
        Readiness(watch::Sender::new(false))
    }
}

impl Readiness {
    /// For those who tell others.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Requests are accepted.
    pub fn turn_on(&self) {
        self.0.send_replace(true);
    }

    /// No new ones should come.
    pub fn turn_off(&self) {
        self.0.send_replace(false);
    }
}

/// Longest time that listeners stay open for a turned readiness to be noticed, as a share of the drain.
const NOTICE_SHARE: u32 = 5;
/// After a prober has seen that readiness has turned, this long for it to act.
const ACT: Duration = Duration::from_secs(1);

/// Where nobody asks for readiness, this long for connections that are on their way.
const UNASKED: Duration = Duration::from_millis(500);

/// Keeps the listeners open until the turned readiness can have been noticed: where somebody asks `/readyz`, until it was
/// told "no" and had a moment to act; where nobody ever asked, for a moment. A fifth of the drain at most.
///
/// `probes` gives how often `/readyz` was answered yes and no.
pub async fn notice(drain: Duration, probes: impl Fn() -> (u64, u64)) {
    let seen = async {
        if probes().0 == 0 {
            return sleep(UNASKED).await;
        }
        while probes().1 == 0 {
            sleep(Duration::from_millis(50)).await;
        }
        sleep(ACT).await;
    };
    // Not noticed in that time: it is not going to be.
    let _ = timeout(drain / NOTICE_SHARE, seen).await;
}

/// What is left of a stop's time.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        Deadline(Instant::now() + time)
    }

    /// What is left.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn listeners_close_soon_where_nobody_asks_for_readiness() {
        let start = tokio::time::Instant::now();
        notice(Duration::from_secs(25), || (0, 0)).await;
        assert_eq!(start.elapsed(), UNASKED);
        notice(Duration::from_secs(1), || (0, 0)).await;
        assert_eq!(start.elapsed(), UNASKED + Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_prober_that_was_told_no_gets_a_moment_and_one_that_never_asks_again_a_fifth() {
        let start = tokio::time::Instant::now();
        notice(Duration::from_secs(25), || (3, 1)).await;
        assert_eq!(start.elapsed(), ACT);
        let start = tokio::time::Instant::now();
        notice(Duration::from_secs(25), || (3, 0)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
