//! What the engine works with. Each pass is a method of it, in a file of its own.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::tries::Tries;
use crate::{
    delivery::{
        account::EventEnd,
        backoff::Backoff,
        breaker::Breaker,
        drops::DropWatch,
        health::Health,
        held::{HeldDecisions, Loads},
        intake::Intake,
        lanes::{Lanes, Ticket},
        metrics::DeliveryMetrics,
        portion::FeedRequest,
        senders::{FinishedAttempt, FinishedAttempts, Senders},
        settings::Settings,
        status::{DeliveryState, Shared},
        streamed::Streamed,
        target::{Target, TargetParts},
    },
    event::EventRules,
    queue::{Batch, Position, Queue},
    telemetry::LogThrottle,
    timer::Timer,
};

/// Events that may end unsent in one pass, so that a long row of late events does not hold up the others.
pub(super) const ENDS_PER_PASS: usize = 10_000;
/// How long after the last event the queue may still have something to write.
const AFTERMATH: Duration = Duration::from_secs(1);

/// A request to the delivery thread.
#[derive(Debug)]
pub(in crate::delivery) enum Command {
    /// Make events by these rules from now on.
    Reload(Box<EventRules>),
    /// Take in what was offered, and stop.
    Stop {
        /// When the stop has to be over.
        deadline: Instant,
    },
    /// Answer a source that can be read again.
    Feed(FeedRequest),
    #[cfg(test)]
    Panic,
}

/// What outlives an engine that panicked.
#[derive(Debug)]
pub(in crate::delivery) struct CarryOver {
    pub(in crate::delivery) intake: Intake,
    pub(in crate::delivery) rules: EventRules,
    /// What comes from the stream; none where this engine is no gateway's.
    pub(in crate::delivery) streamed: Option<Streamed>,
    /// Events that came from the queue's recovery and not from the intake.
    adopted: u64,
    /// Events that this thread ended.
    ended: u64,
}

impl CarryOver {
    pub(in crate::delivery) fn new(intake: Intake, rules: EventRules, streamed: Option<Streamed>) -> Self {
        CarryOver {
            intake,
            rules,
            streamed,
            adopted: 0,
            ended: 0,
        }
    }

    /// Events that this thread has taken over and not ended.
    pub(super) fn pending(&self) -> u64 {
        self.intake.collected() + self.adopted - self.ended
    }

    /// Counts events that the queue's recovery brought.
    pub(super) fn adopt(&mut self, events: u64) {
        self.adopted += events;
    }
}

/// What every engine is made from, the first one and those after a panic.
#[derive(Clone)]
pub(in crate::delivery) struct EngineParts {
    pub(in crate::delivery) settings: Settings,
    pub(in crate::delivery) target: TargetParts,
    pub(in crate::delivery) shared: Arc<Shared>,
    pub(in crate::delivery) metrics: DeliveryMetrics,
    pub(in crate::delivery) decisions: Arc<dyn HeldDecisions>,
}

/// All state of the delivery thread. It borrows what has to outlive it.
pub(in crate::delivery) struct Engine<'a> {
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: DeliveryMetrics,
    /// Is told what was decided about requests whose views were held.
    pub(super) decisions: Arc<dyn HeldDecisions>,
    pub(super) carry: &'a mut CarryOver,
    pub(super) queue: &'a mut Queue,
    pub(super) target: Rc<Target>,
    pub(super) lanes: Lanes,
    /// The views that are held.
    pub(super) loads: Loads,
    pub(super) breaker: Breaker,
    pub(super) backoff: Backoff,
    /// In milliseconds.
    pub(super) max_age: u64,
    pub(super) senders: Senders,
    pub(super) finished: Rc<FinishedAttempts>,
    pub(super) batch: Batch,
    /// The newest record that has a place of its source.
    pub(super) newest_placed: Option<Position>,
    /// The list that `finished` is swapped with; empty between passes.
    pub(super) settling: Vec<FinishedAttempt>,
    /// Buffers that events are read into. There are at most as many as there were attempts in flight.
    pub(super) buffers: Vec<Vec<u8>>,
    /// The record of each event that failed and has not ended.
    pub(super) tries: HashMap<Ticket, Tries>,
    /// Events that ended by an answer of Plausible's.
    pub(super) answered: u64,
    /// Whether an event ended since the queue last wrote the ends down.
    pub(super) unflushed_ends: bool,
    /// Whether a pass left work for which no wake-up will come.
    pub(super) hurry: bool,
    pub(super) schedule: Schedule,
    pub(super) timer: Timer,
    /// For the short wait in which several attempts may end together.
    pub(super) gather_timer: Timer,
    /// The state that `shared` shows, and since when; `None` before the first pass.
    pub(super) published: Option<(DeliveryState, u64)>,
    pub(super) log: LogThrottles,
    pub(super) health: Health,
    pub(super) drops: DropWatch,
}

