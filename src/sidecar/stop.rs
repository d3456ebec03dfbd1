//! Stops the parts in reverse order.

use std::time::{Duration, Instant};

use super::running::Running;

use crate::lifecycle::{self, AppProcess, Deadline, Signals};

/// How long the last sends may take once the data path has ended.
const LAST_SENDS: Duration = Duration::from_secs(2);
/// How long the queue may take for its last writes, even if the drain is over. A slow disk may take the rest
/// of the drain.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// How long an app that we have started may take to end once it was told to, even if the drain is over.
const APP_END: Duration = Duration::from_secs(5);
/// The same where a second signal was sent.
const HURRIED_APP_END: Duration = Duration::from_secs(1);
/// How long the admin address may take for its last responses.
const LAST_RESPONSES: Duration = Duration::from_millis(500);

/// Why a sidecar stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    Signal(rustix::process::Signal),
    /// The app that this process has started is gone.
    AppEnded,
}

/// How the drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrainEnd {
    /// Everything was answered, or the time was over.
    Over,
    /// A second signal came.
    Hurried,
}

impl Running {
    /// Stops in reverse order. A second signal ends the drain at once; accepted events are kept nevertheless.
    /// An app that we have started serves on until the drain is over, and gets the signal then.
    pub(super) async fn stop(mut self, signals: &mut Signals, reason: StopReason, drain: Duration) -> u8 {
        let deadline = Deadline::after(drain);
        tracing::info!(drain = ?drain, "stopping");
        self.manager
            .stopping(drain + LAST_WRITES + LAST_RESPONSES + APP_END);
        self.readiness.turn_off();
        if let Some(proxy) = &self.proxy {
            proxy.drain();
        }
        let end = match reason {
            StopReason::Signal(_) => self.drain(signals, drain, deadline).await,
            StopReason::AppEnded => DrainEnd::Over,
        };
        if end == DrainEnd::Hurried {
            tracing::warn!("asked to stop again: connections that are still open are cut");
        } else if let Some(proxy) = &mut self.proxy {
            // Without the app nothing is left but responses on their way.
            let patience = if self.app.as_ref().is_some_and(AppProcess::has_ended) {
                LAST_RESPONSES
            } else {
                deadline.left()
            };
            if !proxy.close(patience).await {
                tracing::warn!("the drain is over; connections that are still open are cut");
            }
        }
        let app_deadline = self.tell_app(reason, end, deadline);
        if let Some(proxy) = self.proxy {
            proxy.stop();
        }
        if let Some(observe) = self.observe {
            observe.stop().await;
        }
        let (sends, writes) = if end == DrainEnd::Hurried {
            (Duration::ZERO, LAST_WRITES)
        } else if self.is_gateway {
            // It has left its partitions when this begins; only what is on its way to Plausible is waited for.
            let rest = deadline.left().saturating_sub(LAST_WRITES + LAST_RESPONSES);
            (rest, rest + LAST_WRITES)
        } else {
            let rest = deadline.left().saturating_sub(LAST_RESPONSES);
            (LAST_SENDS.min(deadline.left()), rest.max(LAST_WRITES))
        };
        let now = Instant::now();
        self.delivery.stop(now + sends, now + writes).await;
        drop(self.stream);
        self.upkeep.abort();
        drop(self.stop_admin);
        // A reader that is slower than this does not get the rest of its response.
        let _ = tokio::time::timeout(LAST_RESPONSES, self.admin).await;
        let status = match self.app {
            Some(mut app) => {
                let ended = tokio::select! {
                    status = app.end_by(app_deadline) => Some(status),
                    () = signals.stop() => None,
                };
                match ended {
                    Some(status) => status,
                    None => app.end_by(tokio::time::Instant::now()).await,
                }
            }
            None => 0,
        };
        tracing::info!("stopped");
        status
    }

    async fn drain(&mut self, signals: &mut Signals, drain: Duration, deadline: Deadline) -> DrainEnd {
        if self.is_gateway {
            // Nobody sends it requests.
            return DrainEnd::Over;
        }
        let draining = async {
            let probed = self.probes.ready() > 0;
            lifecycle::wait_for_notice(drain, probed, self.probes.seen_not_ready()).await;
            if let Some(proxy) = &mut self.proxy {
                proxy.close(deadline.left()).await;
            }
        };
        tokio::select! {
            () = draining => DrainEnd::Over,
            () = signals.stop() => DrainEnd::Hurried,
            _ = end_of(&mut self.app) => DrainEnd::Over,
        }
    }

    /// Tells an app that we have started to end; until when it may take.
    fn tell_app(&self, reason: StopReason, end: DrainEnd, deadline: Deadline) -> tokio::time::Instant {
        if let Some(app) = &self.app {
            match reason {
                StopReason::Signal(signal) => app.signal(signal),
                // What it has started may still run.
                StopReason::AppEnded => app.signal(rustix::process::Signal::TERM),
            }
        }
        let patience = match end {
            DrainEnd::Hurried => HURRIED_APP_END,
            DrainEnd::Over => deadline.left().max(APP_END),
        };
        tokio::time::Instant::now() + patience
    }
}

/// Waits for the end of an app that we have started; without one, for ever.
pub(super) async fn end_of(app: &mut Option<AppProcess>) -> u8 {
    match app {
        Some(app) => app.ended().await,
        None => std::future::pending().await,
    }
}
