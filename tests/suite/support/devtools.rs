//! A real browser that a test drives: Chromium without a window, by its debugging protocol over a pipe.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::chromium::Chromium;

/// How long the browser may take over anything, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the test command puts what npm has.
const AXE: &str = "target/npm/node_modules/axe-core/axe.min.js";

/// Hands the standard streams on as the pipe of the protocol.
const PIPE: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";

/// What a page does before its own scripts: keeps what its policy forbids.
const WATCH_POLICY: &str = "window.forbidden = []; document.addEventListener('securitypolicyviolation', \
    (event) => forbidden.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile + ':' + \
    event.lineNumber));";

/// axe-core's script, if it is installed.
pub(crate) fn axe() -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(AXE)).ok()
}

/// One tab of a browser. The browser ends when this is dropped.
pub(crate) struct Tab {
    browser: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    last: u64,
    _home: TempDir,
}

impl Tab {
    /// Starts a browser with an empty tab.
    #[track_caller]
    pub(crate) fn open(chromium: Chromium) -> Tab {
        let home = TempDir::new().expect("a directory");
        let mut command = Command::new("sh");
        command
            .args(["-c", PIPE, chromium.program()])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args([
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
            ])
            .args(["--remote-debugging-pipe", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .arg("about:blank")
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut browser = command.spawn().expect("start Chromium");
        let commands = browser.stdin.take().expect("its standard input");
        let mut output = BufReader::new(browser.stdout.take().expect("its standard output"));
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else {
                    return;
                };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut tab = Tab {
            browser,
            commands,
            messages,
            session: String::new(),
            last: 0,
            _home: home,
        };
        let target = tab.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = tab.call(
            "Target.attachToTarget",
            &json!({"targetId": target["targetId"], "flatten": true}),
        );
        attached["sessionId"]
            .as_str()
            .expect("a session")
            .clone_into(&mut tab.session);
        tab.call("Page.enable", &json!({}));
        tab.call(
            "Page.addScriptToEvaluateOnNewDocument",
            &json!({"source": WATCH_POLICY}),
        );
        tab
    }

    /// Goes to an address, and waits until the page has loaded.
    #[track_caller]
    pub(crate) fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", &json!({"url": url}));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.until(&format!(
            "document.readyState === 'complete' && location.href.startsWith({})",
            json!(url)
        ));
    }

    /// Shows the page with this width, and in a dark or light scheme.
    #[track_caller]
    pub(crate) fn show(&mut self, width: u32, dark: bool) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}),
        );
        let scheme = if dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({"features": [
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]}),
        );
    }

    /// Has the page believe to be in this time zone.
    #[track_caller]
    pub(crate) fn move_to(&mut self, zone: &str) {
        self.call("Emulation.setTimezoneOverride", &json!({"timezoneId": zone}));
    }

    /// The value of an expression; that of a promise once it is kept.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let told = self.call(
            "Runtime.evaluate",
            &json!({"expression": expression, "awaitPromise": true, "returnByValue": true}),
        );
        assert!(told["exceptionDetails"].is_null(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            assert!(
                begun.elapsed() < PATIENCE,
                "{expression} is not true after {PATIENCE:?}: {}",
                self.value("document.body.innerText")
            );
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// What the page's policy has forbidden it.
    #[track_caller]
    pub(crate) fn forbidden(&mut self) -> Value {
        self.value("forbidden")
    }

    /// What axe-core finds wrong with the page as it is, in a line each.
    #[track_caller]
    pub(crate) fn findings(&mut self, axe: &str) -> Vec<String> {
        if self.value("typeof axe") == "undefined" {
            self.call("Runtime.evaluate", &json!({"expression": axe}));
        }
        let found = self.value(
            "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.map((v) => \
             v.id + ': ' + v.help + ' at ' + v.nodes.map((n) => n.html).join(' and ')))",
        );
        let found = found.as_array().expect("a list").iter();
        found
            .map(|line| line.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("Chromium reads");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("{method}: Chromium is silent: {error}"));
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        // A group that is gone already is as good.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -s KILL -- -{}", self.browser.id())])
            .stderr(Stdio::null())
            .status();
        let _ = self.browser.wait();
    }
}
