//! `gatecount run`: the sidecar.

use crate::{
    config::{self, Sources},
    sidecar, telemetry,
};

use super::{error::CommandError, explain::explain_pasted};

pub(super) fn run(sources: Sources) -> Result<(), CommandError> {
    let config = config::load(&sources)?;
    let _last_lines =
        telemetry::init_logging(&config.log).map_err(|error| CommandError::Running(error.into()))?;
    sidecar::run(config, sources, explain_pasted).map_err(|error| {
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!("{}", telemetry::chain(&error));
            CommandError::Logged
        } else {
            CommandError::Running(error.into())
        }
    })
}
