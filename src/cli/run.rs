//! `gatecount run`: the sidecar.

use crate::{
    config::{self, Sources},
    sidecar,
};

use super::Failure;

pub(super) fn run(sources: &Sources) -> Result<(), Failure> {
    let config = config::load(sources)?;
    sidecar::run(config, sources).map_err(|error| Failure::Running(error.into()))
}
