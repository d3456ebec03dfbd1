//! The throttle that keeps a repeated log line from flooding the log.

use std::time::{Duration, Instant};

/// Limits how often a log line is written. A line that is written says how many occurrences it stands for.
#[derive(Debug)]
pub struct LogThrottle {
    lines: u32,
    span: Duration,
    /// When the current span began.
    began: Option<Instant>,
    /// Lines written in the current span.
    written: u32,
    /// Occurrences since the last line.
    suppressed: u64,
}

impl LogThrottle {
    /// At most `lines` lines in each `span`.
    pub const fn new(lines: u32, span: Duration) -> Self {
        LogThrottle {
            lines,
            span,
            began: None,
            written: 0,
            suppressed: 0,
        }
    }

    /// Adds occurrences. If a line may be written now, returns how many occurrences it stands for, including
    /// those that were suppressed before it.
    pub fn pass(&mut self, now: Instant, occurrences: u64) -> Option<u64> {
        self.suppressed += occurrences;
        if self
            .began
            .is_none_or(|began| now.saturating_duration_since(began) >= self.span)
        {
            self.written = 0;
        }
        if self.suppressed == 0 || self.written == self.lines {
            return None;
        }
        if self.written == 0 {
            self.began = Some(now);
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_all_occurrences_since_the_line_before_it() {
        let mut throttle = LogThrottle::new(1, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttle.pass(start, 0), None);
        assert_eq!(throttle.pass(start, 2), Some(2));
        assert_eq!(throttle.pass(at(1), 3), None);
        assert_eq!(throttle.pass(at(9), 4), None);
        assert_eq!(throttle.pass(at(10), 1), Some(8));
    }

    #[test]
    fn several_lines_pass_in_one_span() {
        let mut throttle = LogThrottle::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let passed = [0, 100, 200, 999, 1_000, 1_100, 1_200]
            .map(|ms| throttle.pass(start + Duration::from_millis(ms), 1));
        assert_eq!(passed, [Some(1), Some(1), None, None, Some(3), Some(1), None]);
    }
}
