//! A deadline that is cheap to move.
//!
//! To arm the runtime's timer for an earlier moment than before costs a system call, and a timer made anew for each wait
//! is armed anew. So this one stays armed where it is for as long as that is early enough, and looks at the deadline when
//! it fires: moving the deadline further away is a store.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// One deadline, or none, that moves.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
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
        }
    }

    /// Due at `deadline`.
    pub fn set(&mut self, deadline: impl Into<Instant>) {
        self.deadline = Some(deadline.into());
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
            self.poll(cx).map(|()| Err(TimedOut))
        })
        .await
    }
}

impl Default for Timer {
    fn default() -> Self {
        Timer::new()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

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
