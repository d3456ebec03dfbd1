//! What is known of the script, and what that means for whoever asks for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::copy::ScriptCopy;

/// How long the first script is waited for, from the start of its fetch on.
const FIRST: Duration = Duration::from_secs(5);
/// How long a fresh one is waited for before the old one is served, from the start of the fetch on.
const FRESH: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct ScriptState {
    pub(super) copy: Option<Arc<ScriptCopy>>,
    pub(super) fresh_until: Instant,
    pub(super) fetch: Fetch,
}

/// The fetch under way, or the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    /// There was none, or it brought the script.
    None,
    /// Since then.
    Running(Instant),
    Failed {
        /// When the next one may begin.
        again: Instant,
        /// It failed for want of time.
        timed_out: bool,
    },
}

/// Why there is no script for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The fetch failed.
    Failed,
    /// It takes too long.
    TooLate,
}

/// What somebody gets who asks now.
#[derive(Debug, Clone)]
pub(super) enum Look {
    Copy(Arc<ScriptCopy>),
    Missing(Missing),
    /// A fetch may bring it until then.
    Wait(Instant),
}

impl ScriptState {
    pub(super) fn new(now: Instant) -> Self {
        ScriptState {
            copy: None,
            fresh_until: now,
            fetch: Fetch::None,
        }
    }

    /// Whether a fetch should begin, if somebody wants the script.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let fresh = self.copy.is_some() && now < self.fresh_until;
        !fresh
            && match self.fetch {
                Fetch::None => true,
                Fetch::Running(_) => false,
                Fetch::Failed { again, .. } => now >= again,
            }
    }

    /// What somebody gets who has asked at `asked`.
    pub(super) fn look(&self, asked: Instant, now: Instant) -> Look {
        let patience = if self.copy.is_some() { FRESH } else { FIRST };
        let until = match self.fetch {
            Fetch::Running(since) => since + patience,
            _ if self.is_due(now) => asked + patience,
            _ => now,
        };
        let is_fresh = now < self.fresh_until;
        match &self.copy {
            Some(copy) if is_fresh || now >= until => Look::Copy(Arc::clone(copy)),
            None if now >= until => Look::Missing(match self.fetch {
                Fetch::Failed { timed_out: false, .. } => Missing::Failed,
                _ => Missing::TooLate,
            }),
            _ => Look::Wait(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::delivery::Fetched;

    /// What is looked like after so many milliseconds, asked for at that moment: `copy`, a missing one's
    /// reason, or for how many milliseconds to wait.
    fn look(state: &ScriptState, start: Instant, after: u64) -> String {
        let now = start + Duration::from_millis(after);
        match state.look(now, now) {
            Look::Copy(_) => "copy".to_owned(),
            Look::Missing(why) => format!("{why:?}"),
            Look::Wait(until) => format!("{}", (until - now).as_millis()),
        }
    }

    fn copy() -> Option<Arc<ScriptCopy>> {
        let fetched = Fetched {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            body: Bytes::from_static(b"f()"),
            certificate: None,
        };
        ScriptCopy::of(&fetched).ok().map(Arc::new)
    }

    #[test]
    fn the_first_script_is_waited_for_and_its_failure_told_until_the_next_try() {
        let start = Instant::now();
        let mut state = ScriptState::new(start);
        assert_eq!(look(&state, start, 10), "5000");
        state.fetch = Fetch::Running(start);
        assert_eq!(look(&state, start, 2_000), "3000");
        assert_eq!(look(&state, start, 5_000), "TooLate");
        let again = start + Duration::from_secs(6);
        for (timed_out, missing) in [(false, "Failed"), (true, "TooLate")] {
            state.fetch = Fetch::Failed { again, timed_out };
            assert_eq!(look(&state, start, 5_500), missing);
            assert_eq!(look(&state, start, 6_000), "5000");
        }
    }

    #[test]
    fn an_old_script_is_served_where_a_fresh_one_does_not_come_soon() {
        let start = Instant::now();
        let mut state = ScriptState {
            copy: copy(),
            fresh_until: start + Duration::from_mins(1),
            fetch: Fetch::None,
        };
        assert_eq!(look(&state, start, 59_999), "copy");
        assert!(!state.is_due(start));
        assert_eq!(look(&state, start, 60_000), "1000");
        state.fetch = Fetch::Running(start + Duration::from_secs(61));
        assert_eq!(look(&state, start, 61_400), "600");
        assert_eq!(look(&state, start, 62_000), "copy");
        let again = start + Duration::from_secs(65);
        state.fetch = Fetch::Failed {
            again,
            timed_out: false,
        };
        assert_eq!(look(&state, start, 64_000), "copy");
        assert_eq!(look(&state, start, 65_000), "1000");
    }
}
