//! Signals, readiness, and the start of a drain: readiness turns off, and the listeners stay open until
//! probers have noticed. [`app_process`] is an app that this process has started, [`service_manager`] what
//! systemd is told.

mod app_process;
mod service_manager;

use std::{
    io,
    time::{Duration, Instant},
};

pub use app_process::{AppCommand, AppProcess};
pub use service_manager::ServiceManager;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};

/// While a drain waits for a prober to notice, it waits for this share of its time at most.
const NOTICE_SHARE: u32 = 5;
/// How long a prober gets to act after it was told "not ready".
const REACTION_TIME: Duration = Duration::from_secs(1);
/// How long the listeners stay open if nobody asks for readiness, for connections that are on their way.
const UNPROBED_DELAY: Duration = Duration::from_millis(500);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalAction {
    /// SIGTERM or SIGINT: this one.
    Stop(rustix::process::Signal),
    /// SIGHUP.
    Reload,
}

/// The signals that this process handles.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// A write beyond the limit of a file's size (`ulimit -f`). It is handled, and so does not kill: the
    /// write fails, and the queue's disk counts as full.
    _file_size: Signal,
}

impl Signals {
    /// Installs the handlers. (`SIGPIPE` is ignored by Rust's runtime from the start.)
    ///
    /// # Errors
    /// The operating system's, if a handler can't be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop(rustix::process::Signal::TERM),
            _ = self.interrupt.recv() => SignalAction::Stop(rustix::process::Signal::INT),
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }

    /// Waits for the next signal that asks to stop, and ignores others.
    pub async fn stop(&mut self) {
        while self.next().await == SignalAction::Reload {}
    }
}

/// Whether requests are accepted: off at the start, on while the sidecar serves, off again when it drains.
#[derive(Debug)]
pub struct Readiness(watch::Sender<bool>);

impl Default for Readiness {
    fn default() -> Self {
        Readiness(watch::Sender::new(false))
    }
}

impl Readiness {
    /// A receiver that follows the readiness.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Requests are accepted from now on.
    pub fn turn_on(&self) {
        self.0.send_replace(true);
    }

    /// New requests should go elsewhere from now on.
    pub fn turn_off(&self) {
        self.0.send_replace(false);
    }
}

/// Waits until probers have noticed that readiness is off. The listeners stay open meanwhile.
///
/// `probed` says whether anybody has asked for readiness so far. If so, this waits for `told_not_ready` (a
/// prober got the answer "not ready") and then for the prober to act; otherwise for a moment. It waits a
/// fifth of `drain` at most.
pub async fn wait_for_notice(drain: Duration, probed: bool, told_not_ready: impl Future<Output = ()>) {
    let noticed = async {
        if probed {
            told_not_ready.await;
            sleep(REACTION_TIME).await;
        } else {
            sleep(UNPROBED_DELAY).await;
        }
    };
    // A prober that has not asked by then is not going to.
    let _ = timeout(drain / NOTICE_SHARE, noticed).await;
}

/// The end of a stop's time.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// This long from now.
    pub fn after(time: Duration) -> Self {
        Deadline(Instant::now() + time)
    }

    /// The time that is left; zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn listeners_close_soon_if_nobody_asks_for_readiness() {
        let start = tokio::time::Instant::now();
        wait_for_notice(Duration::from_secs(25), false, pending()).await;
        assert_eq!(start.elapsed(), UNPROBED_DELAY);
        wait_for_notice(Duration::from_secs(1), false, pending()).await;
        assert_eq!(start.elapsed(), UNPROBED_DELAY + Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_prober_that_was_told_gets_time_to_act_and_one_that_never_asks_again_a_fifth_of_the_drain() {
        let start = tokio::time::Instant::now();
        wait_for_notice(Duration::from_secs(25), true, ready(())).await;
        assert_eq!(start.elapsed(), REACTION_TIME);
        let start = tokio::time::Instant::now();
        wait_for_notice(Duration::from_secs(25), true, pending()).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
