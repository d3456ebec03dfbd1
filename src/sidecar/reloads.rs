//! Metrics of reloads, by the names that other servers give them.

use std::time::SystemTime;

use prometheus::{IntGauge, Registry};

/// Whether the last reload succeeded, and when one did last. The start counts as one.
#[derive(Debug)]
pub(super) struct Reloads {
    successful: IntGauge,
    succeeded_at: IntGauge,
}

impl Reloads {
    /// # Errors
    /// A metric's name is taken.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let reloads = Reloads {
            successful: gauge(
                "gatecount_config_last_reload_successful",
                "1 if the last reload of the configuration succeeded, 0 if the running one stayed.",
            )?,
            succeeded_at: gauge(
                "gatecount_config_last_reload_success_timestamp_seconds",
                "When the configuration was last reloaded with success, in seconds since 1970.",
            )?,
        };
        reloads.succeeded();
        Ok(reloads)
    }

    pub(super) fn succeeded(&self) {
        self.successful.set(1);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.succeeded_at
            .set(now.map_or(0, |now| now.as_secs().cast_signed()));
    }

    pub(super) fn failed(&self) {
        self.successful.set(0);
    }
}
