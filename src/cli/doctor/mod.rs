//! `gatecount doctor`: whether everything that a sidecar needs is there and does its part: this machine, the
//! app, Plausible, and the way to it. Each check is a line, with what to do where it fails.
//!
//! Nothing is changed. A file is written into the queue's directory and removed again, the app is asked for
//! `/`, and Plausible gets a test event only where somebody agrees to that.

mod endpoint;
mod expiry;
mod machine;
mod report;
mod stream;
mod test_event;
mod visits;

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use clap::Args;
use tokio::runtime::{Builder, LocalOptions};

use crate::config::{self, Sources};

use self::report::Report;
use super::error::CommandError;

/// How the doctor asks.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Send a test event to each site at Plausible, without asking first; it shows there as one visitor
    #[arg(long)]
    send_test_event: bool,
    /// How long a site that drops the test event is asked again: a new one is unknown to Plausible for half a
    /// minute and more
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Look at what `gatecount gateway` needs: NATS and Plausible, and neither app nor sites
    #[arg(long)]
    gateway: bool,
    /// One JSON object at the end instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(sources: &Sources, arguments: &DoctorArguments) -> Result<(), CommandError> {
    // What is fetched is fetched by local tasks.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let mut report = Report::new(io::stdout().lock(), arguments.json);
    if arguments.gateway {
        let config = config::load_gateway(sources)?;
        machine::running(&config, &mut report)?;
        machine::ports(&config, &mut report)?;
        runtime.block_on(async {
            endpoint::examine(&config, &mut report).await?;
            stream::examine(&config, &mut report).await
        })?;
    } else {
        let config = config::load(sources)?;
        let rules = config::load_rules(sources)?;
        machine::configuration(&config, &mut report)?;
        machine::running(&config, &mut report)?;
        machine::ports(&config, &mut report)?;
        expiry::own(&config, &mut report)?;
        machine::queue(&config, &mut report)?;
        machine::log(&config, &mut report)?;
        machine::app(&config, &mut report)?;
        visits::of_browsers(&config, &rules, &mut report)?;
        visits::waiting(&config, &mut report)?;
        runtime.block_on(delivery(&config, arguments, &mut report))?;
    }
    if report.end()? {
        Ok(())
    } else {
        Err(CommandError::Told)
    }
}

/// The way of a sidecar's events: to Plausible, or to the stream, from where gateways deliver.
async fn delivery(
    config: &config::Config,
    arguments: &DoctorArguments,
    report: &mut Report<impl Write>,
) -> io::Result<()> {
    if config.stream.as_ref().is_some_and(|stream| !stream.deliver) {
        let said = "left to the gateways: `gatecount doctor --gateway` asks it where one runs";
        report.skipped("plausible", said)?;
    } else if endpoint::examine(config, report).await? {
        let wanted = arguments.send_test_event || agrees(config, arguments)?;
        test_event::send(config, wanted.then_some(arguments.wait), report).await?;
    } else {
        report.skipped("test event", "not sent, as Plausible is not well")?;
    }
    endpoint::tracker(config, report).await?;
    stream::examine(config, report).await
}

/// Asks on a terminal whether a test event may be sent. Without one nobody can agree.
fn agrees(config: &config::Config, arguments: &DoctorArguments) -> io::Result<bool> {
    if arguments.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let domains = visits::domains(config).join(", ");
    write!(
        io::stderr(),
        "Send a test event to {domains}? It shows there as one visitor. [y/N] "
    )?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
