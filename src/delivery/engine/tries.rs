//! When an event that fails is held to be at fault itself, and has had its tries.
//!
//! A failure tells nothing for itself: it may be Plausible's trouble. What tells is who else got through. The failures of
//! an event between two successes of others are one run, and a run is one try, if
//!
//! - the breaker did not trip meanwhile, and none of the failures was a connection that was not made or a 429: an outage
//!   uses no tries up, and
//! - it is a single failure, nobody else failed beside it, and others had got through before it; or the event had failed in
//!   an earlier run. What happens to several at once, or goes on for a while, may have been a short outage.
//!
//! A run is judged once others have got through after it. So an event is tried `max_tries` times while others get through, and
//! as often as it takes while nobody does.

use crate::delivery::outcome::RetryReason;

/// How an event that failed has fared. [`Engine`](super::Engine) counts the events that got through, and gives the count.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Times that it was put off, whatever the reason: what the backoff goes by.
    pub(super) failures: u32,
    /// Why it failed the last time.
    pub(super) last: Option<RetryReason>,
    /// Runs that were its own fault.
    counted: u32,
    /// Failures since others last got through.
    run: u32,
    suspicion: Suspicion,
    /// Whether it failed in an earlier run.
    before: bool,
    /// How many got through up to its last failure.
    answered: u64,
}

/// How a run looks so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// Nobody else failed.
    #[default]
    Alone,
    /// Others failed too.
    Shared,
    /// The breaker has tripped, or what Plausible said is said of no single event.
    Outage,
}

impl Tries {
    /// An attempt failed, where `answered` events got through so far. Says whether others did since the last failure:
    /// then it is known that Plausible works.
    pub(super) fn failed(&mut self, reason: RetryReason, answered: u64, passing: bool) -> bool {
        self.judge(answered);
        let alone = self.before && self.run == 0;
        self.failures = self.failures.saturating_add(1);
        self.last = Some(reason);
        self.run += 1;
        self.answered = answered;
        let of_no_event = matches!(
            reason,
            RetryReason::Connect | RetryReason::Throttled | RetryReason::Misconfigured(_)
        );
        if !passing || of_no_event {
            self.suspicion = Suspicion::Outage;
        }
        alone
    }

    /// Others failed beside it since `answered` events got through; or, with `outage`, the breaker has tripped.
    pub(super) fn is_not_alone(&mut self, answered: u64, outage: bool) {
        if self.answered == answered && self.run > 0 && self.suspicion != Suspicion::Outage {
            self.suspicion = if outage {
                Suspicion::Outage
            } else {
                Suspicion::Shared
            };
        }
    }

    /// Whether it has had its tries, where `answered` events got through so far.
    pub(super) fn are_over(&mut self, answered: u64, max_tries: u32) -> bool {
        self.judge(answered);
        self.counted >= max_tries
    }

    /// Closes the run, if others got through since.
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

    /// The tries that are over after this: `.` others get through, `x` it fails, `s` it fails beside others, `!` it fails
    /// and the breaker trips.
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
        ] {
            let mut tries = Tries::default();
            tries.failed(why, 5, passing);
            assert!(!tries.are_over(6, 1), "{why:?}");
        }
    }

    #[test]
    fn it_is_known_to_fail_alone_once_others_got_through_between() {
        let mut tries = Tries::default();
        let alone = [1, 1, 2, 2, 3].map(|answered| tries.failed(WHY, answered, true));
        assert_eq!(alone, [false, false, true, false, true]);
    }
}
