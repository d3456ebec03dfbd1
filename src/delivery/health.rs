//! Whether events get through, and since when.

use super::outcome::RetryReason;
use crate::telemetry::TroubleKind;

/// How delivery does.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Nothing has got through since this first failure.
    pub(super) failing: Option<FailingSince>,
    /// When the last trouble was over, or the start, in milliseconds since 1970.
    pub(super) well_since: u64,
    /// When an event last got through, in milliseconds since 1970.
    pub(super) passed_at: Option<u64>,
    /// What kind of trouble it is said to be, if it is said.
    pub(super) said: Option<TroubleKind>,
}

#[derive(Debug)]
pub(super) struct FailingSince {
    /// In milliseconds since 1970.
    pub(super) at: u64,
    /// Why the last attempt failed.
    pub(super) reason: RetryReason,
}

impl Health {
    pub(super) fn at(now: u64) -> Self {
        Health {
            well_since: now,
            ..Health::default()
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, reason: RetryReason, now: u64) {
        let at = self.failing.as_ref().map_or(now, |failing| failing.at);
        self.failing = Some(FailingSince { at, reason });
    }
}
