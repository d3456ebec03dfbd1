//! A real browser: Chromium without a window, which loads one page and hands back what became of it.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::client::CHROME;

/// How long a page may take, the browser's start with it, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// By what names it is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The host that a page is asked for by: without TLS, browsers send `Sec-Fetch-*` to this one alone.
pub(crate) const HOST: &str = "localhost";

/// A Chromium that is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chromium(&'static str);

impl Chromium {
    /// The one that is installed.
    pub(crate) fn installed() -> Option<Chromium> {
        let there = |name: &&str| {
            let mut command = Command::new(name);
            command
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        NAMES.into_iter().find(there).map(Chromium)
    }

    /// The command that starts it.
    pub(crate) fn name(self) -> &'static str {
        self.0
    }

    /// Loads a page and gives its DOM as HTML, as it was when the page had loaded with all that it refers to.
    /// A page whose script takes longer refers to something that comes when the script is done. Every
    /// certificate will do.
    #[track_caller]
    pub(crate) fn dom(self, url: &str) -> String {
        let home = TempDir::new().expect("a directory");
        let mut command = Command::new(self.0);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args([
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
            ])
            .args(["--ignore-certificate-errors", "--dump-dom"])
            .args([
                "--disable-features=HttpsUpgrades",
                "--host-resolver-rules=MAP * 127.0.0.1",
            ])
            // Without this it says that it is headless, and counts as a bot.
            .arg(format!("--user-agent={CHROME}"))
            .arg(format!("--user-data-dir={}", home.path().display()))
            .arg(url)
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut browser = Browser(command.spawn().expect("start Chromium"));
        let said = follow(browser.0.stdout.take().expect("its standard output"));
        let complaints = follow(browser.0.stderr.take().expect("its standard error"));
        let ended = browser.ends();
        // With the last of its processes the pipes close.
        drop(browser);
        let (said, complaints) = (said.join(), complaints.join());
        let (said, complaints) = (said.expect("its output"), complaints.expect("its errors"));
        assert!(
            ended,
            "Chromium did not load {url} in {PATIENCE:?}:\n{complaints}"
        );
        assert!(!said.is_empty(), "Chromium did not load {url}:\n{complaints}");
        said
    }
}

/// Its processes, which share a group; ended when dropped.
struct Browser(Child);

impl Browser {
    /// Whether it ends by itself in time.
    fn ends(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.0.try_wait().expect("wait").is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A group that is gone already is as good.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -s KILL -- -{}", self.0.id())])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.wait();
    }
}

fn follow(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
