//! `gatecount gateway`: takes events from the shared stream and delivers them.

use crate::{
    config::{self, Sources},
    sidecar, telemetry,
};

use super::{error::CommandError, explain::explain_pasted, run::refuse};

/// Delivers until a signal ends it.
pub(super) fn run(sources: Sources) -> Result<(), CommandError> {
    let config = config::load_gateway(&sources).map_err(|mistakes| refuse(&sources, mistakes))?;
    let _last_lines =
        telemetry::init_logging(&config.log).map_err(|error| CommandError::Running(error.into()))?;
    match sidecar::run(config, sources, explain_pasted, None) {
        // Without an app there is no other status.
        Ok(_) => Ok(()),
        Err(error) => Err(super::run::failed(error)),
    }
}
