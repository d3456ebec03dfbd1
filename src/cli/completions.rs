//! `gatecount completions`: what completes commands and flags in a shell.

use std::io::{self, Write};

use clap::{Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::error::CommandError;

/// The shells.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CompletionShell {
    /// source <(gatecount completions bash)
    Bash,
    /// source <(gatecount completions zsh)
    Zsh,
    /// gatecount completions fish | source
    Fish,
}

pub(super) fn run(shell: CompletionShell, mut command: Command) -> Result<(), CommandError> {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    // Generated in memory first: a reader that has left would make it panic.
    let mut script = Vec::new();
    generate(shell, &mut command, "gatecount", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}
