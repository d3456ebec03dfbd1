//! Notices trouble, and says what it is, what may help, and when it is over.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::state::Engine;
use crate::{
    delivery::{account::EventEnd, drops, outcome::RetryReason, senders::FinishedAttempt},
    event::Event,
};

/// After so long without an event that got through it is said, also where few visitors are concerned.
const UNSAID: Duration = Duration::from_secs(10);
/// A hold-up of so many seconds is said.
const HELD_UP: u64 = 5;

impl Engine<'_> {
    /// An attempt failed, not by the fault of an event that is known to fail.
    pub(super) fn note_failure(&mut self, reason: RetryReason, now: u64) {
        self.health.failed(reason, now);
    }

    /// An event got through.
    pub(super) fn note_success(&mut self, now: u64) {
        let Some(failing) = self.health.failing.take() else {
            return;
        };
        self.health.well_since = now;
        self.shared.set_over();
        if std::mem::take(&mut self.health.said) {
            let after_seconds = now.saturating_sub(failing.at) / 1_000;
            tracing::info!(after_seconds, "Plausible takes events again");
        }
    }

    /// Says that nothing gets through, if that has lasted and was not said.
    pub(super) fn report_silence(&mut self, now: u64) {
        let Some(failing) = &self.health.failing else {
            return;
        };
        let lasted = Duration::from_millis(now.saturating_sub(failing.at));
        if lasted >= UNSAID && !self.health.said {
            let reason = failing.reason;
            self.say_trouble(reason, "nothing has reached Plausible for 10 s; events wait");
        }
    }

    /// Shows that this thread works. If it was held up, says so.
    pub(super) fn beat(&self) {
        let now = self.shared.clock.millis();
        let beat = self.shared.holdings.beat.swap(now, Ordering::Relaxed);
        let seconds = now.saturating_sub(beat) / 1_000;
        if beat > 0 && seconds >= HELD_UP {
            tracing::warn!(
                seconds,
                "queue: the disk did not answer, or the process was stopped; delivery goes on"
            );
        }
    }

    /// The breaker tripped.
    pub(super) fn report_trip(&mut self, reason: RetryReason, instant: Instant) {
        if self.log.breaker.pass(instant, 1).is_none() {
            return;
        }
        if let RetryReason::Misconfigured(_) = reason {
            self.health.said = true;
            let (error, hint) = (self.endpoint.describe(reason), reason.hint());
            tracing::error!(
                error,
                hint,
                "events cannot be delivered and wait: the address or the proxy looks wrong"
            );
        } else {
            self.say_trouble(reason, "Plausible takes no events; they wait");
        }
    }

    fn say_trouble(&mut self, reason: RetryReason, what: &str) {
        self.health.said = true;
        let (error, hint) = (self.endpoint.describe(reason), reason.hint());
        tracing::warn!(error, hint, "{what}");
    }

    /// Plausible dropped an event.
    pub(super) fn note_drop(&mut self, attempt: &FinishedAttempt, instant: Instant) {
        let Some(event) = Event::decode(&attempt.stored) else {
            return;
        };
        let Some(domain) = event.domain() else { return };
        let recorded = self.shared.account.balance().finished[EventEnd::Delivered as usize];
        if self.drops.dropped(&domain, event.visitor(), recorded > 0)
            && self.log.drops.pass(instant, 1).is_some()
        {
            self.drops.say(&domain);
            tracing::warn!("{}", drops::warning(&domain));
            self.share_warnings();
        }
    }

    /// Plausible recorded an event, while domains are watched.
    pub(super) fn note_record(&mut self, attempt: &FinishedAttempt) {
        let Some(event) = Event::decode(&attempt.stored) else {
            return;
        };
        let Some(domain) = event.domain() else { return };
        if self.drops.recorded(&domain) {
            tracing::info!("Plausible records events for {domain} again");
            self.share_warnings();
        }
    }

    fn share_warnings(&self) {
        self.shared
            .set_warnings(self.drops.said().map(drops::warning).collect());
    }
}
