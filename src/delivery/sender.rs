//! The senders: one task for each request that may be in flight, kept and used again.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use slab::Slab;
use tokio::task::spawn_local;

use super::{
    endpoint::Endpoint,
    lanes::Ticket,
    outcome::{Outcome, Trouble},
};
use crate::timer::Timer;

/// How long a sender without work keeps its connection: less than servers and what stands before them usually do.
const IDLE: Duration = Duration::from_secs(30);
/// So many senders are started without waiting: enough for the ends of their attempts to be written down together.
const EAGER: usize = 8;
/// How long events wait for a sender before more are started, at the least and at the most.
const GROWTH: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// One attempt to make.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ticket: Ticket,
    /// The event as the queue has it.
    pub(super) stored: Vec<u8>,
}

/// One attempt made.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) ticket: Ticket,
    /// The job's, to be used again.
    pub(super) stored: Vec<u8>,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    sender: usize,
    /// False if the sender ended with it: it panicked.
    alive: bool,
}

/// All senders, at most `concurrency` of them.
///
/// The one that rested last works next, so that a fast Plausible is served over few connections and the others close.
/// Beyond a few, more are started only once events have waited for a sender for about the time of one answer, and then at
/// most as many as there are: a Plausible that answers in a millisecond gets through a burst over the connections that it
/// has, a distant one has all of them after a few round trips.
pub(super) struct Senders {
    endpoint: Rc<Endpoint>,
    done: Rc<Letterbox>,
    slots: Slab<Rc<Slot>>,
    /// Those without work, the one that rested last at the back.
    idle: VecDeque<(usize, Instant)>,
    concurrency: usize,
    /// How many more may be started now.
    allowance: usize,
    /// Since when events have waited for a sender, or when more were allowed while they did.
    short_since: Option<Instant>,
    /// What answers take, as a moving average.
    answer: Option<Duration>,
}

impl Senders {
    pub(super) fn new(endpoint: Rc<Endpoint>, concurrency: usize) -> Self {
        Senders {
            endpoint,
            done: Rc::default(),
            slots: Slab::new(),
            idle: VecDeque::new(),
            concurrency,
            allowance: 0,
            short_since: None,
            answer: None,
        }
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.slots.len() - self.idle.len()
    }

    /// Whether as many are in flight as may be.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight() >= self.concurrency
    }

    /// Where the attempts made arrive.
    pub(super) fn letterbox(&self) -> Rc<Letterbox> {
        self.done.clone()
    }

    /// Whether another attempt may start now. To be asked when there is one to make.
    pub(super) fn ready(&mut self, now: Instant) -> bool {
        if !self.idle.is_empty() {
            return true;
        }
        if self.slots.len() >= self.concurrency {
            return false;
        }
        if self.endpoint.multiplexed() || self.slots.len() < EAGER {
            return true;
        }
        self.short_since.get_or_insert(now);
        if self.grows_at().is_some_and(|at| at <= now) {
            self.allowance = self.slots.len();
            self.short_since = Some(now);
        }
        self.allowance > 0
    }

    /// There is no attempt to make: events do not wait for senders.
    pub(super) fn idle(&mut self) {
        self.short_since = None;
        self.allowance = 0;
    }

    /// When more senders may be started, if events wait for one.
    pub(super) fn grows_at(&self) -> Option<Instant> {
        let period = self.answer.unwrap_or_default().clamp(GROWTH.0, GROWTH.1);
        self.short_since.map(|since| since + period)
    }

    /// Starts an attempt; [`Senders::ready`] has said that it may.
    pub(super) fn send(&mut self, job: Job) {
        let work = Work::Send(job);
        if let Some((sender, _)) = self.idle.pop_back() {
            self.slots[sender].give(work);
            return;
        }
        self.allowance = self.allowance.saturating_sub(1);
        let slot = Rc::new(Slot::default());
        slot.give(work);
        let sender = self.slots.insert(slot.clone());
        spawn_local(run(sender, slot, self.endpoint.clone(), self.done.clone()));
    }

    /// The sender of an attempt that ended has no work any more.
    pub(super) fn rest(&mut self, done: &Done, now: Instant) {
        self.answer = Some(
            self.answer
                .map_or(done.took, |answer| (answer * 7 + done.took) / 8),
        );
        if done.alive {
            self.idle.push_back((done.sender, now));
        } else {
            self.slots.remove(done.sender);
        }
    }

    /// Closes the connections that had no work for long.
    pub(super) fn close_idle(&mut self, now: Instant) {
        while let Some((sender, since)) = self.idle.front().copied()
            && now.saturating_duration_since(since) >= IDLE
        {
            self.idle.pop_front();
            self.slots.remove(sender).give(Work::Leave);
        }
        if self.slots.is_empty() {
            self.endpoint.hang_up();
        }
    }
}

/// One sender's whole life.
async fn run(sender: usize, slot: Rc<Slot>, endpoint: Rc<Endpoint>, letterbox: Rc<Letterbox>) {
    let (mut link, mut timer) = (None, Timer::new());
    while let Work::Send(job) = slot.take().await {
        let mut report = Report {
            letterbox: &letterbox,
            sender,
            job,
            begun: Instant::now(),
            outcome: Outcome::Retry(Trouble::Broken, None),
            alive: false,
        };
        let (stored, begun) = (&report.job.stored, report.begun);
        report.outcome = endpoint.attempt(&mut link, &mut timer, stored, begun).await;
        report.alive = true;
    }
}

/// Reports the attempt when it goes out of scope, so that every attempt is reported, even one that panics.
struct Report<'a> {
    letterbox: &'a Letterbox,
    sender: usize,
    job: Job,
    /// Read here and not where the job was given: in between a slow disk may have held up everything.
    begun: Instant,
    outcome: Outcome,
    alive: bool,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.letterbox.put(Done {
            ticket: self.job.ticket,
            stored: std::mem::take(&mut self.job.stored),
            outcome: self.outcome,
            took: self.begun.elapsed(),
            sender: self.sender,
            alive: self.alive,
        });
    }
}

/// What a sender is to do next.
#[derive(Debug)]
enum Work {
    Send(Job),
    Leave,
}

/// Where one sender gets its work.
#[derive(Default)]
struct Slot {
    work: Cell<Option<Work>>,
    waker: Cell<Option<Waker>>,
}

impl Slot {
    fn give(&self, work: Work) {
        self.work.set(Some(work));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn take(&self) -> Work {
        poll_fn(|cx| {
            if let Some(work) = self.work.take() {
                return Poll::Ready(work);
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// Where the attempts made wait to be looked at.
#[derive(Default)]
pub(super) struct Letterbox {
    done: RefCell<Vec<Done>>,
    waker: Cell<Option<Waker>>,
}

impl Letterbox {
    /// Waits until so many are there, one at the least.
    pub(super) async fn holds(&self, attempts: usize) {
        poll_fn(|cx| {
            if self.done.borrow().len() >= attempts.max(1) {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.borrow().is_empty()
    }

    /// Swaps all that is there with an empty list.
    pub(super) fn empty_into(&self, list: &mut Vec<Done>) {
        std::mem::swap(&mut *self.done.borrow_mut(), list);
    }

    fn put(&self, done: Done) {
        self.done.borrow_mut().push(done);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