/// When the queue is looked after, and what was last reported of it.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When the queue was last looked after.
    pub(super) ticked: Instant,
    /// Until then the queue may have something to write.
    busy_until: Instant,
    /// When late events were last looked for.
    pub(super) swept: Instant,
    /// Whether the last sweep stopped at its limit.
    pub(super) sweeping: bool,
    /// Overflow reported so far.
    pub(super) overflow: u64,
    /// The queue's alarm.
    pub(super) alarm: Option<String>,
}

/// How often the queue is looked after while it has something to do, while events are pending and their files
/// have to be there, and otherwise.
const TICK: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(2),
];

impl Schedule {
    fn new(now: Instant) -> Self {
        Schedule {
            ticked: now,
            busy_until: now + AFTERMATH,
            swept: now,
            sweeping: false,
            overflow: 0,
            alarm: None,
        }
    }

    /// When the queue has to be looked after next.
    pub(super) fn due(&self, pending: bool) -> Instant {
        let busy = self.alarm.is_some() || self.ticked < self.busy_until;
        let tick = match (busy, pending) {
            (true, _) => TICK[0],
            (false, true) => TICK[1],
            (false, false) => TICK[2],
        };
        self.ticked + tick
    }

    /// The queue got something to write.
    pub(super) fn queue_used(&mut self, now: Instant) {
        self.busy_until = now + AFTERMATH;
    }
}

/// A throttle for each kind of line that may be logged over and over.
#[derive(Debug)]
pub(super) struct LogThrottles {
    pub(super) evicted: LogThrottle,
    pub(super) overflow: LogThrottle,
    pub(super) given_up: LogThrottle,
    pub(super) unmade: LogThrottle,
    pub(super) corrupt: LogThrottle,
    pub(super) unread: LogThrottle,
}

impl LogThrottles {
    fn new() -> Self {
        let one_in_ten_seconds = || LogThrottle::new(1, Duration::from_secs(10));
        LogThrottles {
            evicted: one_in_ten_seconds(),
            overflow: one_in_ten_seconds(),
            given_up: one_in_ten_seconds(),
            unmade: one_in_ten_seconds(),
            corrupt: one_in_ten_seconds(),
            unread: one_in_ten_seconds(),
        }
    }
}

impl<'a> Engine<'a> {
    /// Has to be called on the runtime that the engine runs on.
    pub(in crate::delivery) fn new(
        parts: EngineParts,
        carry: &'a mut CarryOver,
        queue: &'a mut Queue,
    ) -> Self {
        let (settings, now) = (parts.settings, parts.shared.clock.millis());
        let target = Rc::new(Target::new(parts.target, &settings));
        let backoff = Backoff::new(settings.retry_initial, settings.retry_max);
        let on_disk = &parts.shared.holdings.on_disk;
        on_disk.store(queue.has_home(), Ordering::Relaxed);
        let senders = Senders::new(target.clone(), settings.concurrency.max(1));
        Engine {
            shared: parts.shared,
            metrics: parts.metrics,
            decisions: parts.decisions,
            carry,
            queue,
            target,
            lanes: Lanes::new(fastrand::u64(..)),
            loads: Loads::default(),
            breaker: Breaker::new(backoff),
            backoff,
            max_age: u64::try_from(settings.max_age.as_millis()).unwrap_or(u64::MAX),
            settings,
            finished: senders.finished(),
            senders,
            batch: Batch::default(),
            newest_placed: None,
            settling: Vec::new(),
            buffers: Vec::new(),
            tries: HashMap::new(),
            answered: 0,
            unflushed_ends: false,
            hurry: false,
            schedule: Schedule::new(Instant::now()),
            timer: Timer::new(),
            gather_timer: Timer::new(),
            published: None,
            log: LogThrottles::new(),
            health: Health::at(now),
            drops: DropWatch::default(),
        }
    }

    /// Ends an event that was taken out of its lane.
    pub(super) fn end(&mut self, ticket: Ticket, end: EventEnd) {
        let Some(event) = self.lanes.event(ticket) else {
            debug_assert!(false, "an event ends once");
            return;
        };
        self.lanes.end(ticket);
        // Usually empty; checking that is cheaper than a failed lookup.
        if !self.tries.is_empty() {
            self.tries.remove(&ticket);
        }
        self.queue.finish(event.position);
        self.finish_streamed(ticket);
        self.count_ended(end, 1);
    }

    /// Ends an event that was taken out of its lane and whose bytes are damaged.
    pub(super) fn end_corrupt(&mut self, ticket: Ticket, instant: Instant) {
        self.end(ticket, EventEnd::Corrupt);
        if let Some(events) = self.log.corrupt.pass(instant, 1) {
            tracing::error!(events, "queue: events are lost, as their bytes are damaged");
        }
    }

    /// Counts events that this thread has ended.
    pub(super) fn count_ended(&mut self, end: EventEnd, events: u64) {
        self.shared.account.finished(end, events);
        self.carry.ended += events;
        self.unflushed_ends = true;
    }
}
