//! Drives a Chromium without a window by its `DevTools` protocol, over a pair of pipes.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::chromium::Chromium;

/// How long the browser may take for anything, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running browser.
pub(super) struct Browser {
    child: Child,
    pipe: RefCell<Pipe>,
    _home: TempDir,
}

struct Pipe {
    to: ChildStdin,
    messages: mpsc::Receiver<Value>,
    next: u64,
}

/// One of its tabs.
pub(super) struct Tab<'b> {
    pipe: &'b RefCell<Pipe>,
    target: String,
    session: String,
}

impl Browser {
    pub(super) fn start(chromium: Chromium) -> Browser {
        let home = TempDir::new().expect("a directory");
        let mut command = Command::new("sh");
        command
            // The protocol's pipes are the descriptors 3 and 4.
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(chromium.program())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args(["--disable-component-update", "--disable-dev-shm-usage"])
            // The tracker counts no browser that says that it is driven.
            .arg("--disable-blink-features=AutomationControlled")
            .args([
                "--disable-features=HttpsUpgrades",
                "--host-resolver-rules=MAP * 127.0.0.1",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn().expect("start Chromium");
        let to = child.stdin.take().expect("its commands");
        let mut from = BufReader::new(child.stdout.take().expect("its messages"));
        let (tell, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            while from.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                let message = serde_json::from_slice(bytes.strip_suffix(b"\0").unwrap_or(&bytes));
                if message.is_ok_and(|message| tell.send(message).is_err()) {
                    break;
                }
                bytes.clear();
            }
        });
        Browser {
            child,
            pipe: RefCell::new(Pipe {
                to,
                messages,
                next: 1,
            }),
            _home: home,
        }
    }

    /// A new tab with this user agent.
    pub(super) fn tab(&self, agent: &str) -> Tab<'_> {
        let mut pipe = self.pipe.borrow_mut();
        let target = pipe.call("", "Target.createTarget", &json!({"url": "about:blank"}));
        let target = target["targetId"].as_str().expect("a target").to_owned();
        let attached = pipe.call(
            "",
            "Target.attachToTarget",
            &json!({"targetId": target, "flatten": true}),
        );
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        pipe.call(&session, "Page.enable", &json!({}));
        pipe.call(&session, "Network.enable", &json!({}));
        pipe.call(
            &session,
            "Emulation.setUserAgentOverride",
            &json!({"userAgent": agent}),
        );
        Tab {
            pipe: &self.pipe,
            target,
            session,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A group that is gone already is as good.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -s KILL -- -{}", self.child.id())])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

impl Tab<'_> {
    /// Requests that match are not made.
    pub(super) fn block(&mut self, urls: &str) {
        self.call("Network.setBlockedURLs", &json!({"urls": [urls]}));
    }

    pub(super) fn without_javascript(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    }

    /// Goes to a page, and waits until it has loaded and its scripts have run.
    pub(super) fn navigate(&mut self, url: &str) {
        let mut pipe = self.pipe.borrow_mut();
        let answer = pipe.call(&self.session, "Page.navigate", &json!({"url": url}));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        pipe.await_event(&self.session, "Page.loadEventFired");
    }

    pub(super) fn close(self) {
        let target = json!({"targetId": self.target});
        self.pipe.borrow_mut().call("", "Target.closeTarget", &target);
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.pipe.borrow_mut().call(&self.session, method, parameters)
    }
}

impl Pipe {
    /// Calls a method, of a session or of the browser, and gives its answer. Events that come before it are
    /// not looked at.
    fn call(&mut self, session: &str, method: &str, parameters: &Value) -> Value {
        let id = self.next;
        self.next += 1;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !session.is_empty() {
            message["sessionId"] = json!(session);
        }
        let bytes = [message.to_string().as_bytes(), b"\0"].concat();
        self.to.write_all(&bytes).expect("a browser that listens");
        let answer = self.find(method, |message| message["id"] == id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn await_event(&mut self, session: &str, event: &str) {
        self.find(event, |message| {
            message["method"] == event && message["sessionId"] == session
        });
    }

    fn find(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|_| panic!("nothing from the browser: {what}"));
            if is_it(&message) {
                return message;
            }
        }
    }
}
