//! The senders: one task for each request in flight, kept for the next request.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use slab::Slab;
use tokio::{task::spawn_local, time::timeout};

use super::{
    lanes::Ticket,
    outcome::{Outcome, RetryReason},
    target::{Publication, Target},
};
use crate::timer::{SECOND_LOOK, Timer};

/// How long a sender without work keeps its connection. Servers and load balancers usually wait longer.
const IDLE: Duration = Duration::from_secs(30);
/// So many senders are started at once. That is enough for the ends of their attempts to be written down
/// together.
const EAGER: usize = 16;
/// So many answer times, and at least this long, make an attempt a slow one.
const SLOW: (u32, Duration) = (10, Duration::from_millis(500));
/// How long events wait for a sender before more senders are started: at least, and at most.
const GROWTH: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// An attempt to be made.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ticket: Ticket,
    /// The event as the queue stores it.
    pub(super) stored: Vec<u8>,
    /// What the stream has to know of it, if it goes there.
    pub(super) publication: Option<Publication>,
    /// Whether an earlier attempt got no answer in time. It has all of its time, and few places.
    pub(super) suspect: bool,
}

/// An attempt that ended.
#[derive(Debug)]
pub(super) struct FinishedAttempt {
    pub(super) ticket: Ticket,
    /// The attempt's buffer, for the next one.
    pub(super) stored: Vec<u8>,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    suspect: bool,
    sender: usize,
    /// False if the sender panicked, and has ended with the attempt.
    alive: bool,
}

/// All senders, at most `concurrency` of them.
///
/// The sender that became idle last works next. So a fast Plausible gets few connections, and the others
/// close.
///
/// [`EAGER`] senders start at once. More start only after events have waited for a sender for about the time
/// of one answer, and then at most twice as many as before. So a burst for a Plausible that answers in a
/// millisecond goes over the connections that are open, and a distant Plausible has `concurrency` connections
/// after a few round trips.
///
/// Events that Plausible is slow over must not take the places of all others. So while events wait and all
/// places are taken, slow attempts beyond half of the places are given up before their time; and events that
/// got no answer in time take a quarter of the places at most when they are sent again. Where Plausible is
/// slow over everything, nothing counts as slow.
pub(super) struct Senders {
    target: Rc<Target>,
    finished: Rc<FinishedAttempts>,
    mailboxes: Slab<Rc<Mailbox>>,
    /// Senders without work and since when, in the order in which they became idle.
    idle: VecDeque<(usize, Instant)>,
    concurrency: usize,
    /// How many more senders may be started now.
    allowance: usize,
    /// Since when events have waited for a sender; restarts when more senders are allowed.
    short_since: Option<Instant>,
    /// How long attempts take, as a moving average.
    answer: Option<Duration>,
    /// How long answers take that come, as a moving average.
    typical: Option<Duration>,
    /// Suspects in flight.
    suspects: usize,
    /// A buffer for [`Senders::list_begun`].
    begun: Vec<(Instant, usize)>,
}

impl Senders {
    pub(super) fn new(target: Rc<Target>, concurrency: usize) -> Self {
        Senders {
            target,
            finished: Rc::default(),
            mailboxes: Slab::new(),
            idle: VecDeque::new(),
            concurrency,
            allowance: 0,
            short_since: None,
            answer: None,
            typical: None,
            suspects: 0,
            begun: Vec::new(),
        }
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.mailboxes.len() - self.idle.len()
    }

    /// Requests in flight of events that are no suspects.
    pub(super) fn in_flight_unsuspected(&self) -> usize {
        self.in_flight() - self.suspects
    }

