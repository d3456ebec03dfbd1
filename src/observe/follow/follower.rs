//! What following a log needs of the other parts, and how it is interrupted.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{
    delivery::{Feed, FeedLost},
    observe::{desk::Desk, settings::LineFormat},
    telemetry::LogThrottle,
};

/// How long to wait where the queue takes nothing.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// A log that is followed, on a thread of its own.
pub(in crate::observe) struct Follower {
    pub(in crate::observe) log: PathBuf,
    pub(in crate::observe) format: LineFormat,
    pub(in crate::observe) desk: Arc<Desk>,
    pub(in crate::observe) feed: Feed,
    /// A message, or the other end's going, asks to stop.
    pub(in crate::observe) stop: Receiver<()>,
}

/// Why following is interrupted.
pub(super) enum Interrupt {
    Stop,
    /// It is not known what was stored: the place has to be asked for again.
    Lost,
}

impl From<FeedLost> for Interrupt {
    fn from(_: FeedLost) -> Self {
        Interrupt::Lost
    }
}

impl Follower {
    /// Waits; an error if it is to stop.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Interrupt> {
        match self.stop.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Interrupt::Stop),
        }
    }

    /// Logs that the log can't be read.
    pub(super) fn report(&self, troubles: &mut LogThrottle, error: &io::Error) {
        if let Some(times) = troubles.pass(Instant::now(), 1) {
            tracing::error!(%error, times, "{} can't be read", self.log.display());
        }
    }
}
