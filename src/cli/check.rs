//! `gatecount check`: reports every mistake at once, or prints the resolved configuration as a file that
//! resolves to the same, and who could choose its address under it. What is no mistake and probably not meant
//! goes to standard error as a warning.

use std::io::{self, Write};

use clap::Args;

use crate::config::{self, Config, Sources};

use super::{error::CommandError, surroundings};

/// What is done about warnings.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// End with status 2 where there is a warning
    #[arg(long)]
    deny_warnings: bool,
    /// Check what `gatecount gateway` would take: it needs [stream], and neither app nor sites
    #[arg(long)]
    gateway: bool,
}

pub(super) fn run(sources: &Sources, arguments: &CheckArguments) -> Result<(), CommandError> {
    let config = if arguments.gateway {
        config::load_gateway(sources)
    } else {
        config::load(sources)
    }?;
    let mut out = io::stdout().lock();
    out.write_all(config.to_toml().as_bytes())?;
    if let Some(said) = config.says_of_no_app() {
        writeln!(out, "\n# No app: {said}.")?;
    }
    // No visitor comes to a gateway, so nobody has to be trusted.
    if !config.is_gateway {
        writeln!(out, "\n# Trust: {}.", config.client.who_could_choose())?;
    }
    out.flush()?;
    let warnings = warnings(&config);
    if warnings.is_empty() {
        return Ok(());
    }
    let s = if warnings.len() == 1 { "" } else { "s" };
    let mut errors = io::stderr().lock();
    writeln!(errors, "gatecount: {} warning{s}", warnings.len())?;
    for warning in &warnings {
        writeln!(errors, "  {warning}")?;
    }
    if arguments.deny_warnings {
        return Err(CommandError::Denied);
    }
    Ok(())
}

/// Everything that is probably not meant: in the file, and on this machine.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    if config.client.believes_everybody() {
        let trust = config.client.who_could_choose();
        let said = format!("{trust}; name your proxies' own addresses");
        warnings.push(config.setting("client.trusted_proxies", &said));
    }
    for surroundings::Warning { key, said } in surroundings::look(config) {
        warnings.push(config.setting(key, &said));
    }
    warnings
}
