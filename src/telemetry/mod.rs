//! Logging and the metrics registry.
//!
//! - `log_buffer` takes log lines from the threads that serve and deliver, which never wait for standard
//!   error.
//! - `throttle` keeps a repeated log line from flooding the log.
//! - `troubles` is the list of what is wrong, which log, `/status`, live page and metrics show alike; `trouble` is one
//!   of them.

mod log_buffer;
mod throttle;
mod trouble;
mod troubles;

use std::{
    error::Error as StdError,
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    sync::LazyLock,
    time::Duration,
};

use prometheus::{IntCounter, IntGaugeVec, Opts, Registry, process_collector::ProcessCollector};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub use throttle::LogThrottle;
pub use trouble::{Trouble, TroubleKind, TroubleWords};
pub use troubles::Troubles;

use log_buffer::LogBuffer;

/// How long the end of the process waits for standard error to take the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Log lines that standard error did not take. There is one log for the process.
static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "gatecount_log_lines_dropped_total",
        "Log lines that standard error did not take in time.",
    )
    .expect("a valid name")
});

/// `[log]`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A level, or directives as in `RUST_LOG`.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

impl Settings {
    /// Whether lines are for people, and not JSON.
    pub fn is_text(&self) -> bool {
        match self.format {
            LogFormat::Auto => io::stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logs or metrics can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is neither a level nor directives. The configuration refuses such a level.
    #[error("the log level {text:?} can't be read")]
    Level {
        /// As given.
        text: String,
        /// Why it can't be read.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was set up before.
    #[error("logging can't be set up")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
    /// The system refused the log's thread or a second descriptor for standard error.
    #[error("the log's thread can't be started")]
    Thread(#[source] io::Error),
    /// A metric's name is taken.
    #[error("the process's metrics can't be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Waits, when dropped, until the last lines are written, half a second at most: nobody may be reading them.
#[derive(Debug)]
#[must_use = "the last lines are lost without it"]
pub struct LastLines(LogBuffer);

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// A level for gatecount's own lines alone: the client of the stream tells each of its tries to connect. What
/// names more than a level is taken as it is.
fn without_chatter(text: &str) -> String {
    match text.trim().to_ascii_lowercase().as_str() {
        "warn" | "info" | "debug" => format!("{text},async_nats=off"),
        _ => text.to_owned(),
    }
}

/// Starts logging to standard error, by a thread of its own.
///
/// # Errors
/// [`Error::Level`], [`Error::Logging`], [`Error::Thread`]
pub fn init_logging(settings: &Settings) -> Result<LastLines, Error> {
    let text = settings.level.clone();
    let filter: Targets = match without_chatter(&text).parse() {
        Ok(filter) => filter,
        Err(source) => return Err(Error::Level { text, source }),
    };
    let buffer = LogBuffer::start(DROPPED.clone()).map_err(Error::Thread)?;
    std::panic::set_hook(Box::new(log_panic));
    let subscriber = tracing_subscriber::registry().with(filter);
    if settings.is_text() {
        subscriber
            .with(
                fmt::layer()
                    .with_writer(buffer.clone())
                    .with_ansi(io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init()?;
    } else {
        subscriber
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(buffer.clone()),
            )
            .try_init()?;
    }
    Ok(LastLines(buffer))
}

/// An error and its causes on one line.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Logs where a panic happened, without its message: that may quote what a visitor sent.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(
        place,
        thread = thread.name(),
        "a panic, by a fault of gatecount's own"
    );
}

/// A registry with the metrics of every process: build, CPU, memory and descriptors.
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
    registry.register(Box::new(DROPPED.clone()))?;
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_without_its_message() {
        let written = Written::default();
        let writer = written.clone();
        let logs =
            tracing_subscriber::registry().with(fmt::layer().json().with_writer(move || writer.clone()));
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let panicked = tracing::subscriber::with_default(logs, || {
            std::panic::catch_unwind(|| panic!("https://example.com/a-visitors-page"))
        });
        std::panic::set_hook(before);
        assert!(panicked.is_err());
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("telemetry/mod.rs:"), "{text}");
        assert!(!text.contains("visitors-page"), "{text}");
    }
}
