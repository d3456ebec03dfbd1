//! The command line: flags to a command, a command's outcome to an exit status.
//!
//! Exit status: 0 fine, 1 failed while running, 2 bad usage or configuration.

mod check;
mod demo;
mod explain;
mod queue;
mod run;

#[cfg(test)]
mod tests;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::config::{Flags, Mistakes, Sources};

/// Counts page views in front of a web app and tells Plausible.
#[derive(Debug, Parser)]
#[command(
    name = "gatecount",
    version,
    after_help = "Every key of the configuration file can be set in the environment, as GATECOUNT_ and its path: \
                  GATECOUNT_LISTEN_ADDRESS. Flags beat the environment, the environment beats the file."
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand before the app and count (what is done without a command)
    Run {
        #[command(flatten)]
        options: Options,
    },
    /// A site, a Plausible-compatible receiver and the sidecar between them, all on loopback
    Demo,
    /// Say every mistake at once, or print the resolved configuration
    Check {
        #[command(flatten)]
        options: Options,
    },
    /// What would be sent for a request, and why
    Explain {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        explain: explain::Arguments,
    },
    /// Look into a disk queue
    Queue {
        #[command(subcommand)]
        action: queue::Action,
    },
}

/// The flags that say the configuration; accepted before and after the command's name.
#[derive(Debug, Clone, Default, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, which is no Markdown"
)]
struct Options {
    /// The configuration file [environment: GATECOUNT_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the app listens: http://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL")]
    app: Option<String>,
    /// The site's name at Plausible, for every host; several by commas or by repeating [environment: GATECOUNT_DOMAIN]
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// Where Plausible is [default: https://plausible.io]
    #[arg(long, value_name = "URL")]
    plausible: Option<String>,
    /// Where to listen: ADDRESS:PORT or unix:/PATH, port 0 for any free one [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where metrics and health are served [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Where events wait: memory or a directory [default: the state directory]
    #[arg(long, value_name = "WHERE")]
    queue: Option<String>,
    /// What is logged: a level, or directives as RUST_LOG's [environment: GATECOUNT_LOG]
    #[arg(long, value_name = "DIRECTIVES")]
    log: Option<String>,
}

impl Options {
    /// These, and what was said before the command's name where these say nothing.
    fn after(self, before: Options) -> Sources {
        Sources::of_process(self.flags_after(before))
    }

    fn flags_after(self, before: Options) -> Flags {
        Flags {
            config: self.config.or(before.config),
            app: self.app.or(before.app),
            domain: if self.domain.is_empty() {
                before.domain
            } else {
                self.domain
            },
            plausible: self.plausible.or(before.plausible),
            listen: self.listen.or(before.listen),
            admin: self.admin.or(before.admin),
            queue: self.queue.or(before.queue),
            log: self.log.or(before.log),
        }
    }

    fn is_empty(&self) -> bool {
        let Options {
            config,
            app,
            domain,
            plausible,
            listen,
            admin,
            queue,
            log,
        } = self;
        config.is_none()
            && domain.is_empty()
            && [app, plausible, listen, admin, queue, log]
                .iter()
                .all(|o| o.is_none())
    }
}

/// Why a command did not end well.
enum Failure {
    /// Bad usage, told by clap in its own form.
    Usage(clap::Error),
    /// Bad configuration.
    Mistakes(Mistakes),
    /// Failed while running.
    Running(Box<dyn Error>),
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Failure::Mistakes(mistakes)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Running(error.into())
    }
}

/// The whole program: reads this process's arguments, does what they say, and answers with the exit status.
pub fn main() -> ExitCode {
    match dispatch(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => {
            // Help and version come as errors too, with status 0 and standard output as their place.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        Err(Failure::Mistakes(mistakes)) => {
            let _ = writeln!(io::stderr(), "gatecount: {mistakes}");
            ExitCode::from(2)
        }
        // Whoever read our output has had enough: `gatecount … | head`.
        Err(Failure::Running(error)) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(Failure::Running(error)) => {
            let _ = writeln!(io::stderr(), "gatecount: {}", chain(error.as_ref()));
            ExitCode::from(1)
        }
    }
}

fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let Cli { options, command } = Cli::try_parse_from(arguments).map_err(Failure::Usage)?;
    match command {
        None => run::run(&options.after(Options::default())),
        Some(Command::Run { options: own }) => run::run(&own.after(options)),
        Some(Command::Demo) if options.is_empty() => demo::run(),
        Some(Command::Demo) => Err(usage("demo takes no flags: it configures itself")),
        Some(Command::Check { options: own }) => check::run(&own.after(options)),
        Some(Command::Explain {
            options: own,
            explain,
        }) => explain::run(&own.after(options), explain),
        Some(Command::Queue { action }) => queue::run(options, action),
    }
}

/// Bad usage that clap's own rules do not see.
fn usage(message: &str) -> Failure {
    use clap::{CommandFactory, error::ErrorKind};
    Failure::Usage(Cli::command().error(ErrorKind::ArgumentConflict, message))
}

/// An error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
