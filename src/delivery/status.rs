//! The state of queue and delivery for `/status`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use serde::Serialize;

use super::{
    account::{Account, EventEnd},
    breaker::BreakerPhase,
    holdings::{HeldUp, Holdings},
};
use crate::{clock::Clock, telemetry::Troubles};

/// The state of queue and delivery at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// What is pending.
    pub queue: QueueStatus,
    /// How sending goes.
    pub delivery: DeliveryStatus,
}

/// What is pending.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Events offered that have not ended.
    pub events: u64,
    /// Bytes that the queue takes.
    pub bytes: u64,
    /// Age of the oldest pending event, 0 if there is none.
    pub oldest_seconds: f64,
    /// What is wrong with the queue's storage, if anything is.
    pub alarm: Option<String>,
}

/// How sending goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryStatus {
    /// What delivery is doing.
    pub state: DeliveryState,
    /// Since when events get through, or since when they do not: a time by RFC 3339.
    pub since: Option<String>,
    /// Why the last failed attempt failed, however long ago.
    pub last_error: Option<String>,
    /// Seconds since that failure.
    pub last_error_seconds: Option<u64>,
    /// Whether events have got through since.
    pub last_error_over: Option<bool>,
    /// What may help against that failure, while it is not over.
    pub hint: Option<String>,
    /// Events that ended since the start, by how.
    pub finished: BTreeMap<&'static str, u64>,
    /// Requests in flight.
    pub in_flight: usize,
}

/// What delivery is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// The queue is being recovered.
    Starting,
    /// Events are sent.
    Passing,
    /// Events are sent, and none has got through since the last failure.
    Failing,
    /// Events wait, because Plausible does not accept any.
    Tripped,
    /// One event is sent to see whether Plausible accepts events again.
    Probing,
    /// The delivery thread panicked and starts again.
    Restarting,
    /// The delivery thread has ended.
    Stopped,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 7] = [
        DeliveryState::Starting,
        DeliveryState::Passing,
        DeliveryState::Failing,
        DeliveryState::Tripped,
        DeliveryState::Probing,
        DeliveryState::Restarting,
        DeliveryState::Stopped,
    ];

    /// The label of its metric, and its word in `/status`.
    pub fn label(self) -> &'static str {
        match self {
            DeliveryState::Starting => "starting",
            DeliveryState::Passing => "passing",
            DeliveryState::Failing => "failing",
            DeliveryState::Tripped => "tripped",
            DeliveryState::Probing => "probing",
            DeliveryState::Restarting => "restarting",
            DeliveryState::Stopped => "stopped",
        }
    }
}

impl From<BreakerPhase> for DeliveryState {
    fn from(phase: BreakerPhase) -> Self {
        match phase {
            BreakerPhase::Passing => DeliveryState::Passing,
            BreakerPhase::Tripped => DeliveryState::Tripped,
            BreakerPhase::Probing => DeliveryState::Probing,
        }
    }
}

/// What a stop left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Events that have not ended; the next start sends them if the queue is on disk.
    pub pending: u64,
}

/// What the delivery thread shares with other threads.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) account: Arc<Account>,
    pub(super) holdings: Arc<Holdings>,
    pub(super) clock: Clock,
    pub(super) in_flight: AtomicUsize,
    pub(super) troubles: Troubles,
    report: Mutex<StatusReport>,
}

#[derive(Debug)]
struct StatusReport {
    state: DeliveryState,
    /// Milliseconds since 1970; 0 before there is anything to tell.
    since: u64,
    last_error: Option<LastError>,
    alarm: Option<String>,
}

#[derive(Debug, Clone)]
struct LastError {
    text: String,
    hint: &'static str,
    /// Milliseconds since 1970.
    at: u64,
    over: bool,
}

impl Shared {
    pub(super) fn new(clock: Clock, troubles: Troubles) -> Self {
        Shared {
            account: Arc::default(),
            holdings: Arc::default(),
            clock,
            in_flight: AtomicUsize::new(0),
            troubles,
            report: Mutex::new(StatusReport {
                state: DeliveryState::Starting,
                since: 0,
                last_error: None,
                alarm: None,
            }),
        }
    }

    /// That of a second engine, which counts in the same account.
    pub(super) fn beside(other: &Shared) -> Self {
        Shared {
            account: other.account.clone(),
            ..Shared::new(other.clock, other.troubles.clone())
        }
    }

    /// `since`: milliseconds since 1970.
    pub(super) fn set_state(&self, state: DeliveryState, since: u64) {
        if matches!(state, DeliveryState::Restarting | DeliveryState::Stopped) {
            self.holdings.beat.store(0, Ordering::Relaxed);
        }
        self.with_report(|report| (report.state, report.since) = (state, since));
    }

    pub(super) fn state(&self) -> DeliveryState {
        self.with_report(|report| report.state)
    }

    pub(super) fn set_error(&self, text: String, hint: &'static str) {
        let error = LastError {
            text,
            hint,
            at: self.clock.millis(),
            over: false,
        };
        self.with_report(|report| report.last_error = Some(error));
    }

    /// Events get through again.
    pub(super) fn set_over(&self) {
        self.with_report(|report| {
            if let Some(error) = &mut report.last_error {
                error.over = true;
            }
        });
    }

    pub(super) fn set_alarm(&self, alarm: Option<&str>) {
        self.holdings.alarm.store(alarm.is_some(), Ordering::Relaxed);
        self.with_report(|report| report.alarm = alarm.map(str::to_owned));
    }

    /// Whether the delivery thread is held up.
    pub(super) fn held_up(&self) -> Option<HeldUp> {
        self.holdings.held_up(&self.clock)
    }

    pub(super) fn status(&self) -> Status {
        let (state, since, error) =
            self.with_report(|report| (report.state, report.since, report.last_error.clone()));
        let alarm = match self.held_up() {
            Some(held_up) => Some(held_up.to_string()),
            None => self.with_report(|report| report.alarm.clone()),
        };
        let now = self.clock.millis();
        let balance = self.account.balance();
        let last = error.as_ref();
        Status {
            queue: QueueStatus {
                events: balance.pending,
                bytes: self.holdings.bytes.load(Ordering::Relaxed),
                oldest_seconds: self.holdings.oldest_seconds(&self.clock),
                alarm,
            },
            delivery: DeliveryStatus {
                state,
                since: (since > 0).then(|| {
                    let since = UNIX_EPOCH + Duration::from_millis(since);
                    humantime::format_rfc3339_seconds(since).to_string()
                }),
                last_error_seconds: last.map(|error| now.saturating_sub(error.at) / 1_000),
                last_error_over: last.map(|error| error.over),
                hint: last
                    .filter(|error| !error.over)
                    .map(|error| error.hint.to_owned()),
                last_error: error.map(|error| error.text),
                finished: EventEnd::ALL
                    .map(|end| (end.label(), balance.finished[end as usize]))
                    .into(),
                in_flight: self.in_flight.load(Ordering::Relaxed),
            },
        }
    }

    fn with_report<T>(&self, act: impl FnOnce(&mut StatusReport) -> T) -> T {
        // Each field is set with one assignment, so a panic in between leaves nothing half done.
        act(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