    /// Whether as many are in flight as may be.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight() >= self.concurrency
    }

    /// Whether an event that got no answer in time has to wait for a place.
    pub(super) fn is_full_of_suspects(&self) -> bool {
        self.suspects >= (self.concurrency / 4).max(1)
    }

    /// When the next attempt becomes one slow attempt too many, if events wait for a place.
    pub(super) fn gives_up_at(&mut self) -> Option<Instant> {
        let (places, limit) = (self.places_for_slow(), self.slow_after()?);
        self.list_begun();
        if self.begun.len() <= places {
            return None;
        }
        let (_, (begun, _), _) = self.begun.select_nth_unstable(places);
        Some(*begun + limit)
    }

    /// Gives up the oldest of the slow attempts that are too many. To be called if events wait for a place.
    pub(super) fn give_up_slow(&mut self, now: Instant) {
        let Some(limit) = self.slow_after() else { return };
        if self.gives_up_at().is_none_or(|at| at > now) {
            return;
        }
        self.begun.sort_unstable();
        let slow = self.begun.partition_point(|(begun, _)| *begun + limit <= now);
        let too_many = slow.saturating_sub(self.places_for_slow());
        for (_, sender) in &self.begun[..too_many] {
            self.mailboxes[*sender].give_up();
        }
    }

    fn places_for_slow(&self) -> usize {
        (self.concurrency / 2).max(1)
    }

    /// After how long an attempt is slow; `None` before the first answer. None is at the stream, which is slow
    /// over everything when it is: no event would be the faster for it, and what was given up may have arrived.
    fn slow_after(&self) -> Option<Duration> {
        if self.target.is_stream() {
            return None;
        }
        self.typical.map(|typical| (typical * SLOW.0).max(SLOW.1))
    }

    /// Lists the attempts that may be given up.
    fn list_begun(&mut self) {
        self.begun.clear();
        let attempts = self.mailboxes.iter();
        let begun = attempts.filter_map(|(sender, mailbox)| Some((mailbox.begun.get()?, sender)));
        self.begun.extend(begun);
    }

    /// Where finished attempts arrive.
    pub(super) fn finished(&self) -> Rc<FinishedAttempts> {
        self.finished.clone()
    }

    /// Whether another attempt may start now. To be called only if there is one to make.
    pub(super) fn ready(&mut self, now: Instant) -> bool {
        if !self.idle.is_empty() {
            return true;
        }
        if self.mailboxes.len() >= self.concurrency {
            return false;
        }
        if self.target.multiplexed() || self.mailboxes.len() < EAGER {
            return true;
        }
        self.short_since.get_or_insert(now);
        if self.grows_at().is_some_and(|at| at <= now) {
            self.allowance = self.mailboxes.len();
            self.short_since = Some(now);
        }
        self.allowance > 0
    }

    /// No event waits for a sender.
    pub(super) fn nothing_to_send(&mut self) {
        self.short_since = None;
        self.allowance = 0;
    }

    /// When more senders may be started, if events wait for one.
    pub(super) fn grows_at(&self) -> Option<Instant> {
        let period = self.answer.unwrap_or_default().clamp(GROWTH.0, GROWTH.1);
        self.short_since.map(|since| since + period)
    }

    /// Starts an attempt. To be called only if [`Senders::ready`] is true.
    pub(super) fn send(&mut self, attempt: Attempt, now: Instant) {
        self.suspects += usize::from(attempt.suspect);
        let begun = (!attempt.suspect).then_some(now);
        let order = SenderOrder::Send(attempt);
        if let Some((sender, _)) = self.idle.pop_back() {
            self.mailboxes[sender].begun.set(begun);
            self.mailboxes[sender].put(order);
            return;
        }
        self.allowance = self.allowance.saturating_sub(1);
        let mailbox = Rc::new(Mailbox::default());
        mailbox.begun.set(begun);
        mailbox.put(order);
        let sender = self.mailboxes.insert(mailbox.clone());
        spawn_local(run_sender(
            sender,
            mailbox,
            self.target.clone(),
            self.finished.clone(),
        ));
    }

    /// The sender of this attempt is free for another one.
    pub(super) fn release(&mut self, done: &FinishedAttempt, now: Instant) {
        self.answer = Some(
            self.answer
                .map_or(done.took, |answer| (answer * 7 + done.took) / 8),
        );
        if !matches!(done.outcome, Outcome::Retry(..) | Outcome::Unreadable) {
            let average = |typical: Duration| (typical * 7 + done.took) / 8;
            self.typical = Some(self.typical.map_or(done.took, average));
        }
        self.suspects -= usize::from(done.suspect);
        self.mailboxes[done.sender].begun.set(None);
        if done.alive {
            self.idle.push_back((done.sender, now));
        } else {
            self.mailboxes.remove(done.sender);
        }
    }

    /// Closes the connections that have been idle for long.
    pub(super) fn close_idle(&mut self, now: Instant) {
        while let Some((sender, since)) = self.idle.front().copied()
            && now.saturating_duration_since(since) >= IDLE
        {
            self.idle.pop_front();
            self.mailboxes.remove(sender).put(SenderOrder::Close);
        }
        if self.mailboxes.is_empty() {
            self.target.close_shared();
        }
    }
}

