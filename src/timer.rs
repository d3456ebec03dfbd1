//! A deadline that is cheap to move.
//!
//! To arm the runtime's timer for an earlier moment than before costs a system call, and a timer made anew
//! for each wait is armed anew. So this one stays armed where it is for as long as that is early enough, and
//! looks at the deadline when it fires: moving the deadline further away is a store.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that fires so much too late was held up, as the whole process may have been (SIGSTOP).
const HELD_UP: Duration = Duration::from_millis(20);
/// What has arrived meanwhile is noticed and passed on within this time.
pub const SECOND_LOOK: Duration = Duration::from_millis(10);

/// One deadline, or none, that moves.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
    /// Whether work that was held up beyond the deadline has had a moment to finish.
    looked_again: bool,
}

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl Timer {
    /// A timer without a deadline. To be made on the runtime that it is used on.
    pub fn new() -> Self {
        Timer {
            sleep: Box::pin(sleep_until(Instant::now())),
            deadline: None,
            looked_again: false,
        }
    }

    /// Due at `deadline`.
    pub fn set(&mut self, deadline: impl Into<Instant>) {
        self.deadline = Some(deadline.into());
        self.looked_again = false;
    }

    /// Never due.
    pub fn clear(&mut self) {
        self.deadline = None;
    }

    /// Ready when the deadline has passed; never, where there is none.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Waits until `deadline`.
    pub async fn at(&mut self, deadline: impl Into<Instant>) {
        self.set(deadline);
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// Waits for `work`, no longer than until `deadline`.
    ///
    /// If the process or this thread was held up beyond the deadline, what `work` waits for may have come
    /// meanwhile, unseen. So `work` then gets a moment more.
    ///
    /// # Errors
    /// [`TimedOut`] where the deadline passed first.
    pub async fn within<F: Future>(
        &mut self,
        deadline: impl Into<Instant>,
        work: F,
    ) -> Result<F::Output, TimedOut> {
        self.set(deadline);
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.is_worth_a_second_look() && self.poll(cx).is_pending() {
                return Poll::Pending;
            }
            Poll::Ready(Err(TimedOut))
        })
        .await
    }

    /// Whether the deadline was met much too late, for the first time. Then it is moved a little.
    fn is_worth_a_second_look(&mut self) -> bool {
        let now = Instant::now();
        let held_up = self.deadline.is_some_and(|deadline| now >= deadline + HELD_UP);
        if !held_up || self.looked_again {
            return false;
        }
        self.looked_again = true;
        self.deadline = Some(now + SECOND_LOOK);
        true
    }
}

impl Default for Timer {
    fn default() -> Self {
        Timer::new()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_is_met_to_the_moment() {
        let start = Instant::now();
        let mut timer = Timer::new();
        timer.set(start + Duration::from_secs(10));
        timer.set(start + Duration::from_secs(5));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        timer.at(start + Duration::from_secs(6)).await;
        assert_eq!(start.elapsed().as_secs(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cleared_deadline_never_fires() {
        let mut timer = Timer::new();
        timer.set(Instant::now() + Duration::from_secs(1));
        timer.clear();
        let fired = tokio::time::timeout(Duration::from_secs(100), poll_fn(|cx| timer.poll(cx))).await;
        assert!(fired.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_was_held_up_beyond_the_deadline_gets_a_moment_more() {
        let (mut timer, start) = (Timer::new(), Instant::now());
        let deadline = start + Duration::from_secs(1);
        tokio::time::advance(Duration::from_mins(1)).await;
        let soon = tokio::time::sleep(SECOND_LOOK / 2);
        assert_eq!(timer.within(deadline, soon).await, Ok(()));
        assert_eq!(timer.within(deadline, pending::<()>()).await, Err(TimedOut));
        assert_eq!(
            Instant::now(),
            start + Duration::from_mins(1) + SECOND_LOOK * 3 / 2
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_nearer_than_the_one_before_it_is_met() {
        let mut timer = Timer::new();
        let start = Instant::now();
        let far = start + Duration::from_mins(1);
        assert_eq!(timer.within(far, async { 7 }).await, Ok(7));
        let armed = timer.within(far, async { tokio::task::yield_now().await });
        assert_eq!(armed.await, Ok(()), "the timer is armed for later now");
        let near = start + Duration::from_millis(15);
        assert_eq!(timer.within(near, pending::<()>()).await, Err(TimedOut));
        assert_eq!(start.elapsed(), Duration::from_millis(15));
    }
}
