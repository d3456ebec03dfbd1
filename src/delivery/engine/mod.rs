//! The delivery thread's loop. All state is this thread's own, so nothing here is locked.
//!
//! A pass settles the attempts that ended, takes in what was offered, looks after the queue, writes the ends down, and
//! only then starts further attempts: whatever kills the process, no more is sent twice than was in flight.

mod settle;
mod tries;
mod upkeep;
mod wait;

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    account::End,
    backoff::Backoff,
    breaker::Breaker,
    endpoint::Endpoint,
    intake::Intake,
    lanes::{Lanes, Ticket},
    lent::Lent,
    metrics::Metrics,
    sender::{Done, Job, Letterbox, Senders},
    settings::Settings,
    status::Shared,
};
use tries::Tries;

use crate::{
    event::EventRules,
    queue::{Batch, Queue, ReadError},
    telemetry::LogThrottle,
    timer::Timer,
};

/// Events that may end unsent in one pass, so that a long row of late ones does not hold up the rest.
const ENDS_PER_PASS: usize = 10_000;
/// What a buffer for an event keeps between two, in bytes.
const KEPT: usize = 4_096;

/// What the delivery thread is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Make events by these rules from now on.
    Reload(Box<EventRules>),
    /// Take in what was offered, and end.
    Stop {
        /// By then.
        deadline: Instant,
    },
    #[cfg(test)]
    Panic,
}

/// What outlives an engine that panicked.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) intake: Intake,
    pub(super) rules: EventRules,
    /// Events that came from the queue's recovery and not from the intake.
    pub(super) adopted: u64,
    /// Events that this thread ended.
    pub(super) ended: u64,
}

impl Kept {
    /// Events that are with this thread: taken over and not ended.
    pub(super) fn pending(&self) -> u64 {
        self.intake.collected() + self.adopted - self.ended
    }
}

/// See the module.
pub(super) struct Engine {
    settings: Settings,
    shared: Arc<Shared>,
    metrics: Metrics,
    kept: Lent<Kept>,
    queue: Lent<Queue>,
    endpoint: Rc<Endpoint>,
    lanes: Lanes,
    breaker: Breaker,
    backoff: Backoff,
    /// In milliseconds.
    max_age: u64,
    senders: Senders,
    letterbox: Rc<Letterbox>,
    batch: Batch,
    done: Vec<Done>,
    /// Buffers for events to be read into; never more than there were in flight.
    spare: Vec<Vec<u8>>,
    /// Of events that failed and have not ended.
    tries: HashMap<Ticket, Tries>,
    /// Events that ended by an answer of Plausible's.
    answered: u64,
    /// Whether an event ended since the queue wrote the ends down.
    ends: bool,
    /// Whether a pass left work that nothing will wake it for.
    hurry: bool,
    timing: upkeep::Timing,
    timer: Timer,
    /// For the moment that an end waits for others.
    moment: Timer,
    state: &'static str,
    log: Throttles,
    /// Whether the log's last word on the breaker is that it tripped.
    said_tripped: bool,
}

/// The throttles of what may be logged over and over, by kind.
#[derive(Debug)]
struct Throttles {
    breaker: LogThrottle,
    rejected: LogThrottle,
    gone: LogThrottle,
    overflow: LogThrottle,
    broken_events: LogThrottle,
}

impl Default for Throttles {
    fn default() -> Self {
        let one_in_ten_seconds = || LogThrottle::new(1, Duration::from_secs(10));
        Throttles {
            breaker: one_in_ten_seconds(),
            rejected: one_in_ten_seconds(),
            gone: one_in_ten_seconds(),
            overflow: one_in_ten_seconds(),
            broken_events: one_in_ten_seconds(),
        }
    }
}

/// What an engine works with.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Metrics,
    pub(super) kept: Lent<Kept>,
    pub(super) queue: Lent<Queue>,
    pub(super) endpoint: Endpoint,
}

impl Engine {
    /// To be made on the runtime that it runs on.
    pub(super) fn new(parts: Parts) -> Self {
        let endpoint = Rc::new(parts.endpoint);
        let backoff = Backoff::new(parts.settings.retry_initial, parts.settings.retry_max);
        let senders = Senders::new(endpoint.clone(), parts.settings.concurrency.max(1));
        Engine {
            shared: parts.shared,
            metrics: parts.metrics,
            kept: parts.kept,
            queue: parts.queue,
            endpoint,
            lanes: Lanes::new(fastrand::u64(..)),
            breaker: Breaker::new(backoff),
            backoff,
            max_age: u64::try_from(parts.settings.max_age.as_millis()).unwrap_or(u64::MAX),
            settings: parts.settings,
            letterbox: senders.letterbox(),
            senders,
            batch: Batch::default(),
            done: Vec::new(),
            spare: Vec::new(),
            tries: HashMap::new(),
            answered: 0,
            ends: false,
            hurry: false,
            timing: upkeep::Timing::new(Instant::now()),
            timer: Timer::new(),
            moment: Timer::new(),
            state: "",
            log: Throttles::default(),
            said_tripped: false,
        }
    }

