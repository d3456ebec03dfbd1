//! `gatecount schema`: what editors know of the configuration file, and the file with every key.

use std::io::{self, Write};

use clap::Args;

use crate::config;

use super::error::CommandError;

/// What `schema` is told.
#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// Print a configuration file with every key, its default and what it means instead
    #[arg(long)]
    toml: bool,
}

pub(super) fn run(arguments: &SchemaArguments) -> Result<(), CommandError> {
    let text = if arguments.toml {
        config::every_key()
    } else {
        format!("{:#}\n", config::schema())
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
