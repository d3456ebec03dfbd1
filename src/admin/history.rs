//! The last hour of decisions, by minute, for the chart of the live page. It is made of samples of the
//! counters, which somebody takes every few seconds; its size is fixed.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use super::{
    status::DecisionCounts,
    words::{self, Group},
};

/// Minutes kept.
pub(super) const MINUTES: usize = 60;

/// Decisions of one minute by [`Group::CHARTED`].
pub(super) type Column = [u64; Group::CHARTED.len()];

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    /// The newest last.
    columns: VecDeque<Column>,
    /// The newest column's minute since 1970; `None` before the first sample.
    minute: Option<u64>,
    /// All decisions at the last sample.
    total: Column,
}

impl History {
    pub(super) fn new() -> Self {
        History {
            columns: VecDeque::from(vec![Column::default(); MINUTES]),
            minute: None,
            total: Column::default(),
        }
    }

    /// Takes a sample. What was decided since the one before it belongs to the minute of `now`.
    pub(super) fn sample(&mut self, now: SystemTime, counts: &DecisionCounts) {
        let total = by_group(counts);
        self.advance(minute_of(now));
        if let Some(newest) = self.columns.back_mut() {
            for (column, (total, before)) in newest.iter_mut().zip(total.iter().zip(self.total)) {
                *column += total.saturating_sub(before);
            }
        }
        self.total = total;
    }

    /// The last hour, the newest minute last, and when that one began.
    pub(super) fn columns(&self) -> (Vec<Column>, SystemTime) {
        let newest = Duration::from_secs(self.minute.unwrap_or(0) * 60);
        (
            self.columns.iter().copied().collect(),
            SystemTime::UNIX_EPOCH + newest,
        )
    }

    /// Makes `minute` the newest. A clock that was set back goes on with the newest that there is.
    fn advance(&mut self, minute: u64) {
        let before = self.minute.unwrap_or(minute);
        let passed = usize::try_from(minute.saturating_sub(before)).unwrap_or(MINUTES);
        for _ in 0..passed.min(MINUTES) {
            self.columns.pop_front();
            self.columns.push_back(Column::default());
        }
        self.minute = Some(minute.max(before));
    }
}

fn minute_of(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 60)
}

fn by_group(counts: &DecisionCounts) -> Column {
    Group::CHARTED.map(|group| {
        let of_group = counts
            .0
            .iter()
            .filter(|(decision, _)| words::of_decision(decision.label()).group == group);
        of_group.map(|(_, count)| count).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Decision;

    fn at(minute: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(minute * 60 + 30)
    }

    fn counts(counted: u64, bots: u64) -> DecisionCounts {
        DecisionCounts(vec![
            (Decision::Counted, counted),
            (Decision::Bot, bots),
            (Decision::NotPage, 1_000),
        ])
    }

    #[test]
    fn decisions_belong_to_the_minute_of_their_sample() {
        let mut history = History::new();
        history.sample(at(100), &counts(2, 0));
        history.sample(at(100), &counts(3, 1));
        history.sample(at(103), &counts(3, 5));
        let (columns, newest) = history.columns();
        assert_eq!(newest, SystemTime::UNIX_EPOCH + Duration::from_mins(103));
        assert_eq!(columns.len(), MINUTES);
        assert_eq!(columns[MINUTES - 4], [3, 0, 1, 0]);
        assert_eq!(columns[MINUTES - 1], [0, 0, 4, 0]);
        assert_eq!(columns.iter().flatten().sum::<u64>(), 8);
    }

    #[test]
    fn an_hour_later_all_is_gone_and_a_clock_set_back_loses_nothing() {
        let mut history = History::new();
        history.sample(at(1_000), &counts(7, 0));
        history.sample(at(500), &counts(9, 0));
        assert_eq!(history.columns().0[MINUTES - 1], [9, 0, 0, 0]);
        history.sample(at(1_059), &counts(9, 0));
        assert_eq!(history.columns().0[0], [9, 0, 0, 0]);
        history.sample(at(9_000_000), &counts(9, 0));
        assert_eq!(history.columns().0, vec![Column::default(); MINUTES]);
    }
}
