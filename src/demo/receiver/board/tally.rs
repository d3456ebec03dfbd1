//! Counts by name, with a bounded number of names.

use std::collections::HashMap;

/// Further names are counted as [`OTHERS`].
pub(super) const MAX_NAMES: usize = 1_000;
pub(super) const OTHERS: &str = "(others)";

/// See the module.
#[derive(Default)]
pub(super) struct Tally(HashMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, name: &str) {
        let has_room = self.0.len() < MAX_NAMES;
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None if has_room => {
                self.0.insert(name.to_owned(), 1);
            }
            None => *self.0.entry(OTHERS.to_owned()).or_default() += 1,
        }
    }

    /// The names with the highest counts. Equal counts are ordered by name, so that the order is stable.
    pub(super) fn top(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(most);
        all
    }
}
