//! How long to wait after the nth failure.

use std::time::Duration;

/// Exponential backoff with full jitter: the nth failure in a row waits a random time between nothing and
/// `initial · 2ⁿ⁻¹`, but at most `max`. Full jitter spreads the retries of events that failed together.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Backoff {
    /// The longest wait after the first failure, and the longest at all.
    pub fn new(initial: Duration, max: Duration) -> Self {
        Backoff { initial, max }
    }

    /// The longest that may be waited after the `failures`th failure in a row; 0 counts as 1.
    pub(super) fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }

    /// The wait after the `failures`th failure in a row, where `random` is drawn evenly from 0 to 1.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        self.ceiling(failures).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_millis(500), Duration::from_mins(1))
    }

    #[test]
    fn ceiling_doubles_up_to_the_longest() {
        let ceilings: Vec<u64> = (0..10).map(|n| backoff().ceiling(n).as_millis() as u64).collect();
        assert_eq!(
            ceilings,
            [
                500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000
            ]
        );
        assert_eq!(backoff().ceiling(u32::MAX), Duration::from_mins(1));
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(backoff().delay(3, 0.0), Duration::ZERO);
        assert_eq!(backoff().delay(3, 0.5), Duration::from_secs(1));
        assert_eq!(backoff().delay(3, 1.0), Duration::from_secs(2));
        let mean: f64 = (0..1_000)
            .map(|_| backoff().delay(3, fastrand::f64()).as_secs_f64())
            .sum::<f64>()
            / 1_000.0;
        assert!((0.8..1.2).contains(&mean), "mean of the third delay: {mean} s");
    }
}
