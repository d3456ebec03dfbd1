//! `gatecount run`: the sidecar.

use crate::{
    config::{self, Sources},
    sidecar,
};

use super::error::CommandError;

pub(super) fn run(sources: &Sources) -> Result<(), CommandError> {
    let config = config::load(sources)?;
    sidecar::run(config, sources).map_err(|error| CommandError::Running(error.into()))
}
