//! The status as `/status` and the live page show it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::page::Decision;

/// The whole status at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// gatecount's version.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// Whether requests are accepted.
    pub ready: bool,
    /// Where clients connect; `none` without an app.
    pub listen: String,
    /// Where the admin address listens.
    pub admin: String,
    /// What is seen from aside; left out where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<ObserveReport>,
    /// The events that wait.
    pub queue: QueueReport,
    /// How sending to Plausible goes.
    pub delivery: DeliveryReport,
    /// Requests by decision since the start.
    pub decisions: DecisionCounts,
}

/// What is seen from aside.
#[derive(Debug, Clone, Serialize)]
pub struct ObserveReport {
    /// Where copies of requests come.
    pub mirror: Option<String>,
    /// Where lines of an access log come from.
    pub log: Option<String>,
}

/// The events that wait for Plausible.
#[derive(Debug, Clone, Serialize)]
pub struct QueueReport {
    /// Where they are stored, as configured.
    pub at: Storage,
    /// How many there are.
    pub events: u64,
    /// How many bytes the queue takes.
    pub bytes: u64,
    /// The age of the oldest, 0 if there is none.
    pub oldest_seconds: f64,
    /// What is wrong with the storage, if anything is.
    pub alarm: Option<String>,
}

/// Where the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// In files.
    Disk,
    /// In memory; lost when the process ends.
    Memory,
}

/// How sending to Plausible goes.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryReport {
    /// What delivery is doing.
    pub state: SendingState,
    /// Since when events get through, or since when they do not: a time by RFC 3339.
    pub since: Option<String>,
    /// The reason of the last failed attempt, however long ago it was.
    pub last_error: Option<String>,
    /// Seconds since that attempt.
    pub last_error_seconds: Option<u64>,
    /// Whether events have got through since.
    pub last_error_over: Option<bool>,
    /// What may help against that error, while it is not over.
    pub hint: Option<String>,
    /// What else is wrong, with what may help.
    pub warnings: Vec<String>,
    /// Events that ended since the start, by how.
    pub finished: BTreeMap<&'static str, u64>,
    /// Requests in flight.
    pub in_flight: usize,
}

/// What delivery is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendingState {
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

/// Requests by decision, without the decisions that never occurred. A JSON object from label to count.
#[derive(Debug, Clone, Default)]
pub struct DecisionCounts(pub Vec<(Decision, u64)>);

impl StatusReport {
    /// Whether the last failed attempt still matters: delivery has not recovered, or an event that waited at
    /// that time still waits. Once all of those have ended, the trouble is over.
    pub(super) fn has_trouble(&self) -> bool {
        let Some(error_age) = self.delivery.last_error_seconds else {
            return false;
        };
        let recovered = self.delivery.state == SendingState::Passing;
        let still_waits = self.queue.events > 0 && self.queue.oldest_seconds >= error_age as f64;
        !recovered || still_waits
    }
}

impl SendingState {
    /// The word for it.
    pub(super) fn label(self) -> &'static str {
        match self {
            SendingState::Starting => "starting",
            SendingState::Passing => "passing",
            SendingState::Failing => "failing",
            SendingState::Tripped => "tripped",
            SendingState::Probing => "probing",
            SendingState::Restarting => "restarting",
            SendingState::Stopped => "stopped",
        }
    }
}

impl Serialize for SendingState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

impl Serialize for DecisionCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(decision, count)| (decision.label(), count)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A status in which all is well.
    pub(in crate::admin) fn healthy() -> StatusReport {
        StatusReport {
            version: "0.1.0",
            uptime_seconds: 61.0,
            ready: true,
            listen: "127.0.0.1:8080".to_owned(),
            admin: "127.0.0.1:9090".to_owned(),
            observe: None,
            queue: QueueReport {
                at: Storage::Disk,
                events: 0,
                bytes: 0,
                oldest_seconds: 0.0,
                alarm: None,
            },
            delivery: DeliveryReport {
                state: SendingState::Passing,
                since: Some("2026-11-26T10:00:00Z".to_owned()),
                last_error: None,
                last_error_seconds: None,
                last_error_over: None,
                hint: None,
                warnings: Vec::new(),
                finished: BTreeMap::from([("delivered", 3)]),
                in_flight: 0,
            },
            decisions: DecisionCounts(vec![(Decision::Counted, 3), (Decision::Bot, 1)]),
        }
    }

    #[test]
    fn the_json_has_the_names_that_operators_rely_on() {
        assert_eq!(
            serde_json::to_value(healthy()).unwrap(),
            json!({
                "version": "0.1.0", "uptime_seconds": 61.0, "ready": true,
                "listen": "127.0.0.1:8080", "admin": "127.0.0.1:9090",
                "queue": {"at": "disk", "events": 0, "bytes": 0, "oldest_seconds": 0.0, "alarm": null},
                "delivery": {
                    "state": "passing", "since": "2026-11-26T10:00:00Z", "last_error": null,
                    "last_error_seconds": null, "last_error_over": null, "hint": null, "warnings": [],
                    "finished": {"delivered": 3}, "in_flight": 0,
                },
                "decisions": {"counted": 3, "bot": 1},
            })
        );
    }

    #[test]
    fn trouble_lasts_until_the_events_that_met_it_have_ended() {
        let status = |state, events, oldest_seconds| {
            let mut status = healthy();
            status.delivery.state = state;
            status.delivery.last_error = Some("connection refused".to_owned());
            status.delivery.last_error_seconds = Some(60);
            status.queue.events = events;
            status.queue.oldest_seconds = oldest_seconds;
            status
        };
        assert!(status(SendingState::Tripped, 0, 0.0).has_trouble());
        assert!(
            status(SendingState::Passing, 1, 61.5).has_trouble(),
            "the event that failed still waits"
        );
        assert!(!status(SendingState::Passing, 0, 0.0).has_trouble());
        assert!(
            !status(SendingState::Passing, 7, 3.0).has_trouble(),
            "all that wait are newer"
        );
        assert!(!healthy().has_trouble());
    }
}
