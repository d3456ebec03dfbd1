//! `gatecount demo`: a site, a receiver, and the sidecar between them.

use crate::demo;

use super::Failure;

pub(super) fn run() -> Result<(), Failure> {
    demo::run().map_err(|error| Failure::Running(error.into()))
}
