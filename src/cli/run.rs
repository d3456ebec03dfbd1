//! `gatecount run`: the sidecar.

use crate::{
    config::{self, Mistakes, Sources},
    sidecar, telemetry,
};

use super::{error::CommandError, explain::explain_pasted};

pub(super) fn run(sources: Sources) -> Result<(), CommandError> {
    let config = config::load(&sources).map_err(|mistakes| refuse(&sources, mistakes))?;
    let _last_lines =
        telemetry::init_logging(&config.log).map_err(|error| CommandError::Running(error.into()))?;
    sidecar::run(config, sources, explain_pasted).map_err(|error| {
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!("{}", telemetry::chain(&error));
            CommandError::Told
        } else {
            CommandError::Running(error.into())
        }
    })
}

/// Tells the mistakes in the log where its lines are JSON: whoever reads them reads nothing else. For people
/// they are listed by the command.
fn refuse(sources: &Sources, mistakes: Mistakes) -> CommandError {
    let log = config::load_log(sources);
    if log.is_text() {
        return CommandError::Mistakes(mistakes);
    }
    let Ok(_last_lines) = telemetry::init_logging(&log) else {
        return CommandError::Mistakes(mistakes);
    };
    if !tracing::enabled!(tracing::Level::ERROR) {
        return CommandError::Mistakes(mistakes);
    }
    for mistake in mistakes.iter() {
        tracing::error!("a mistake in the configuration: {mistake}");
    }
    CommandError::Denied
}
