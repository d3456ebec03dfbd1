//! Decides when an event itself is the cause of its failures, and has had its tries.
//!
//! One failure proves nothing: Plausible may be down. The proof is that other events get through. The
//! failures of an event between two successes of others are a run. A run counts as one try if both are true:
//!
//! - It was no outage: the breaker did not trip meanwhile, and no failure of the run was a failed connection,
//!   a 429, an answer of a wrong address, or the stream's silence.
//! - The event is the likely cause. Either the run is a single failure, no other event failed beside it, and
//!   others had got through before it. Or the event had failed in an earlier run. Failures of several events,
//!   or one that lasts, may be a short outage.
//!
//! A run is judged once others have got through after it. So an event is tried `max_tries` times while others
//! get through, and any number of times while no event gets through.

use crate::delivery::outcome::RetryReason;

/// The failures of one event. The engine counts the events that were answered, and passes that count as
/// `answered`.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Failures of any kind, for the backoff.
    pub(super) failures: u32,
    /// The reason of the last failure.
    pub(super) last: Option<RetryReason>,
    /// Whether it may be in the stream, though no server has said so.
    pub(super) unconfirmed: bool,
    /// Runs that counted as a try.
    counted: u32,
    /// Failures in the current run.
    run: u32,
    suspicion: Suspicion,
    /// Whether an earlier run was no outage.
    before: bool,
    /// `answered` at its last failure.
    answered: u64,
}

/// The likely cause of the current run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// The event: no other event failed.
    #[default]
    Alone,
    /// Not known: other events failed too.
    Shared,
    /// Plausible: the breaker tripped, or the failure does not depend on the event.
    Outage,
}

impl Tries {
    /// An attempt failed. True if the event had failed before while others got through, so that its failures
    /// say nothing about Plausible.
    pub(super) fn failed(&mut self, reason: RetryReason, answered: u64, passing: bool) -> bool {
        self.judge(answered);
        let known = self.before;
        self.failures = self.failures.saturating_add(1);
        self.last = Some(reason);
        self.unconfirmed |= reason == RetryReason::Unconfirmed;
        self.run += 1;
        self.answered = answered;
        let of_no_event = matches!(
            reason,
            RetryReason::Connect
                | RetryReason::Throttled
                | RetryReason::Misconfigured(_)
                | RetryReason::Unconfirmed
        );
        if !passing || of_no_event {
            self.suspicion = Suspicion::Outage;
        }
        known
    }

    /// Other events failed in the same run; with `outage`, the breaker tripped.
    pub(super) fn is_not_alone(&mut self, answered: u64, outage: bool) {
        if self.answered == answered && self.run > 0 && self.suspicion != Suspicion::Outage {
            self.suspicion = if outage {
                Suspicion::Outage
            } else {
                Suspicion::Shared
            };
        }
    }

    /// Whether it has had its tries.
    pub(super) fn are_over(&mut self, answered: u64, max_tries: u32) -> bool {
        self.judge(answered);
        self.counted >= max_tries
    }

    /// Judges the run and begins another one, if others got through since its last failure.
    fn judge(&mut self, answered: u64) {
        if self.run == 0 || answered == self.answered {
            return;
        }
        let single = self.run == 1 && self.suspicion == Suspicion::Alone && self.answered > 0;
        let outage = self.suspicion == Suspicion::Outage;
        self.counted += u32::from(!outage && (single || self.before));
        self.before |= !outage;
        self.run = 0;
        self.suspicion = Suspicion::Alone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: RetryReason = RetryReason::ServerError(500);

    /// The tries that are over after this: `.` others get through, `x` it fails, `s` it fails beside others,
    /// `!` it fails and the breaker trips.
    fn counted(history: &str) -> u32 {
        let (mut tries, mut answered) = (Tries::default(), 0);
        for step in history.chars() {
            if step == '.' {
                answered += 1;
                continue;
            }
            tries.failed(WHY, answered, true);
            if step != 'x' {
                tries.is_not_alone(answered, step == '!');
            }
        }
        (0..10).take_while(|&n| tries.are_over(answered, n + 1)).count() as u32
    }

    #[test]
    fn a_single_failure_while_others_get_through_is_a_try() {
        assert_eq!(counted(".x."), 1);
        assert_eq!(counted("..x...x..x."), 3);
    }

    #[test]
    fn nothing_is_counted_before_others_have_got_through_again() {
        assert_eq!(counted(".x"), 0);
        assert_eq!(counted(".x.x"), 1);
        assert_eq!(counted("x.x"), 0, "whether it worked before is not known");
    }

    #[test]
    fn a_short_outage_uses_none_up() {
        assert_eq!(counted(".xxxxx."), 0, "it was the only one that there was");
        assert_eq!(counted(".s."), 0, "it was one of a few");
        assert_eq!(counted(".xs."), 0);
    }

    #[test]
    fn one_that_fails_before_and_after_others_got_through_is_at_fault() {
        assert_eq!(counted(".xxx.xxx.xxx."), 2);
        assert_eq!(counted(".s.s.s."), 2);
    }

    #[test]
    fn an_outage_never_uses_any_up() {
        assert_eq!(counted(".!."), 0);
        assert_eq!(counted(".x.x!.x.!x.!."), 2);
        for (why, passing) in [
            (WHY, false),
            (RetryReason::Throttled, true),
            (RetryReason::Connect, true),
            (RetryReason::Unconfirmed, true),
        ] {
            let mut tries = Tries::default();
            tries.failed(why, 5, passing);
            assert!(!tries.are_over(6, 1), "{why:?}");
        }
    }

    #[test]
    fn it_is_known_to_fail_once_others_got_through_between() {
        let mut tries = Tries::default();
        let known = [1, 1, 2, 2, 3].map(|answered| tries.failed(WHY, answered, true));
        assert_eq!(known, [false, false, true, true, true]);
    }
}
