//! The count of decisions, which whoever decides adds to.

use prometheus::{IntCounterVec, Opts, Registry};

use crate::page::Decision;

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
