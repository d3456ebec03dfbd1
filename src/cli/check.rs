//! `gatecount check`: reports every mistake at once, or prints the resolved configuration as a file that
//! resolves to the same, and who could choose its address under it.

use std::io::{self, Write};

use crate::config::{self, Sources};

use super::error::CommandError;

pub(super) fn run(sources: &Sources) -> Result<(), CommandError> {
    let config = config::load(sources)?;
    let mut out = io::stdout().lock();
    out.write_all(config.to_toml().as_bytes())?;
    if let Some(said) = config.says_of_no_app() {
        writeln!(out, "\n# No app: {said}.")?;
    }
    writeln!(out, "\n# Trust: {}.", config.client.who_could_choose())?;
    out.flush()?;
    Ok(())
}
