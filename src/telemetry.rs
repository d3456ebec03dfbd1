//! Logs and the metrics registry, set up once.

use std::io::{self, IsTerminal};

use prometheus::{IntGaugeVec, Opts, Registry, process_collector::ProcessCollector};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged where nothing else is asked for.
const DEFAULT: &str = "info";

/// Why logs or metrics can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter directives can't be read.
    #[error(
        "the log filter {text:?} can't be read; a level (error, warn, info, debug, trace) or target=level is accepted"
    )]
    Filter {
        /// As given.
        text: String,
        /// What the reader said.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs were set up before.
    #[error("logs can't be set up")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    /// A metric's name is taken.
    #[error("the process's metrics can't be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Starts logging to standard error: human on a terminal, JSON otherwise. `directives`, else `RUST_LOG`, says what.
///
/// # Errors
/// [`Error::Filter`], [`Error::Logs`]
pub fn log(directives: Option<&str>) -> Result<(), Error> {
    let text = match directives {
        Some(text) => text.to_owned(),
        None => std::env::var("RUST_LOG")
            .ok()
            .filter(|t| !t.is_empty())
            .unwrap_or_else(|| DEFAULT.into()),
    };
    let filter = EnvFilter::try_new(&text).map_err(|source| Error::Filter { text, source })?;
    let layers = tracing_subscriber::registry().with(filter);
    if io::stderr().is_terminal() {
        layers
            .with(fmt::layer().with_writer(io::stderr).with_target(false))
            .try_init()?;
    } else {
        layers
            .with(fmt::layer().json().flatten_event(true).with_writer(io::stderr))
            .try_init()?;
    }
    Ok(())
}

/// A registry with what every process tells: its build, its CPU, memory and descriptors.
///
/// # Errors
/// [`Error::Metrics`]
pub fn registry() -> Result<Registry, Error> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let build = IntGaugeVec::new(
        Opts::new("gatecount_build_info", "Always 1; the version is in the label."),
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}
