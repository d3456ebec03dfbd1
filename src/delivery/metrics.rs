//! The metrics of the attempts.

use std::{sync::Arc, time::Duration};

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::{
    account::{Account, AccountMetrics},
    holdings::Holdings,
    outcome::Outcome,
};
use crate::clock::Clock;

/// Upper bounds in seconds, from a Plausible on the same host to the default timeout.
const BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Attempts by result, and how long they took.
#[derive(Debug, Clone)]
pub(super) struct DeliveryMetrics {
    attempts: [IntCounter; Outcome::LABELS.len()],
    duration: Histogram,
}

impl DeliveryMetrics {
    /// Registers these and the account's.
    pub(super) fn register(
        registry: &Registry,
        account: Arc<Account>,
        holdings: Vec<Arc<Holdings>>,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let attempts = IntCounterVec::new(
            Opts::new(
                "gatecount_delivery_attempts_total",
                "Attempts to deliver an event, by result",
            ),
            &["result"],
        )?;
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "gatecount_delivery_duration_seconds",
                "Time an attempt to deliver an event took, connect included",
            )
            .buckets(BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(AccountMetrics::new(account, holdings, clock)?))?;
        registry.register(Box::new(attempts.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(DeliveryMetrics {
            attempts: Outcome::LABELS.map(|label| attempts.with_label_values(&[label])),
            duration,
        })
    }

    pub(super) fn attempt(&self, outcome: Outcome, took: Duration) {
        self.attempts[outcome.index()].inc();
        self.duration.observe(took.as_secs_f64());
    }
}
