//! Why a command did not succeed.

use std::{error::Error, io};

use crate::config::Mistakes;

/// The error of a command. Usage and mistakes end with status 2, failures with 1.
pub(super) enum CommandError {
    /// What clap refuses, with its own message. Help and version come this way too.
    Arguments(clap::Error),
    /// Arguments that clap accepts and that don't go together.
    Usage(String),
    /// A configuration with mistakes.
    Mistakes(Mistakes),
    /// A failure while running.
    Running(Box<dyn Error>),
    /// A failure while running that was told already.
    Told,
    /// What is wrong with the configuration, which was told already.
    Denied,
    /// The app that we had started ended with this status, which is not 0.
    App(u8),
}

/// A [`CommandError::Usage`].
pub(super) fn usage(problem: &str) -> CommandError {
    CommandError::Usage(problem.to_owned())
}

impl From<Mistakes> for CommandError {
    fn from(mistakes: Mistakes) -> Self {
        CommandError::Mistakes(mistakes)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        CommandError::Running(error.into())
    }
}

/// Whether the reader of our output has left, as in `gatecount … | head`.
pub(super) fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::chain;

    #[test]
    fn causes_are_told_after_the_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("can't listen on a")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("address in use"));
        assert_eq!(chain(&error), "can't listen on a: address in use");
        assert!(is_closed_pipe(&io::Error::from(io::ErrorKind::BrokenPipe)));
        assert!(!is_closed_pipe(&error));
    }
}
