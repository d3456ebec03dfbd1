//! The command line: from arguments to a command, from its outcome to an exit status.
//!
//! Exit status: 0 fine, 1 failed while running, 2 bad usage or configuration. Where `run` has started the app
//! it is the app's.

mod check;
mod completions;
mod demo;
mod error;
mod explain;
mod healthcheck;
mod inject;
mod man;
mod observe;
mod options;
mod queue;
mod run;
mod schema;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use self::{
    error::{CommandError, is_closed_pipe, usage},
    options::Options,
};
use crate::telemetry::chain;

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
    command: Option<CliCommand>,
    #[command(flatten)]
    app: AppWords,
}

/// The app's own command, behind `--`.
#[derive(Debug, Default, Args)]
struct AppWords {
    /// Start the app by this command: its PORT is a free one, signals are passed on, its exit status is ours
    #[arg(last = true, value_name = "COMMAND")]
    words: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Stand before the app and count (what is done without a command)
    Run {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        app: AppWords,
    },
    /// A site, a Plausible-compatible receiver and the sidecar between them, all on loopback
    Demo {
        #[command(flatten)]
        demo: demo::DemoArguments,
    },
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
    /// Read an access log and print what would be counted, and why; nothing is sent
    Observe {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        observe: observe::ObserveArguments,
    },
    /// Add the sidecar to the Kubernetes workloads on standard input, and lead their Services to it
    Inject(inject::InjectArguments),
    /// Ask a running gatecount whether it accepts requests
    Healthcheck {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        healthcheck: healthcheck::HealthcheckArguments,
    },
    /// Look into a disk queue
    Queue {
        #[command(subcommand)]
        action: queue::Action,
    },
    /// Print what completes gatecount's commands and flags in a shell
    Completions {
        /// The shell
        shell: completions::CompletionShell,
    },
    /// Print the manual page: `gatecount man | man -l -`
    Man,
    /// Print the configuration file's JSON schema, for editors
    Schema {
        #[command(flatten)]
        schema: schema::SchemaArguments,
    },
}

/// The whole program: reads this process's arguments, runs the command, and returns the exit status.
pub fn main() -> ExitCode {
    match dispatch(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Arguments(error)) => print_usage(&error),
        Err(CommandError::Usage(problem)) => {
            print_usage(&Cli::command().error(ErrorKind::ArgumentConflict, problem))
        }
        Err(CommandError::Mistakes(mistakes)) => {
            let _ = writeln!(io::stderr(), "gatecount: {mistakes}");
            ExitCode::from(2)
        }
        Err(CommandError::Logged) => ExitCode::from(1),
        Err(CommandError::App(status)) => ExitCode::from(status),
        Err(CommandError::Running(error)) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(CommandError::Running(error)) => {
            let _ = writeln!(io::stderr(), "gatecount: {}", chain(error.as_ref()));
            ExitCode::from(1)
        }
    }
}

/// Help and version are errors for clap too, with status 0 and printed to standard output.
fn print_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Result<(), CommandError> {
    let Cli {
        options,
        command,
        app,
    } = Cli::try_parse_from(arguments).map_err(CommandError::Arguments)?;
    match command {
        None => run::run(options.flags_after(Options::default()), &app.words),
        Some(CliCommand::Run { options: own, app }) => run::run(own.flags_after(options), &app.words),
        Some(CliCommand::Inject(arguments)) if options.is_empty() => inject::run(&arguments),
        Some(CliCommand::Inject(_)) => Err(usage("inject takes its flags behind its name")),
        Some(CliCommand::Healthcheck {
            options: own,
            healthcheck,
        }) => healthcheck::run(&own.after(options), &healthcheck),
        Some(CliCommand::Demo { demo }) if options.is_empty() => demo::run(&demo),
        Some(CliCommand::Demo { .. }) => Err(usage(
            "demo takes no flags of the configuration: it configures itself",
        )),
        Some(CliCommand::Check { options: own }) => check::run(&own.after(options)),
        Some(CliCommand::Explain {
            options: own,
            explain,
        }) => explain::run(&own.after(options), explain),
        Some(CliCommand::Observe {
            options: own,
            observe,
        }) => observe::run(&own.after(options), &observe),
        Some(CliCommand::Queue { action }) => queue::run(options, action),
        Some(CliCommand::Completions { shell }) => completions::run(shell, Cli::command()),
        Some(CliCommand::Man) => man::run(Cli::command()),
        Some(CliCommand::Schema { schema }) => schema::run(&schema),
    }
}
