//! A wait with a limit that costs nothing while the limit moves on.
//!
//! To arm the runtime's timer earlier than it was costs a system call, and a timer made anew for each wait is armed anew.
//! So this one stays armed where it is for as long as that is early enough, and looks at the limit when it fires.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::{Sleep, sleep_until};

/// See the module.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
}

/// The time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedOut;

impl Timer {
    /// To be made on the runtime that it is used on.
    pub(super) fn new() -> Self {
        Timer {
            sleep: Box::pin(sleep_until(Instant::now().into())),
        }
    }

    /// Waits until `limit`.
    pub(super) async fn at(&mut self, limit: Instant) {
        poll_fn(|cx| self.poll(cx, limit)).await;
    }

    /// Waits for `work`, no longer than until `limit`.
    pub(super) async fn within<F: Future>(&mut self, limit: Instant, work: F) -> Result<F::Output, TimedOut> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            self.poll(cx, limit).map(|()| Err(TimedOut))
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>, limit: Instant) -> Poll<()> {
        if self.sleep.deadline().into_std() > limit {
            self.sleep.as_mut().reset(limit.into());
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= limit {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(limit.into());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::*;

    const SHORT: Duration = Duration::from_millis(15);
    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_limit_that_moves_is_met_and_never_early() {
        let mut timer = Timer::new();
        for wait in [SHORT * 2, SHORT, SHORT * 3] {
            let begun = Instant::now();
            timer.at(begun + wait).await;
            assert!(begun.elapsed() >= wait, "{wait:?}");
        }
    }

    #[tokio::test]
    async fn a_limit_nearer_than_the_one_before_it_is_met() {
        let mut timer = Timer::new();
        let begun = Instant::now();
        assert_eq!(timer.within(begun + LONG, async { 7 }).await, Ok(7));
        assert_eq!(
            timer
                .within(begun + LONG, async { tokio::task::yield_now().await })
                .await,
            Ok(()),
            "the timer is armed for later now"
        );
        assert_eq!(timer.within(begun + SHORT, pending::<()>()).await, Err(TimedOut));
        let took = begun.elapsed();
        assert!(took >= SHORT && took < LONG / 2, "{took:?}");
    }
}
