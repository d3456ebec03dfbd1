//! What was decided, for the metrics and for operators.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::observed::{Decided, Observed};
use crate::{
    client::{Masked, masked},
    clock::Clock,
    page::{Decision, Verdict},
};

/// Decisions kept: so many about pages, and so many about what pages load.
const KEPT: usize = 128;
/// Stands in sequence numbers where the data path has the number of a worker.
const WORKER: u64 = 63;
/// From one sequence number to the next, in microseconds.
const STEP: u64 = 64;
/// The longest text of a request that is kept, in bytes.
const MAX_TEXT: usize = 200;

/// What became of a log line: the label of `gatecount_observed_lines_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineResult {
    /// It told of a request, which was decided.
    Decided,
    /// It is none of the configured format.
    Malformed,
    /// It is longer than a line may be.
    TooLong,
    /// It came by UDP from an address that is not trusted.
    Untrusted,
}

impl LineResult {
    const ALL: [LineResult; 4] = [
        LineResult::Decided,
        LineResult::Malformed,
        LineResult::TooLong,
        LineResult::Untrusted,
    ];

    fn label(self) -> &'static str {
        match self {
            LineResult::Decided => "decided",
            LineResult::Malformed => "malformed",
            LineResult::TooLong => "too_long",
            LineResult::Untrusted => "untrusted",
        }
    }
}

/// A decision about an observed request.
#[derive(Debug, Clone)]
pub struct ObservedRequest {
    /// Grows with time.
    pub seq: u64,
    /// When it was decided.
    pub at: SystemTime,
    /// What and why.
    pub verdict: Verdict,
    /// The method; empty where it is not known.
    pub method: String,
    /// The host that the visitor used; empty where it is not known.
    pub host: String,
    /// The path, without the query.
    pub path: String,
    /// The status; 0 where it is not known.
    pub status: u16,
    /// The client's network; none where the visitor or the app asked not to count.
    pub client: Option<Masked>,
    /// Where the client's address came from.
    pub from: &'static str,
}

/// Counts decisions and lines, and keeps the newest decisions.
#[derive(Debug)]
pub(super) struct Tally {
    decisions: [IntCounter; Decision::ALL.len()],
    lines: [IntCounter; LineResult::ALL.len()],
    recent: Mutex<Recent>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Recent {
    pages: VecDeque<ObservedRequest>,
    parts: VecDeque<ObservedRequest>,
    last: u64,
}

impl Tally {
    /// `decisions` has a counter for each decision, by its label.
    pub(super) fn register(
        registry: &Registry,
        decisions: &IntCounterVec,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let lines = IntCounterVec::new(
            Opts::new(
                "gatecount_observed_lines_total",
                "Lines of an access log, by what became of them.",
            ),
            &["result"],
        )?;
        registry.register(Box::new(lines.clone()))?;
        Ok(Tally {
            decisions: Decision::ALL.map(|d| decisions.with_label_values(&[d.label()])),
            lines: LineResult::ALL.map(|r| lines.with_label_values(&[r.label()])),
            recent: Mutex::default(),
            clock,
        })
    }

    pub(super) fn line(&self, result: LineResult) {
        self.lines[result as usize].inc();
    }

    /// Counts a decision, and keeps it among the newest.
    pub(super) fn note(&self, seen: &Observed<'_>, decided: &Decided<'_>) {
        self.decisions[decided.verdict.decision as usize].inc();
        let now = self.clock.moment(Instant::now()).micros;
        let mut recent = self.recent();
        let seq = (now & !(STEP - 1) | WORKER).max(recent.last + STEP);
        // Of a log that is read faster than that, only some are kept, so that the numbers stay near the time.
        if seq > now + KEPT as u64 * STEP {
            return;
        }
        recent.last = seq;
        let verdict = decided.verdict;
        let requests = if verdict.decision.is_about_a_page() {
            &mut recent.pages
        } else {
            &mut recent.parts
        };
        if requests.len() == KEPT {
            requests.pop_front();
        }
        let path = seen.target.split('?').next().unwrap_or_default();
        requests.push_back(ObservedRequest {
            seq,
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(now),
            verdict,
            method: shortened(seen.method),
            host: shortened(decided.host),
            path: shortened(path),
            status: seen.response.status(),
            client: decided
                .client
                .filter(|_| verdict.decision.lets_the_client_be_seen())
                .map(masked),
            from: decided.from.label(),
        });
    }

    /// The decisions after a sequence number, oldest first.
    pub(super) fn since(&self, seq: u64) -> Vec<ObservedRequest> {
        let recent = self.recent();
        let both = recent.pages.iter().chain(&recent.parts);
        let mut found: Vec<_> = both.filter(|r| r.seq > seq).cloned().collect();
        found.sort_by_key(|request| request.seq);
        found
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // No update is left half done by a panic.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
