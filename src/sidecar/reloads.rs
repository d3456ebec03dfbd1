//! How reloads went: metrics by the names that other servers give them, and the trouble that one is which
//! failed.

use std::time::SystemTime;

use prometheus::{IntGauge, Registry};

use crate::telemetry::{TroubleKind, TroubleWords, Troubles};

/// Whether the last reload succeeded, and when one did last. The start counts as one.
#[derive(Debug)]
pub(super) struct Reloads {
    successful: IntGauge,
    succeeded_at: IntGauge,
    troubles: Troubles,
}

impl Reloads {
    /// # Errors
    /// A metric's name is taken.
    pub(super) fn register(registry: &Registry, troubles: Troubles) -> Result<Self, prometheus::Error> {
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
            troubles,
        };
        reloads.succeeded();
        Ok(reloads)
    }

    pub(super) fn succeeded(&self) {
        self.successful.set(1);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.succeeded_at
            .set(now.map_or(0, |now| now.as_secs().cast_signed()));
        let over = "the configuration was read again without a mistake";
        self.troubles.end(TroubleKind::ReloadFailed, "", over);
    }

    /// A reload failed, of `what`, for this reason.
    pub(super) fn failed(&self, what: &str, error: String) {
        self.successful.set(0);
        let words = TroubleWords {
            what: format!("{what} not reloaded, the running one stays"),
            error: Some(error),
            cure: "mend the file: it is read again when it changes; gatecount check names every mistake"
                .to_owned(),
        };
        self.troubles.begin_anew(TroubleKind::ReloadFailed, "", words);
    }
}
