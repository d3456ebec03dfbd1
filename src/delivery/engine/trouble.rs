//! Notices trouble, and says what it is, what may help, and when it is over.

use std::{sync::atomic::Ordering, time::Duration};

use super::state::Engine;
use crate::{
    delivery::{account::EventEnd, outcome::RetryReason, senders::FinishedAttempt},
    event::Event,
    telemetry::{TroubleKind, TroubleWords},
};

/// After so long without an event that got through it is said, also where the failed events may be the cause.
const UNSAID: Duration = Duration::from_secs(10);
/// After so long it is said where no event can be the cause, in milliseconds.
const UNSAID_OF_NO_EVENT: u64 = 2_000;
/// A hold-up of so many seconds is said.
const HELD_UP: u64 = 5;

/// The kinds that an engine begins, and that another engine does not know of.
const OF_AN_ENGINE: [TroubleKind; 6] = [
    TroubleKind::PlausibleUnreachable,
    TroubleKind::PlausibleRefuses,
    TroubleKind::DomainDropped,
    TroubleKind::QueueFilling,
    TroubleKind::StreamUnreachable,
    TroubleKind::StreamRefuses,
];

impl Engine<'_> {
    /// An attempt failed, not by the fault of an event that is known to fail.
    pub(super) fn note_failure(&mut self, reason: RetryReason, now: u64) {
        self.health.failed(reason, now);
        let passed_at = self.health.passed_at;
        let is_silent = passed_at.is_none_or(|at| now.saturating_sub(at) >= UNSAID_OF_NO_EVENT);
        if self.health.said.is_some() || (reason.is_of_no_event() && is_silent) {
            self.say_failing(reason);
        }
    }

    /// An event got through.
    pub(super) fn note_success(&mut self, now: u64) {
        self.health.passed_at = Some(now);
        if self.health.failing.take().is_none() {
            return;
        }
        self.health.well_since = now;
        self.shared.set_over();
        if let Some(kind) = self.health.said.take() {
            let troubles = &self.shared.troubles;
            troubles.end(kind, "", self.target.is_well_again());
        }
    }

    /// Says that nothing gets through, if that has lasted and was not said.
    pub(super) fn report_silence(&mut self, now: u64) {
        let Some(failing) = &self.health.failing else {
            return;
        };
        let lasted = Duration::from_millis(now.saturating_sub(failing.at));
        if lasted >= UNSAID && self.health.said.is_none() {
            self.say_failing(failing.reason);
        }
    }

    /// The breaker tripped.
    pub(super) fn report_trip(&mut self, reason: RetryReason) {
        self.say_failing(reason);
    }

    /// Says that no event gets through. It stays the kind of trouble that it was said to be first.
    fn say_failing(&mut self, reason: RetryReason) {
        let (kind, what) = self.target.trouble(reason);
        let kind = *self.health.said.get_or_insert(kind);
        let words = TroubleWords {
            what: what.to_owned(),
            error: Some(self.target.describe(reason)),
            cure: self.target.hint(reason).to_owned(),
        };
        self.shared.troubles.begin(kind, "", words);
    }

    /// Plausible rejected an event as invalid.
    pub(super) fn note_rejected(&self) {
        let words = TroubleWords {
            what: "Plausible rejected events as invalid; they are lost".to_owned(),
            error: Some("answered 400".to_owned()),
            cure: "is the domain's name right? gatecount explain shows what is sent for a request".to_owned(),
        };
        self.shared.troubles.begin(TroubleKind::EventsRejected, "", words);
    }

    /// Says that the queue is filling, and when it has room again.
    pub(super) fn report_filling(&self) {
        let (kind, troubles) = (TroubleKind::QueueFilling, &self.shared.troubles);
        if self.lanes.len() > 0 && self.queue.is_nearly_full() {
            let words = TroubleWords {
                what: "the queue is more than three quarters full; when it is full, the oldest events go"
                    .to_owned(),
                error: None,
                cure: "see what keeps events from being delivered, or raise [queue] max_bytes".to_owned(),
            };
            troubles.begin(kind, "", words);
        } else {
            troubles.end(kind, "", "the queue has room again");
        }
    }

    /// Shows that this thread works. If it was held up, says so.
    pub(super) fn beat(&self) {
        let now = self.shared.clock.millis();
        let beat = self.shared.holdings.beat.swap(now, Ordering::Relaxed);
        let seconds = now.saturating_sub(beat) / 1_000;
        if beat == 0 || seconds < HELD_UP {
            return;
        }
        if self.queue.has_home() {
            tracing::warn!(
                seconds,
                "queue: the disk did not answer, or the process was stopped; delivery goes on"
            );
        } else {
            tracing::warn!(
                seconds,
                "the process was stopped, or got no CPU; delivery goes on"
            );
        }
    }

    /// Plausible dropped an event.
    pub(super) fn note_drop(&mut self, attempt: &FinishedAttempt) {
        let Some(event) = Event::decode(&attempt.stored) else {
            return;
        };
        let Some(domain) = event.domain() else { return };
        let recorded = self.shared.account.balance().finished[EventEnd::Delivered as usize];
        if self.drops.dropped(&domain, event.visitor(), recorded > 0) {
            let words = TroubleWords {
                what: format!("Plausible drops every event for {domain}"),
                error: None,
                cure: "is the site added there? is the name right?".to_owned(),
            };
            let troubles = &self.shared.troubles;
            troubles.begin(TroubleKind::DomainDropped, &domain, words);
        }
    }

    /// Plausible recorded an event, while domains are watched.
    pub(super) fn note_record(&mut self, attempt: &FinishedAttempt) {
        let Some(event) = Event::decode(&attempt.stored) else {
            return;
        };
        let Some(domain) = event.domain() else { return };
        if self.drops.recorded(&domain) {
            let over = format!("Plausible records events for {domain} again");
            let troubles = &self.shared.troubles;
            troubles.end(TroubleKind::DomainDropped, &domain, &over);
        }
    }

    /// An engine before this one panicked: what it knew of is noticed anew.
    pub(super) fn forget_troubles(&self) {
        for kind in OF_AN_ENGINE {
            self.shared.troubles.keep_only(kind, "");
            self.shared.troubles.end(kind, "", "delivery starts again");
        }
    }
}
