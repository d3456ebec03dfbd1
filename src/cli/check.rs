//! `gatecount check`: every mistake at once, or the resolved configuration as a file that resolves to the same.

use std::io::{self, Write};

use crate::config::{self, Sources};

use super::Failure;

pub(super) fn run(sources: &Sources) -> Result<(), Failure> {
    let config = config::load(sources)?;
    let mut out = io::stdout().lock();
    out.write_all(config.to_toml().as_bytes())?;
    out.flush()?;
    Ok(())
}
