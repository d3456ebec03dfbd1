//! Logging, the metrics registry, and the throttle that keeps a repeated log line from flooding the log.

use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    time::{Duration, Instant},
};

use prometheus::{IntGaugeVec, Opts, Registry, process_collector::ProcessCollector};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// `[log]`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A level, or directives as in `RUST_LOG`.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
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
    /// A metric's name is taken.
    #[error("the process's metrics can't be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Starts logging to standard error.
///
/// # Errors
/// [`Error::Level`], [`Error::Logging`]
pub fn init_logging(settings: &Settings) -> Result<(), Error> {
    let text = settings.level.clone();
    let filter = EnvFilter::try_new(&text).map_err(|source| Error::Level { text, source })?;
    std::panic::set_hook(Box::new(log_panic));
    let subscriber = tracing_subscriber::registry().with(filter);
    let as_text = match settings.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if as_text {
        subscriber
            .with(
                fmt::layer()
                    .with_writer(io::stderr)
                    .with_ansi(io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init()?;
    } else {
        subscriber
            .with(fmt::layer().json().flatten_event(true).with_writer(io::stderr))
            .try_init()?;
    }
    Ok(())
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
    Ok(registry)
}

/// Limits how often a log line is written. A line that is written says how many occurrences it stands for.
#[derive(Debug)]
pub struct LogThrottle {
    lines: u32,
    span: Duration,
    /// When the current span began.
    began: Option<Instant>,
    /// Lines written in the current span.
    written: u32,
    /// Occurrences since the last line.
    suppressed: u64,
}

impl LogThrottle {
    /// At most `lines` lines in each `span`.
    pub const fn new(lines: u32, span: Duration) -> Self {
        LogThrottle {
            lines,
            span,
            began: None,
            written: 0,
            suppressed: 0,
        }
    }

    /// Adds occurrences. If a line may be written now, returns how many occurrences it stands for, including those that
    /// were suppressed before it.
    pub fn pass(&mut self, now: Instant, occurrences: u64) -> Option<u64> {
        self.suppressed += occurrences;
        if self
            .began
            .is_none_or(|began| now.saturating_duration_since(began) >= self.span)
        {
            self.written = 0;
        }
        if self.suppressed == 0 || self.written == self.lines {
            return None;
        }
        if self.written == 0 {
            self.began = Some(now);
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
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
    fn a_line_stands_for_all_occurrences_since_the_line_before_it() {
        let mut throttle = LogThrottle::new(1, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttle.pass(start, 0), None);
        assert_eq!(throttle.pass(start, 2), Some(2));
        assert_eq!(throttle.pass(at(1), 3), None);
        assert_eq!(throttle.pass(at(9), 4), None);
        assert_eq!(throttle.pass(at(10), 1), Some(8));
    }

    #[test]
    fn several_lines_pass_in_one_span() {
        let mut throttle = LogThrottle::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let passed = [0, 100, 200, 999, 1_000, 1_100, 1_200]
            .map(|ms| throttle.pass(start + Duration::from_millis(ms), 1));
        assert_eq!(passed, [Some(1), Some(1), None, None, Some(3), Some(1), None]);
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
        assert!(text.contains("telemetry.rs:"), "{text}");
        assert!(!text.contains("visitors-page"), "{text}");
    }
}
