//! `gatecount check`: reports every mistake at once, or prints the resolved configuration as a file that
//! resolves to the same.

use std::io::{self, Write};

use crate::config::{self, Sources};

use super::error::CommandError;

pub(super) fn run(sources: &Sources) -> Result<(), CommandError> {
    let config = config::load(sources)?;
    let mut out = io::stdout().lock();
    out.write_all(config.to_toml().as_bytes())?;
    out.flush()?;
    Ok(())
}