/// Makes attempts until it is told to close its connection.
async fn run_sender(sender: usize, mailbox: Rc<Mailbox>, target: Rc<Target>, finished: Rc<FinishedAttempts>) {
    let (mut link, mut timer) = (None, Timer::new());
    while let SenderOrder::Send(attempt) = mailbox.take().await {
        let mut report = AttemptReport {
            finished: &finished,
            sender,
            attempt,
            begun: Instant::now(),
            outcome: Outcome::Retry(RetryReason::Broken, None),
            alive: false,
        };
        let (stored, begun) = (&report.attempt.stored, report.begun);
        let publication = report.attempt.publication;
        mailbox.given_up.set(false);
        let outcome = {
            let mut attempt = pin!(target.attempt(&mut link, &mut timer, stored, publication, begun));
            match mailbox.unless_given_up(attempt.as_mut()).await {
                Some(outcome) => Some(outcome),
                // The answer may have arrived, unseen, while the process was held up.
                None => timeout(SECOND_LOOK, attempt).await.ok(),
            }
        };
        if outcome.is_none() {
            // The answer may yet come over it.
            link = None;
        }
        report.outcome = outcome.unwrap_or(Outcome::Retry(RetryReason::Timeout, None));
        report.alive = true;
    }
}

/// Reports the attempt when it is dropped. So an attempt that panics is reported too.
struct AttemptReport<'a> {
    finished: &'a FinishedAttempts,
    sender: usize,
    attempt: Attempt,
    /// Read by the sender, because a slow disk may delay it after the attempt was handed over.
    begun: Instant,
    outcome: Outcome,
    alive: bool,
}

impl Drop for AttemptReport<'_> {
    fn drop(&mut self) {
        self.finished.push(FinishedAttempt {
            ticket: self.attempt.ticket,
            stored: std::mem::take(&mut self.attempt.stored),
            suspect: self.attempt.suspect,
            outcome: self.outcome,
            took: self.begun.elapsed(),
            sender: self.sender,
            alive: self.alive,
        });
    }
}

/// What a sender does next.
#[derive(Debug)]
enum SenderOrder {
    Send(Attempt),
    Close,
}

/// Where one sender gets its orders: room for one.
#[derive(Default)]
struct Mailbox {
    order: Cell<Option<SenderOrder>>,
    waker: Cell<Option<Waker>>,
    /// When the attempt began that may be given up.
    begun: Cell<Option<Instant>>,
    /// Whether the attempt is to be given up.
    given_up: Cell<bool>,
}

impl Mailbox {
    fn put(&self, order: SenderOrder) {
        self.order.set(Some(order));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Has the sender give up its attempt.
    fn give_up(&self) {
        self.begun.set(None);
        self.given_up.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The attempt's outcome; `None` if it is given up first.
    async fn unless_given_up(&self, mut attempt: Pin<&mut impl Future<Output = Outcome>>) -> Option<Outcome> {
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = attempt.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            if self.given_up.take() {
                return Poll::Ready(None);
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    async fn take(&self) -> SenderOrder {
        poll_fn(|cx| {
            if let Some(order) = self.order.take() {
                return Poll::Ready(order);
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// Finished attempts that have yet to be settled.
#[derive(Default)]
pub(super) struct FinishedAttempts {
    list: RefCell<Vec<FinishedAttempt>>,
    waker: Cell<Option<Waker>>,
}

impl FinishedAttempts {
    /// Waits until there are so many attempts, at least one.
    pub(super) async fn reach(&self, attempts: usize) {
        poll_fn(|cx| {
            if self.list.borrow().len() >= attempts.max(1) {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Swaps the attempts with an empty list.
    pub(super) fn swap(&self, empty: &mut Vec<FinishedAttempt>) {
        std::mem::swap(&mut *self.list.borrow_mut(), empty);
    }

    fn push(&self, attempt: FinishedAttempt) {
        self.list.borrow_mut().push(attempt);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
