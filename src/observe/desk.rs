//! Where observed requests are decided, whoever saw them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    observed::{Counted, Observed, decide},
    rules::ObserveRules,
    settings::LineFormat,
    tally::{LineResult, Tally},
};
use crate::{
    clock::Clock,
    delivery::{Draft, Hold, Outbox, Source},
    event::Sighting,
    page::Twins,
};

/// What all observers share.
#[derive(Debug)]
pub(super) struct Desk {
    rules: Mutex<Arc<ObserveRules>>,
    counted: Counted,
    pub(super) tally: Tally,
    clock: Clock,
}

impl Desk {
    pub(super) fn new(rules: ObserveRules, twins: Option<Arc<Twins>>, tally: Tally, clock: Clock) -> Self {
        Desk {
            rules: Mutex::new(Arc::new(rules)),
            counted: Counted {
                twins,
                ..Counted::default()
            },
            tally,
            clock,
        }
    }

    /// The rules of this moment.
    pub(super) fn rules(&self) -> Arc<ObserveRules> {
        Arc::clone(&lock(&self.rules))
    }

    pub(super) fn reload(&self, rules: ObserveRules) {
        *lock(&self.rules) = Arc::new(rules);
    }

    /// Decides a request that was made at `at`, or now, and gives its event to `take`, if it has one. `take`
    /// says whether the event was taken. If anything about it panics, the request is not counted.
    pub(super) fn decide(
        &self,
        rules: &ObserveRules,
        seen: &Observed<'_>,
        at: Option<u64>,
        take: impl FnOnce(&Sighting<'_>, Option<Hold>) -> bool,
    ) {
        let now = self.clock.millis();
        // A clock that is ahead of this one makes no event that is younger than now.
        let at = at.map_or(now, |at| at.min(now));
        // The panic was logged where it happened.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            decide(rules, &self.counted, seen, at, |decided| {
                let taken = decided
                    .sighting
                    .as_ref()
                    .is_some_and(|sighting| take(sighting, decided.hold));
                // What is held is decided about when that ends.
                if decided.hold.is_none() || !taken {
                    self.tally.note(seen, decided);
                }
            });
        }));
    }

    /// Reads a line and decides what it tells of, as [`decide`](Self::decide) does.
    pub(super) fn read_line(
        &self,
        rules: &ObserveRules,
        format: LineFormat,
        line: &[u8],
        take: impl FnOnce(&Sighting<'_>, Option<Hold>) -> bool,
    ) {
        let text = String::from_utf8_lossy(line);
        let parsed = catch_unwind(|| format.parse(&text));
        let Ok(Some(parsed)) = parsed else {
            return self.tally.line(LineResult::Malformed);
        };
        self.tally.line(LineResult::Decided);
        parsed.observed(|seen| self.decide(rules, seen, parsed.time(), take));
    }
}

/// Where an observer that can't read again offers its events.
#[derive(Debug)]
pub(super) struct Counter {
    desk: Arc<Desk>,
    offers: Mutex<(Outbox, Draft)>,
}

impl Counter {
    pub(super) fn new(desk: Arc<Desk>, outbox: Outbox) -> Self {
        Counter {
            desk,
            offers: Mutex::new((outbox, Draft::default())),
        }
    }

    pub(super) fn rules(&self) -> Arc<ObserveRules> {
        self.desk.rules()
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.desk.tally
    }

    /// Decides a request, and offers its event if it has one.
    pub(super) fn count(&self, seen: &Observed<'_>) {
        self.desk.decide(&self.rules(), seen, None, |sighting, hold| {
            self.offer(sighting, hold)
        });
    }

    /// Reads a line, and offers its event if it has one.
    pub(super) fn count_line(&self, format: LineFormat, line: &[u8]) {
        self.desk
            .read_line(&self.rules(), format, line, |sighting, hold| {
                self.offer(sighting, hold)
            });
    }

    fn offer(&self, sighting: &Sighting<'_>, hold: Option<Hold>) -> bool {
        let order = self.desk.clock.nanos_at(Instant::now());
        let (outbox, draft) = &mut *lock(&self.offers);
        draft.write(sighting);
        match hold {
            None => {
                outbox.offer(Source::Observe, draft, order, sighting.at_ms);
                true
            }
            Some(hold) => outbox.offer_held(Source::Observe, draft, &hold, order, sighting.at_ms),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No update is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
