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
    /// Where the app is, and how it does; `null` without one.
    pub app: Option<AppReport>,
    /// Where events go.
    pub plausible: String,
    /// What is counted.
    pub sites: SitesReport,
    /// What is wrong, those that last first, and what was wrong.
    pub troubles: Vec<TroubleReport>,
    /// What is seen from aside; left out where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<ObserveReport>,
    /// The shared stream; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamReport>,
    /// The events that wait.
    pub queue: QueueReport,
    /// How sending to Plausible goes.
    pub delivery: DeliveryReport,
    /// Requests by decision since the start.
    pub decisions: DecisionCounts,
}

/// The app behind gatecount.
#[derive(Debug, Clone, Serialize)]
pub struct AppReport {
    /// Its address.
    pub url: String,
    /// Whether it can be reached.
    pub state: AppCondition,
    /// Requests that it failed since the start.
    pub errors: u64,
}

/// Whether the app can be reached, as far as requests have shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AppCondition {
    /// No request needed it yet.
    Unknown,
    /// It accepts connections.
    Up,
    /// It accepts none.
    Down,
}

/// What is counted.
#[derive(Debug, Clone, Serialize)]
pub struct SitesReport {
    /// How many sites there are.
    pub count: usize,
    /// Which hosts are counted for which of Plausible's domains, in words.
    pub counted: String,
}

/// Something that is wrong, or was.
#[derive(Debug, Clone, Serialize)]
pub struct TroubleReport {
    /// What kind it is: the label of `gatecount_trouble`.
    pub kind: &'static str,
    /// Whether events are lost, or an operator is needed before anything gets better.
    pub severe: bool,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The error behind it.
    pub error: Option<String>,
    /// What may help.
    pub cure: String,
    /// When it began: a time by RFC 3339.
    pub since: String,
    /// Seconds since then.
    pub seconds: u64,
    /// When it ended, if it is over.
    pub over_since: Option<String>,
    /// Seconds since then.
    pub over_seconds: Option<u64>,
    /// How often it has begun.
    pub times: u64,
}

/// What is seen from aside.
#[derive(Debug, Clone, Serialize)]
pub struct ObserveReport {
    /// Where copies of requests come.
    pub mirror: Option<String>,
    /// Where lines of an access log come from.
    pub log: Option<String>,
}

/// The shared stream, as this process sees it.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// What this process does with it.
    pub role: StreamRole,
    /// The servers, as configured.
    pub servers: String,
    /// The stream's name.
    pub name: String,
    /// Whether a server is connected.
    pub connected: bool,
    /// Why the stream can't be used, if it can't.
    pub error: Option<String>,
    /// Events that this process published.
    pub published: u64,
    /// Into how many partitions it is divided.
    pub partitions: u16,
    /// How many of them this process delivers.
    pub owned: usize,
    /// Events that wait in those, and that this process does not have yet.
    pub waiting: u64,
    /// Messages that came to this process after somebody had had them.
    pub redelivered: u64,
    /// How sending from the stream to Plausible goes, where `delivery` is about publishing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<GatewayReport>,
}

/// What a process does with the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamRole {
    /// Its own events go into it.
    Publishes,
    /// It delivers from it.
    Delivers,
    /// Both.
    PublishesAndDelivers,
}

/// How sending from the stream to Plausible goes.
#[derive(Debug, Clone, Serialize)]
pub struct GatewayReport {
    /// What it is doing.
    pub state: SendingState,
    /// Since when events get through, or since when they do not: a time by RFC 3339.
    pub since: Option<String>,
    /// The reason of the last failed attempt, however long ago it was.
    pub last_error: Option<String>,
    /// What may help against that error, while it is not over.
    pub hint: Option<String>,
    /// Requests in flight.
    pub in_flight: usize,
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
    /// How many bytes it may take.
    pub max_bytes: u64,
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
    /// What is wrong now.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &TroubleReport> {
        self.troubles
            .iter()
            .filter(|trouble| trouble.over_since.is_none())
    }

    /// What was wrong, the last first.
    pub(super) fn over(&self) -> impl Iterator<Item = &TroubleReport> {
        self.troubles
            .iter()
            .filter(|trouble| trouble.over_since.is_some())
    }

    /// Whether something of one of these kinds is wrong now.
    pub(super) fn has(&self, kinds: &[&str]) -> bool {
        self.lasting().any(|trouble| kinds.contains(&trouble.kind))
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
            app: Some(AppReport {
                url: "http://127.0.0.1:3000".to_owned(),
                state: AppCondition::Up,
                errors: 2,
            }),
            plausible: "https://plausible.io".to_owned(),
            sites: SitesReport {
                count: 1,
                counted: "every host for example.com".to_owned(),
            },
            troubles: Vec::new(),
            observe: None,
            stream: None,
            queue: QueueReport {
                at: Storage::Disk,
                events: 0,
                bytes: 0,
                max_bytes: 1 << 28,
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

    /// A trouble that began three minutes ago and has been over for so many seconds, if it is.
    pub(in crate::admin) fn trouble(kind: &'static str, over_seconds: Option<u64>) -> TroubleReport {
        TroubleReport {
            kind,
            severe: kind == "app_down",
            what: format!("{kind} is wrong"),
            error: Some("connection refused".to_owned()),
            cure: "mend it".to_owned(),
            since: "2026-11-26T10:00:00Z".to_owned(),
            seconds: 180,
            over_since: over_seconds.map(|_| "2026-11-26T10:02:00Z".to_owned()),
            over_seconds,
            times: 1,
        }
    }

    #[test]
    fn the_json_has_the_names_that_operators_rely_on() {
        assert_eq!(
            serde_json::to_value(healthy()).unwrap(),
            json!({
                "version": "0.1.0", "uptime_seconds": 61.0, "ready": true,
                "listen": "127.0.0.1:8080", "admin": "127.0.0.1:9090",
                "app": {"url": "http://127.0.0.1:3000", "state": "up", "errors": 2},
                "plausible": "https://plausible.io",
                "sites": {"count": 1, "counted": "every host for example.com"},
                "troubles": [],
                "queue": {
                    "at": "disk", "events": 0, "bytes": 0, "max_bytes": 1 << 28, "oldest_seconds": 0.0, "alarm": null,
                },
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
    fn what_lasts_is_told_from_what_is_over() {
        let mut status = healthy();
        status.troubles = vec![trouble("app_down", None), trouble("queue_filling", Some(60))];
        assert!(status.has(&["app_down"]) && !status.has(&["queue_filling"]));
        assert_eq!((status.lasting().count(), status.over().count()), (1, 1));
    }
}
