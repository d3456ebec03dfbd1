//! What became of the requests for the dedicated paths.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// What became of an event: the closed list of `gatecount_tracker_events_total{result}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventResult {
    /// Stored, and answered 202.
    Accepted,
    /// The client asks not to be counted, or the configuration does.
    LeftOut,
    /// No event as Plausible takes them.
    Invalid,
    /// For a domain that is not configured.
    Foreign,
    /// Its client sends too many.
    Flood,
    /// There was no room, or nobody to store it.
    Unavailable,
}

impl EventResult {
    const ALL: [EventResult; 6] = [
        EventResult::Accepted,
        EventResult::LeftOut,
        EventResult::Invalid,
        EventResult::Foreign,
        EventResult::Flood,
        EventResult::Unavailable,
    ];

    fn label(self) -> &'static str {
        match self {
            EventResult::Accepted => "accepted",
            EventResult::LeftOut => "left_out",
            EventResult::Invalid => "invalid",
            EventResult::Foreign => "foreign",
            EventResult::Flood => "flood",
            EventResult::Unavailable => "unavailable",
        }
    }
}

/// How a fetch of the script ended: the closed list of `gatecount_tracker_script_fetches_total{result}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchResult {
    /// It has another script.
    Changed,
    /// The script is the same.
    Unchanged,
    Failed,
}

impl FetchResult {
    const ALL: [FetchResult; 3] = [FetchResult::Changed, FetchResult::Unchanged, FetchResult::Failed];

    fn label(self) -> &'static str {
        match self {
            FetchResult::Changed => "changed",
            FetchResult::Unchanged => "unchanged",
            FetchResult::Failed => "failed",
        }
    }
}

/// The counters, shared by all threads.
#[derive(Debug, Clone)]
pub(super) struct TrackerMetrics {
    events: [IntCounter; EventResult::ALL.len()],
    fetches: [IntCounter; FetchResult::ALL.len()],
}

impl TrackerMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str| -> prometheus::Result<IntCounterVec> {
            let vec = IntCounterVec::new(Opts::new(name, help), &["result"])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let events = counters(
            "gatecount_tracker_events_total",
            "Requests to the tracker's event path, by what became of the event.",
        )?;
        let fetches = counters(
            "gatecount_tracker_script_fetches_total",
            "Fetches of the tracker script, by how they ended.",
        )?;
        Ok(TrackerMetrics {
            events: EventResult::ALL.map(|r| events.with_label_values(&[r.label()])),
            fetches: FetchResult::ALL.map(|r| fetches.with_label_values(&[r.label()])),
        })
    }

    pub(super) fn event(&self, result: EventResult) {
        self.events[result as usize].inc();
    }

    pub(super) fn fetch(&self, result: FetchResult) {
        self.fetches[result as usize].inc();
    }
}
