//! What Plausible got, and what has to be true of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    support::{
        as_long_as_it_moves,
        receiver::{Receiver, Reply},
    },
    survival::number,
};

use super::load::visitor_of;

/// The pages that Plausible recorded, by number, with the moment of each. Clones are the same ledger.
#[derive(Clone)]
pub(super) struct Ledger(Arc<Mutex<Vec<(usize, Instant)>>>);

/// An event that was recorded again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeat {
    pub(super) number: usize,
    pub(super) first: Instant,
    pub(super) again: Instant,
}

impl Ledger {
    /// Has the receiver accept everything from now on, and keeps of it no more than this.
    pub(super) fn of(plausible: &Receiver) -> Ledger {
        let ledger = Ledger(Arc::default());
        let recorded = ledger.clone();
        plausible.keep_nothing();
        plausible.script(move |event, _| {
            recorded.0.lock().unwrap().push((number(event), event.at));
            Reply::Accept
        });
        ledger
    }

    /// All of it, in order of arrival.
    pub(super) fn all(&self) -> Vec<(usize, Instant)> {
        self.0.lock().unwrap().clone()
    }

    /// How many events were recorded, repeats among them.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits until so many were recorded, as long as it takes while some are.
    #[track_caller]
    pub(super) fn await_len(&self, count: usize) {
        as_long_as_it_moves(&format!("{count} recorded events"), || match self.len() {
            enough if enough >= count => Ok(()),
            so_far => Err(so_far),
        });
    }

    /// How often each was recorded.
    pub(super) fn times(&self) -> HashMap<usize, usize> {
        let mut times = HashMap::new();
        for (number, _) in self.all() {
            *times.entry(number).or_default() += 1;
        }
        times
    }

    /// Each of these was recorded once, and nothing else was.
    #[track_caller]
    pub(super) fn assert_each_once(&self, numbers: impl IntoIterator<Item = usize>) {
        let once: HashMap<usize, usize> = numbers.into_iter().map(|number| (number, 1)).collect();
        let times = self.times();
        let wrong: Vec<_> = times
            .iter()
            .filter(|(number, times)| once.get(number) != Some(times))
            .collect();
        assert!(
            wrong.is_empty(),
            "recorded more often than once, or unknown: {wrong:?}"
        );
        let missing: Vec<_> = once.keys().filter(|number| !times.contains_key(number)).collect();
        assert!(
            missing.is_empty(),
            "{} of {} are missing: {missing:?}",
            missing.len(),
            once.len()
        );
    }

    /// Those that were recorded again.
    pub(super) fn repeats(&self) -> Vec<Repeat> {
        let mut last: HashMap<usize, Instant> = HashMap::new();
        let mut repeats = Vec::new();
        for (number, again) in self.all() {
            if let Some(first) = last.insert(number, again) {
                repeats.push(Repeat { number, first, again });
            }
        }
        repeats
    }

    /// How many came before an older one of their visitor, among those that were recorded once and that this asks
    /// for, and how many those were. A visitor's pages are shown in the order of their numbers.
    pub(super) fn disorder(&self, asked_for: impl Fn(usize) -> bool) -> (usize, usize) {
        let times = self.times();
        let mut newest: HashMap<usize, usize> = HashMap::new();
        let (mut wrong, mut all) = (0, 0);
        for (number, _) in self.all() {
            if times[&number] > 1 || !asked_for(number) {
                continue;
            }
            let newest = newest.entry(visitor_of(number)).or_default();
            wrong += usize::from(number < *newest);
            all += 1;
            *newest = (*newest).max(number);
        }
        (wrong, all)
    }

    /// The longest time between two events that came after this moment and before that one.
    pub(super) fn longest_pause(&self, from: Instant, to: Instant) -> Duration {
        let within = self
            .all()
            .into_iter()
            .map(|(_, at)| at)
            .filter(|at| (from..to).contains(at));
        let moments: Vec<Instant> = [from].into_iter().chain(within).chain([to]).collect();
        let pauses = moments
            .windows(2)
            .map(|pair| pair[1].saturating_duration_since(pair[0]));
        pauses.max().unwrap_or_default()
    }
}
