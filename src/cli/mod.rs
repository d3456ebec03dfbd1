//! The command line: from arguments to a command, from its outcome to an exit status.
//!
//! Exit status: 0 fine, 1 failed while running, 2 bad usage or configuration. Where `run` has started the app
//! it is the app's.

mod check;
mod completions;
mod demo;
mod doctor;
mod error;
mod explain;
mod gateway;
mod healthcheck;
mod inject;
mod man;
mod observe;
mod options;
mod queue;
mod run;
mod schema;
mod surroundings;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use self::{
    error::{CommandError, is_closed_pipe, usage},
    options::Options,
};
use crate::telemetry::chain;

/// What help ends with.
const AFTER_HELP: &str = "\
Example:
  gatecount --app http://127.0.0.1:3000 --domain example.com
  gatecount check --config /etc/gatecount.toml
  gatecount explain --domain example.com curl -H 'accept: text/html' 'https://example.com/a'

Every key of the configuration file can be set in the environment, as GATECOUNT_ and its path: \
GATECOUNT_LISTEN_ADDRESS. Flags beat the environment, the environment beats the file.

Exit status: 0 fine, 1 failed while running, 2 bad usage or configuration.";

/// Counts page views in front of a web app and tells Plausible.
#[derive(Debug, Parser)]
#[command(
    name = "gatecount",
    version,
    after_help = AFTER_HELP
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
        #[command(flatten)]
        check: check::CheckArguments,
    },
    /// What would be sent for a request, and why
    Explain {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        explain: explain::Arguments,
    },
    /// Is Plausible up, does it drop us, which address does it see; is the app up; can the queue be written
    Doctor {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        doctor: doctor::DoctorArguments,
    },
    /// Take events from the shared stream and deliver them
    Gateway {
        #[command(flatten)]
        options: Options,
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

/// The flags of the configuration that a command obeys, for those that do not obey all. The others are
/// accepted, for one command line may serve several commands, and not listed.
const LISTED: &[(&[&str], &[&str])] = &[
    (&["explain"], &["config", "domain"]),
    (
        &["gateway"],
        &["config", "plausible", "admin", "log", "log_format"],
    ),
    (&["observe"], &["config", "domain"]),
    (&["queue", "status"], &["config", "queue"]),
    (&["queue", "list"], &["config", "queue"]),
    (&["queue", "export"], &["config", "queue"]),
    (&["queue", "purge"], &["config", "queue"]),
];

/// The flags of the configuration.
const OPTIONS: [&str; 9] = [
    "config",
    "app",
    "domain",
    "plausible",
    "listen",
    "admin",
    "queue",
    "log",
    "log_format",
];

/// The command line.
pub fn command() -> Command {
    LISTED.iter().fold(Cli::command(), |command, (path, listed)| {
        narrowed(command, path, listed)
    })
}

/// Hides the flags that the command at `path` does not obey.
fn narrowed(command: Command, path: &[&str], listed: &[&str]) -> Command {
    if let Some((first, rest)) = path.split_first() {
        return command.mut_subcommand(first, |inner| narrowed(inner, rest, listed));
    }
    OPTIONS
        .iter()
        .filter(|option| !listed.contains(option))
        .fold(command, |command, option| {
            command.mut_arg(option, |arg| arg.hide(true))
        })
}

/// The whole program: reads this process's arguments, runs the command, and returns the exit status.
pub fn main() -> ExitCode {
    match dispatch(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Arguments(error)) => print_usage(&error),
        Err(CommandError::Usage(problem)) => {
            print_usage(&command().error(ErrorKind::ArgumentConflict, problem))
        }
        Err(CommandError::Mistakes(mistakes)) => {
            let _ = writeln!(io::stderr(), "gatecount: {mistakes}");
            ExitCode::from(2)
        }
        Err(CommandError::Told) => ExitCode::from(1),
        Err(CommandError::Denied) => ExitCode::from(2),
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

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from(arguments)?)
}

fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Result<(), CommandError> {
    let Cli {
        options,
        command,
        app,
    } = parse(arguments).map_err(CommandError::Arguments)?;
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
        Some(CliCommand::Check { options: own, check }) => check::run(&own.after(options), &check),
        Some(CliCommand::Doctor { options: own, doctor }) => doctor::run(&own.after(options), &doctor),
        Some(CliCommand::Explain {
            options: own,
            explain,
        }) => explain::run(&own.after(options), explain),
        Some(CliCommand::Gateway { options: own }) => gateway::run(own.after(options)),
        Some(CliCommand::Observe {
            options: own,
            observe,
        }) => observe::run(&own.after(options), &observe),
        Some(CliCommand::Queue { action }) => queue::run(options, action),
        Some(CliCommand::Completions { shell }) => completions::run(shell, self::command()),
        Some(CliCommand::Man) => man::run(self::command()),
        Some(CliCommand::Schema { schema }) => schema::run(&schema),
    }
}
