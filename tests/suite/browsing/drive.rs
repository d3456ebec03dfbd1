//! Runs the driver before a sidecar, and reads what it says.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde::Deserialize;

use super::tally::View;
use crate::support::{
    process::{Builder, has},
    receiver::Receiver,
    tls::Authority,
};

/// Who browses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Browser {
    Chromium,
    Firefox,
    WebKit,
}

/// How the site is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// By a name: browsers send no `Sec-Fetch-*`, and there are no service workers.
    Http,
    /// As localhost, which browsers trust like https.
    Localhost,
    /// HTTP/2 over TLS.
    Https,
}

/// How much is browsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All the steps.
    Whole,
    /// A third of them, about. Over http, over https and on localhost together are all the steps, each once.
    Share,
    /// What browsers do each in its own way.
    Brief,
    /// The steps on the site of this framework.
    Framework(&'static str),
}

/// What came of it.
pub(super) struct Browsed {
    pub(super) steps: Vec<Step>,
    /// What gatecount sent.
    pub(super) counted: Vec<View>,
    /// What the app was asked.
    pub(super) requests: Vec<Exchange>,
}

/// A step, as the driver tells of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) id: String,
    /// In milliseconds.
    pub(super) took: u64,
    /// Why it could not be taken.
    pub(super) error: Option<String>,
    /// The views that the tracker sent.
    pub(super) events: Vec<View>,
    /// What a server cannot see, by the reason.
    pub(super) beyond: BTreeMap<String, Beyond>,
    /// Paths that the tracker counts, and the paths of the pages that were shown.
    pub(super) alias: BTreeMap<String, String>,
}

/// Paths of views within a step.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Beyond {
    /// That the tracker alone counts.
    pub(super) missed: Vec<String>,
    /// That a server takes for views.
    pub(super) invented: Vec<String>,
}

/// A request to the app, and its answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Exchange {
    pub(super) step: String,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    /// None where the client left first.
    pub(super) response: Option<Answer>,
}

/// A response's head.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Listening { app: u16 },
    Step(Step),
    Done { requests: Vec<Exchange> },
}

/// Browses; or says what is missing for it on this machine.
#[track_caller]
pub(super) fn browse(browser: Browser, over: Over, part: Part) -> Result<Browsed, String> {
    let program = match browser {
        Browser::Chromium => ["chromium", "chromium-browser", "google-chrome"].as_slice(),
        Browser::Firefox => &["firefox-esr", "firefox"],
        Browser::WebKit => &["WebKitWebDriver"],
    };
    let program = program.iter().find(|name| has(name));
    let program = program.ok_or_else(|| format!("{browser:?} is not installed"))?;
    if browser == Browser::WebKit && !has("Xvfb") {
        return Err("Xvfb is not installed".into());
    }
    if !has("node") {
        return Err("Node.js is not installed".into());
    }
    let cache = root().join("tests/.cache/browsing");
    let modules = cache.join("node_modules");
    if !cache.join("complete").exists() {
        return Err("the libraries are not installed: tests/run does it".into());
    }
    let frameworks = root().join("tests/.cache/frameworks");
    let framework = match part {
        Part::Framework(name) => Some(name),
        Part::Whole | Part::Share | Part::Brief => None,
    };
    if let Some(name) = framework
        && !frameworks.join(name).join("complete").exists()
    {
        return Err(format!(
            "the site of {name} is not built: GATECOUNT_FULL=1 tests/run does it"
        ));
    }
    let authority = Authority::new();
    let pair = authority.pair("site", &["site.test", "localhost"]);
    let (scheme, host) = match over {
        Over::Http => ("http", "site.test"),
        Over::Localhost => ("http", "localhost"),
        Over::Https => ("https", "site.test"),
    };
    let options = serde_json::json!({
        "browser": format!("{browser:?}").to_lowercase(),
        "program": program,
        "scheme": scheme,
        "host": host,
        "modules": modules,
        "tracker": root().join("tests/corpus/tracker/tracker-0.4.6.js"),
        "certificate": (over == Over::Https).then_some(&pair.certificate),
        "key": (over == Over::Https).then_some(&pair.key),
        // Of WebKit each is a browser of its own.
        "at_once": if browser == Browser::WebKit { 2 } else { 3 },
        "brief": part == Part::Brief,
        "shared": part == Part::Share,
        "framework": framework,
        "frameworks": frameworks,
        "only": std::env::var("BROWSING_ONLY").ok(),
    });
    let mut driver = Driver::start(&options.to_string());
    let Some(Said::Listening { app }) = driver.hear() else {
        panic!("the driver does not listen");
    };
    let plausible = Receiver::start();
    // The browser's address, which is loopback's, is a visitor's here.
    let builder = Builder::before_url(&format!("http://127.0.0.1:{app}"))
        .telling(&plausible)
        .set("client.trusted_proxies", vec!["127.0.0.2"])
        .set("pages.count", "always")
        .set("pages.exclude", vec!["/*/admin/**"]);
    let builder = if over == Over::Https {
        builder.tls(&pair)
    } else {
        builder
    };
    let sidecar = builder.start();
    driver.tell(sidecar.address.port());
    let (mut steps, mut requests) = (Vec::new(), Vec::new());
    while let Some(said) = driver.hear() {
        match said {
            Said::Step(step) => steps.push(step),
            Said::Done { requests: all } => requests = all,
            Said::Listening { .. } => panic!("the driver listens twice"),
        }
    }
    driver.end();
    sidecar.drained();
    plausible.assert_strict();
    let views = plausible.recorded().into_iter();
    let counted = views
        .filter(|event| event.text("name") == "pageview")
        .map(|event| View::new(event.text("url"), event.text("referrer")));
    let recording = Browsed {
        steps,
        counted: counted.collect(),
        requests,
    };
    let name = framework.map_or_else(|| format!("{browser:?}"), str::to_owned);
    recording.keep(&format!("{name}-{over:?}.jsonl").to_lowercase());
    Ok(recording)
}

impl Browsed {
    /// Writes the recording where `BROWSING_RECORD` says, for `tests/corpus/pages/make.mjs`.
    fn keep(&self, name: &str) {
        let Some(directory) = std::env::var_os("BROWSING_RECORD") else {
            return;
        };
        let mut text = String::new();
        for exchange in &self.requests {
            let response = exchange.response.as_ref();
            let line = serde_json::json!({
                "step": exchange.step, "method": exchange.method, "url": exchange.url, "headers": exchange.headers,
                "response": response.map(|r| serde_json::json!({"status": r.status, "headers": r.headers})),
            });
            writeln!(text, "{line}").expect("a string takes it");
        }
        fs::write(PathBuf::from(directory).join(name), text).expect("write the recording");
    }
}

/// The repository.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The driver's process, ended when dropped; its browser ends with it.
struct Driver {
    child: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Driver {
    fn start(options: &str) -> Driver {
        let mut child = Command::new("node")
            .arg(root().join("tests/suite/browsing/driver/main.mjs"))
            .arg(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start Node.js");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        Driver { child, said }
    }

    fn tell(&mut self, port: u16) {
        let mut stdin = self.child.stdin.as_ref().expect("its input");
        writeln!(stdin, "{port}").expect("tell the driver");
    }

    /// The next thing it says; nothing at its end.
    fn hear(&mut self) -> Option<Said> {
        let line = self.said.next()?.expect("read from the driver");
        Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e} in {line}")))
    }

    fn end(&mut self) {
        let status = self.child.wait().expect("wait for the driver");
        assert!(status.success(), "the driver ended with {status}");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // At the end of its input it ends its browser and itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
