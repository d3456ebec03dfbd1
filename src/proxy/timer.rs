//! A connection's deadline, cheap to move.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// One deadline that moves with every request. The runtime's timer is armed at most one `tick` ahead and looks at the
/// deadline when it fires; as no deadline is set closer than a tick, moving it is a store.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
    tick: Duration,
}

impl Timer {
    /// A timer without a deadline. `tick` is the shortest duration that [`Timer::set`] will see.
    pub(super) fn new(tick: Duration, now: Instant) -> Self {
        Timer {
            sleep: Box::pin(sleep_until(now + tick)),
            deadline: None,
            tick,
        }
    }

    /// Due at `now + after`.
    pub(super) fn set(&mut self, now: Instant, after: Duration) {
        debug_assert!(
            after >= self.tick,
            "a deadline closer than the tick would be late"
        );
        self.deadline = Some(now + after);
    }

    /// Never due.
    pub(super) fn clear(&mut self) {
        self.deadline = None;
    }

    /// Ready when the deadline has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.deadline.is_some_and(|d| d <= now) {
                // Armed again, so that whoever polls on after a time-out does not poll a finished sleep.
                self.sleep.as_mut().reset(now + self.tick);
                return Poll::Ready(());
            }
            let next = now + self.tick;
            self.sleep
                .as_mut()
                .reset(self.deadline.map_or(next, |d| d.min(next)));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_moved_deadline_is_met_and_never_late() {
        let start = Instant::now();
        let mut timer = Timer::new(Duration::from_secs(1), start);
        timer.set(start, Duration::from_secs(10));
        timer.set(start + Duration::from_secs(3), Duration::from_secs(2));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        timer.set(Instant::now(), Duration::from_secs(1));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cleared_deadline_never_fires() {
        let mut timer = Timer::new(Duration::from_secs(1), Instant::now());
        timer.set(Instant::now(), Duration::from_secs(1));
        timer.clear();
        let fired = tokio::time::timeout(Duration::from_secs(100), poll_fn(|cx| timer.poll(cx))).await;
        assert!(fired.is_err());
    }
}