    /// Works until it is told to stop. `again`: an engine before this one panicked.
    pub(super) async fn run(mut self, again: bool, mut commands: Lent<UnboundedReceiver<Command>>) {
        self.recover(!again);
        loop {
            self.pass(true);
            match self.wait(&mut commands).await {
                None => {}
                Some(Command::Reload(rules)) => self.kept.rules = *rules,
                Some(Command::Stop { deadline }) => return self.stop(deadline).await,
                #[cfg(test)]
                Some(Command::Panic) => panic!("told to"),
            }
        }
    }

    fn pass(&mut self, send: bool) {
        let instant = Instant::now();
        let now = self.shared.clock.millis_at(instant);
        self.hurry = false;
        self.settle(instant, now);
        self.take_in(instant, now);
        self.look_after(instant, now);
        if std::mem::take(&mut self.ends) {
            self.queue.flush();
        }
        if send {
            self.dispatch(instant, now);
        }
        self.publish();
        debug_assert_eq!(
            (self.lanes.len() + self.kept.intake.held()) as u64,
            self.kept.pending(),
            "every event ends once"
        );
    }

    /// Starts as many attempts as may be under way.
    fn dispatch(&mut self, instant: Instant, now: u64) {
        if self.breaker.is_passing() {
            self.lanes.admit(now);
        }
        let mut ends_left = ENDS_PER_PASS;
        while self.breaker.allows(now) {
            if !self.lanes.ready() && !self.breaker.is_passing() {
                // A probe is made with an event that has not just failed, if there is one.
                self.lanes.admit(now);
            }
            if !self.lanes.ready() {
                self.senders.idle();
                break;
            }
            if !self.senders.ready(instant) {
                break;
            }
            let Some(ticket) = self.lanes.take() else { break };
            if let Some(stored) = self.load(ticket, now) {
                self.breaker.sent(ticket);
                self.senders.send(Job { ticket, stored });
                continue;
            }
            ends_left -= 1;
            if ends_left == 0 {
                self.hurry = true;
                break;
            }
        }
    }

    /// Reads an event that was taken. If it is not to be sent, it is ended, or put off, and there is nothing.
    fn load(&mut self, ticket: Ticket, now: u64) -> Option<Vec<u8>> {
        let facts = self.lanes.facts(ticket)?;
        if self.is_late(facts.at, now) {
            self.end(ticket, End::Expired);
            return None;
        }
        if self.has_had_its_tries(ticket) {
            self.give_up(ticket, Instant::now());
            return None;
        }
        let mut stored = self.spare.pop().unwrap_or_default();
        stored.shrink_to(KEPT);
        match self.queue.read(facts.position, &mut stored) {
            Ok(()) => return Some(stored),
            Err(ReadError::Corrupt) => self.end(ticket, End::Corrupt),
            Err(ReadError::Gone) => self.end(ticket, End::Evicted),
            Err(ReadError::Io { .. }) => {
                let tries = self.tries.entry(ticket).or_default();
                tries.failures += 1;
                let wait = self.backoff.delay(tries.failures, fastrand::f64());
                self.lanes.wait(ticket, now + 1 + wait.as_millis() as u64);
            }
        }
        self.spare.push(stored);
        None
    }

    /// Ends an event that was taken.
    fn end(&mut self, ticket: Ticket, end: End) {
        let Some(facts) = self.lanes.facts(ticket) else {
            debug_assert!(false, "an event ends once");
            return;
        };
        self.lanes.end(ticket);
        // Nearly always there are none, and that is quicker to see than that this one is not among them.
        if !self.tries.is_empty() {
            self.tries.remove(&ticket);
        }
        self.queue.finish(facts.position);
        self.ended(end, 1);
    }

    /// Counts events that are no longer with this thread.
    fn ended(&mut self, end: End, events: u64) {
        self.shared.account.finished(end, events);
        self.kept.ended += events;
        self.ends = true;
    }

    fn is_late(&self, at: u64, now: u64) -> bool {
        now.saturating_sub(at) > self.max_age
    }

    /// Shows others what there is.
    fn publish(&mut self) {
        let shared = &self.shared;
        shared
            .in_flight
            .store(self.senders.in_flight(), Ordering::Relaxed);
        shared.holdings.bytes.store(self.queue.bytes(), Ordering::Relaxed);
        shared
            .holdings
            .oldest
            .store(self.lanes.oldest().unwrap_or(0), Ordering::Relaxed);
        let state = self.breaker.name();
        if state != self.state {
            self.state = state;
            shared.set_state(state);
        }
    }
}
