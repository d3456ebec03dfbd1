//! How fast a request's body comes.

use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::settings::Settings;

/// A client may pause for `body_timeout`, and has to send `min_rate` on average. Only the time in which we
/// wait for it counts: where the app is slow to take the body, that is no fault of the client's.
#[derive(Debug, Default)]
pub(super) struct BodyPace {
    bytes: u64,
    waited: Duration,
    /// Since when we have been waiting for the client.
    since: Option<Instant>,
}

impl BodyPace {
    /// We wait for the client: until when.
    pub(super) fn wait(&mut self, settings: &Settings, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        let owed = self
            .bytes
            .checked_div(settings.min_rate)
            .map_or(Duration::MAX, Duration::from_secs);
        let allowance = settings.body_timeout.saturating_add(owed);
        since + settings.body_timeout.min(allowance.saturating_sub(self.waited))
    }

    /// We don't wait for the client any more.
    pub(super) fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// So many bytes came.
    pub(super) fn received(&mut self, bytes: usize) {
        self.stop();
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::{settings::Upstream, tests::worker};

    fn left(pace: &mut BodyPace, min_rate: u64) -> Duration {
        let settings = Settings {
            body_timeout: Duration::from_secs(30),
            min_rate,
            ..worker::settings(Upstream::Unix("/nowhere".into()))
        };
        let now = Instant::now();
        pace.wait(&settings, now) - now
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_ends_by_its_rate_and_one_that_flows_may_pause_each_time() {
        let (mut drip, mut flow, mut any) = (BodyPace::default(), BodyPace::default(), BodyPace::default());
        for _ in 0..5 {
            for (pace, rate, bytes) in [(&mut drip, 1024, 1), (&mut flow, 1024, 10_240), (&mut any, 0, 1)] {
                left(pace, rate);
                tokio::time::advance(Duration::from_secs(2)).await;
                pace.received(bytes);
            }
        }
        assert_eq!(left(&mut drip, 1024), Duration::from_secs(20));
        assert_eq!(left(&mut flow, 1024), Duration::from_secs(30));
        assert_eq!(left(&mut any, 0), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_app_is_waited_for_does_not_count() {
        let mut pace = BodyPace::default();
        left(&mut pace, 1024);
        tokio::time::advance(Duration::from_secs(3)).await;
        pace.received(1);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(left(&mut pace, 1024), Duration::from_secs(27));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(left(&mut pace, 1024), Duration::from_secs(22), "the wait goes on");
    }
}
