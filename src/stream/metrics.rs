//! The stream's metrics.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::owned::OwnedPartitions;

/// Counts what is published, owned and delivered again. Clones are the same metrics.
#[derive(Clone, Debug)]
pub(super) struct StreamMetrics {
    published: IntCounterVec,
    owned: IntGauge,
    pub(super) redelivered: IntCounter,
    waiting: IntGauge,
}

impl StreamMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = StreamMetrics {
            published: IntCounterVec::new(
                Opts::new(
                    "gatecount_stream_published_total",
                    "Events published into the stream, by result",
                ),
                &["result"],
            )?,
            owned: IntGauge::new(
                "gatecount_stream_partitions_owned",
                "Partitions whose events this process delivers",
            )?,
            redelivered: IntCounter::new(
                "gatecount_stream_redelivered_total",
                "Messages that the stream delivered more than once",
            )?,
            waiting: IntGauge::new(
                "gatecount_stream_waiting",
                "Events in the stream that no gateway has, of the partitions that this process delivers",
            )?,
        };
        for result in ["accepted", "duplicate", "failed"] {
            metrics.published.with_label_values(&[result]);
        }
        registry.register(Box::new(metrics.published.clone()))?;
        registry.register(Box::new(metrics.owned.clone()))?;
        registry.register(Box::new(metrics.redelivered.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        Ok(metrics)
    }

    pub(super) fn show(&self, owned: &OwnedPartitions) {
        self.owned.set(owned.list().len().try_into().unwrap_or(i64::MAX));
        self.waiting.set(owned.waiting().try_into().unwrap_or(i64::MAX));
    }

    /// Events that the servers have taken.
    pub(super) fn accepted(&self) -> u64 {
        self.published.with_label_values(&["accepted"]).get()
    }

    pub(super) fn published(&self, result: &str) {
        self.published.with_label_values(&[result]).inc();
    }
}
