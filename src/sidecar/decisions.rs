//! The count of decisions, which whoever decides adds to, and the newest of those that are taken late: about
//! requests whose page views waited for the tracker script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use prometheus::{IntCounterVec, Opts, Registry};

use crate::{
    admin, client,
    delivery::{DecidedRequest, HeldDecisions},
    page::Decision,
};

/// Late decisions kept.
const KEPT: usize = 128;
/// Stands in sequence numbers where the data path has the number of a worker.
const WORKER: u64 = 62;
/// From one sequence number to the next, in microseconds.
const STEP: u64 = 64;

/// Registers `gatecount_decisions_total`, with a counter for each decision.
///
/// # Errors
/// The metric's name is taken.
pub(super) fn register(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let decisions = IntCounterVec::new(
        Opts::new(
            "gatecount_decisions_total",
            "Requests, by whether and why they were counted.",
        ),
        &["decision"],
    )?;
    registry.register(Box::new(decisions.clone()))?;
    for decision in Decision::ALL {
        decisions.with_label_values(&[decision.label()]);
    }
    Ok(decisions)
}

/// Requests so far by decision; those with none are left out.
pub(super) fn counts(decisions: &IntCounterVec) -> Vec<(Decision, u64)> {
    Decision::ALL
        .into_iter()
        .map(|decision| (decision, decisions.with_label_values(&[decision.label()]).get()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Counts the decisions that are taken late, and keeps the newest.
#[derive(Debug)]
pub(super) struct LateDecisions {
    counts: IntCounterVec,
    newest: Mutex<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    records: VecDeque<admin::DecisionRecord>,
    last: u64,
}

impl LateDecisions {
    pub(super) fn new(counts: &IntCounterVec) -> Arc<Self> {
        Arc::new(LateDecisions {
            counts: counts.clone(),
            newest: Mutex::default(),
        })
    }

    /// The decisions after a sequence number, oldest first.
    pub(super) fn since(&self, seq: u64) -> Vec<admin::DecisionRecord> {
        let newest = self.newest();
        newest.records.iter().filter(|r| r.seq > seq).cloned().collect()
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        // No update is left half done by a panic.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldDecisions for LateDecisions {
    fn decided(&self, request: DecidedRequest) {
        let DecidedRequest { at, verdict, shown } = request;
        self.counts.with_label_values(&[verdict.decision.label()]).inc();
        let Some(shown) = shown else { return };
        let mut newest = self.newest();
        let seq = (at.micros & !(STEP - 1) | WORKER).max(newest.last + STEP);
        newest.last = seq;
        if newest.records.len() == KEPT {
            newest.records.pop_front();
        }
        newest.records.push_back(admin::DecisionRecord {
            seq,
            at: UNIX_EPOCH + Duration::from_micros(at.micros),
            decision: verdict.decision,
            why: verdict.why,
            method: shown.method.to_owned(),
            host: shown.host,
            path: shown.path,
            status: shown.status,
            client: verdict
                .decision
                .lets_the_client_be_seen()
                .then(|| client::masked(shown.client)),
            client_from: shown.from.label(),
        });
    }
}
