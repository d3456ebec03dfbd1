//! Lines that could come thousands of times a second.

use std::time::{Duration, Instant};

/// The least time between two lines of one kind.
const REST: Duration = Duration::from_secs(10);

/// Lets one line of a kind through in ten seconds.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    last: Option<Instant>,
    unsaid: u64,
}

impl Quiet {
    /// Whether a line may be written now; if so, for how many occurrences it stands.
    pub(super) fn speak(&mut self, now: Instant, occurrences: u64) -> Option<u64> {
        self.unsaid += occurrences;
        if self.unsaid == 0
            || self
                .last
                .is_some_and(|last| now.saturating_duration_since(last) < REST)
        {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_all_that_were_not_said() {
        let mut quiet = Quiet::default();
        let start = Instant::now();
        assert_eq!(quiet.speak(start, 0), None);
        assert_eq!(quiet.speak(start, 2), Some(2));
        assert_eq!(quiet.speak(start + Duration::from_secs(1), 3), None);
        assert_eq!(quiet.speak(start + Duration::from_secs(9), 4), None);
        assert_eq!(quiet.speak(start + Duration::from_secs(10), 1), Some(8));
    }
}
