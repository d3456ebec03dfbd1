//! What `/status` tells of the queue and of delivery.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use serde::Serialize;

use super::account::{Account, Holdings};
use crate::clock::Clock;

/// The state until the queue is recovered.
pub(super) const STARTING: &str = "starting";

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
    /// `starting`, `passing`, `tripped`, `probing`, `restarting` or `stopped`.
    pub state: &'static str,
    /// Why the last attempt that failed did so, however long ago.
    pub last_error: Option<String>,
    /// Seconds since that failure.
    pub last_error_seconds: Option<u64>,
    /// Requests in flight.
    pub in_flight: usize,
}

/// What the delivery thread shares with those who ask.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) account: Arc<Account>,
    pub(super) holdings: Arc<Holdings>,
    pub(super) clock: Clock,
    pub(super) in_flight: AtomicUsize,
    view: Mutex<View>,
}

#[derive(Debug)]
struct View {
    state: &'static str,
    /// What, and when in milliseconds since 1970.
    error: Option<(String, u64)>,
    alarm: Option<String>,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Shared {
            account: Arc::default(),
            holdings: Arc::default(),
            clock,
            in_flight: AtomicUsize::new(0),
            view: Mutex::new(View {
                state: STARTING,
                error: None,
                alarm: None,
            }),
        }
    }

    pub(super) fn set_state(&self, state: &'static str) {
        self.with_view(|view| view.state = state);
    }

    pub(super) fn set_error(&self, error: String) {
        let at = self.clock.millis();
        self.with_view(|view| view.error = Some((error, at)));
    }

    pub(super) fn set_alarm(&self, alarm: Option<&str>) {
        self.holdings.alarm.store(alarm.is_some(), Ordering::Relaxed);
        self.with_view(|view| view.alarm = alarm.map(str::to_owned));
    }

    pub(super) fn status(&self) -> Status {
        let (state, error, alarm) =
            self.with_view(|view| (view.state, view.error.clone(), view.alarm.clone()));
        let now = self.clock.millis();
        Status {
            queue: QueueStatus {
                events: self.account.balance().pending,
                bytes: self.holdings.bytes.load(Ordering::Relaxed),
                oldest_seconds: self.holdings.oldest_seconds(&self.clock),
                alarm,
            },
            delivery: DeliveryStatus {
                state,
                last_error_seconds: error.as_ref().map(|(_, at)| now.saturating_sub(*at) / 1_000),
                last_error: error.map(|(what, _)| what),
                in_flight: self.in_flight.load(Ordering::Relaxed),
            },
        }
    }

    fn with_view<T>(&self, act: impl FnOnce(&mut View) -> T) -> T {
        // Whoever panicked with it held left each field whole.
        act(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
