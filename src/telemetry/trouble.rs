//! One trouble: its kind from a closed list, and its words.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// How long a trouble lasts of which nobody notices the end.
const UNNOTICED: Duration = Duration::from_mins(10);

/// What kind of trouble it is: the closed list of `gatecount_trouble{kind}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// No connection to Plausible, no answer in time, or 5xx and 429 only.
    PlausibleUnreachable,
    /// Plausible's address answers that it takes no events (3xx and 4xx).
    PlausibleRefuses,
    /// Plausible drops every event of a domain.
    DomainDropped,
    /// Plausible rejected events as invalid (400).
    EventsRejected,
    /// The queue is nearly full.
    QueueFilling,
    /// The queue's disk is out of use.
    QueueStorage,
    /// There is no connection to the app.
    AppDown,
    /// A peer in a range of proxies sends forwarding headers and is not trusted.
    UntrustedProxy,
    /// The configuration or a certificate could not be read again; the running one stays.
    ReloadFailed,
    /// Pages go on without the tracker script.
    ScriptMissing,
    /// No server of the shared stream answers, or too few of them to take or give events.
    StreamUnreachable,
    /// The shared stream answers that it takes no events, or is not as it has to be.
    StreamRefuses,
}

impl TroubleKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [TroubleKind; 12] = [
        TroubleKind::PlausibleUnreachable,
        TroubleKind::PlausibleRefuses,
        TroubleKind::DomainDropped,
        TroubleKind::EventsRejected,
        TroubleKind::QueueFilling,
        TroubleKind::QueueStorage,
        TroubleKind::AppDown,
        TroubleKind::UntrustedProxy,
        TroubleKind::ReloadFailed,
        TroubleKind::ScriptMissing,
        TroubleKind::StreamUnreachable,
        TroubleKind::StreamRefuses,
    ];

    /// The word for metrics, logs and `/status`.
    pub fn label(self) -> &'static str {
        match self {
            TroubleKind::PlausibleUnreachable => "plausible_unreachable",
            TroubleKind::PlausibleRefuses => "plausible_refuses",
            TroubleKind::DomainDropped => "domain_dropped",
            TroubleKind::EventsRejected => "events_rejected",
            TroubleKind::QueueFilling => "queue_filling",
            TroubleKind::QueueStorage => "queue_storage",
            TroubleKind::AppDown => "app_down",
            TroubleKind::UntrustedProxy => "untrusted_proxy",
            TroubleKind::ReloadFailed => "reload_failed",
            TroubleKind::ScriptMissing => "script_missing",
            TroubleKind::StreamUnreachable => "stream_unreachable",
            TroubleKind::StreamRefuses => "stream_refuses",
        }
    }

    /// Whether events are lost, or an operator is needed before anything gets better.
    pub fn is_severe(self) -> bool {
        match self {
            TroubleKind::PlausibleRefuses
            | TroubleKind::DomainDropped
            | TroubleKind::EventsRejected
            | TroubleKind::QueueStorage
            | TroubleKind::AppDown
            | TroubleKind::ReloadFailed
            | TroubleKind::StreamRefuses => true,
            TroubleKind::PlausibleUnreachable
            | TroubleKind::QueueFilling
            | TroubleKind::UntrustedProxy
            | TroubleKind::ScriptMissing
            | TroubleKind::StreamUnreachable => false,
        }
    }

    /// How long it lasts after it was noticed last; `None` if its end is noticed.
    pub fn lasts(self) -> Option<Duration> {
        match self {
            TroubleKind::EventsRejected | TroubleKind::UntrustedProxy | TroubleKind::ScriptMissing => {
                Some(UNNOTICED)
            }
            TroubleKind::PlausibleUnreachable
            | TroubleKind::PlausibleRefuses
            | TroubleKind::DomainDropped
            | TroubleKind::QueueFilling
            | TroubleKind::QueueStorage
            | TroubleKind::AppDown
            | TroubleKind::ReloadFailed
            | TroubleKind::StreamUnreachable
            | TroubleKind::StreamRefuses => None,
        }
    }

    /// Whether the log gets it as an error.
    pub(super) fn is_error(self) -> bool {
        match self {
            TroubleKind::PlausibleRefuses
            | TroubleKind::EventsRejected
            | TroubleKind::QueueStorage
            | TroubleKind::ReloadFailed
            | TroubleKind::StreamRefuses => true,
            TroubleKind::PlausibleUnreachable
            | TroubleKind::DomainDropped
            | TroubleKind::QueueFilling
            | TroubleKind::AppDown
            | TroubleKind::UntrustedProxy
            | TroubleKind::ScriptMissing
            | TroubleKind::StreamUnreachable => false,
        }
    }
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A trouble in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubleWords {
    /// What is wrong, in a sentence without its full stop.
    pub what: String,
    /// The error behind it, if there is one.
    pub error: Option<String>,
    /// What may help.
    pub cure: String,
}

/// A trouble that lasts, or is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind it is.
    pub kind: TroubleKind,
    /// What it is about, where there may be several of its kind: a domain, a range, an alarm of the queue.
    pub subject: String,
    /// What is wrong, and what may help.
    pub words: TroubleWords,
    /// When it began.
    pub since: SystemTime,
    /// When it ended, if it is over.
    pub over_since: Option<SystemTime>,
    /// How often it has begun.
    pub times: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_the_order_of_declaration_so_that_it_indexes_gauges() {
        for (index, kind) in TroubleKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind}");
        }
    }
}
