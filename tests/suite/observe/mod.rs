//! Requests seen from aside: copies of requests, and access logs. Nothing here has an app behind it.

mod dry_run;
mod formats;
mod kills;
mod mirror;
mod receiver;
mod rotation;
mod rubbish;
mod syslog;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use crate::support::{
    as_long_as_it_moves,
    client::CHROME,
    process::{Builder, Sidecar},
    receiver::Receiver,
};

/// A log that is written as a server would, and who is told of it.
struct Stage {
    plausible: Receiver,
    builder: Builder,
    log: Log,
}

/// A log file in a directory of its own.
struct Log {
    directory: TempDir,
    file: File,
}

impl Log {
    fn new() -> Log {
        let directory = TempDir::new().unwrap();
        let file = open(&directory.path().join("access.log"));
        Log { directory, file }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("access.log")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.file.write_all(bytes.as_ref()).unwrap();
    }

    /// A line for each page.
    fn pages(&mut self, numbers: std::ops::Range<usize>) {
        let lines: String = numbers.map(line).collect();
        self.write(lines);
    }

    /// Renames it, as logrotate does by default: the server writes on into the same file.
    fn rename(&self, name: &str) {
        fs::rename(self.path(), self.beside(name)).unwrap();
    }

    /// Copies it and cuts it, as logrotate's `copytruncate`.
    fn copy_and_cut(&self, name: &str) {
        fs::copy(self.path(), self.beside(name)).unwrap();
        let file = OpenOptions::new().write(true).open(self.path()).unwrap();
        file.set_len(0).unwrap();
    }

    /// Opens the file under the log's name, which is made where it is missing, as a server does when it is
    /// told to.
    fn reopen(&mut self) {
        self.file = open(&self.path());
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// A followed log, nothing behind, and a Plausible.
fn stage() -> Stage {
    let (plausible, log) = (Receiver::start(), Log::new());
    let builder = Builder::aside()
        .telling(&plausible)
        .set("observe.log", format!("file:{}", log.path().display()));
    Stage {
        plausible,
        builder,
        log,
    }
}

/// A line of a page view, now, by a visitor of its own.
fn line(number: usize) -> String {
    line_at(number, now())
}

fn line_at(number: usize, at: f64) -> String {
    format!(
        "{{\"time\":{at:.3},\"peer\":\"{}\",\"method\":\"GET\",\"uri\":\"/page/{number}\",\"host\":\"example.com\",\
         \"scheme\":\"https\",\"status\":200,\"content_type\":\"text/html\",\"headers\":{{\"user-agent\":\"{CHROME}\",\
         \"accept\":\"text/html\",\"sec-fetch-dest\":\"document\",\"sec-fetch-mode\":\"navigate\"}}}}\n",
        visitor(number)
    )
}

fn visitor(n: usize) -> String {
    format!("203.{}.{}.{}", n / 62500 % 250, n / 250 % 250, n % 250 + 1)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

/// How often each page was recorded.
fn recorded(plausible: &Receiver) -> BTreeMap<usize, usize> {
    let mut times = BTreeMap::new();
    for event in plausible.recorded() {
        let number = event.text("url").rsplit('/').next().unwrap().parse().unwrap();
        *times.entry(number).or_default() += 1;
    }
    times
}

/// Waits until so many pages are recorded and nothing is pending, and holds that they are these, each once.
#[track_caller]
fn assert_each_once(sidecar: &Sidecar, plausible: &Receiver, pages: std::ops::Range<usize>) {
    as_long_as_it_moves("every page is recorded", || match plausible.recorded().len() {
        enough if enough >= pages.len() => Ok(()),
        so_far => Err(so_far),
    });
    sidecar.drained();
    let times = recorded(plausible);
    let missing: Vec<_> = pages.clone().filter(|n| !times.contains_key(n)).collect();
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(
        missing.is_empty() && twice.is_empty(),
        "missing {missing:?}, twice {twice:?}"
    );
    assert_eq!(times.len(), pages.len());
    plausible.assert_strict();
}

/// Waits until so many lines are decided.
#[track_caller]
fn await_lines(sidecar: &Sidecar, result: &str, count: u64) {
    sidecar.await_metrics(&format!("{count} lines {result}"), |metrics| {
        lines(metrics, result) >= count
    });
}

fn lines(metrics: &crate::support::metrics::Metrics, result: &str) -> u64 {
    metrics
        .metric("gatecount_observed_lines_total")
        .label("result", result)
        .value()
}
