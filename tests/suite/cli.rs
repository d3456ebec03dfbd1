//! The command line: exit statuses, every mistake at once, what `explain` tells, and the demo.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{
    client::{self, CHROME, Client, NAVIGATION, Request},
    eventually,
    message::Head,
    metrics::Metrics,
    origin::{self, Origin},
    process::{BINARY, Builder, run},
    receiver::Receiver,
    site,
};

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(config: &str) -> Output {
    run(&["check", "--config", file(config).path().to_str().unwrap()], "")
}

#[test]
fn check_prints_the_resolved_configuration_that_resolves_to_itself() {
    let first = check(
        "[app]\nurl = \"http://127.0.0.1:3000\"\n[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n",
    );
    assert!(first.status.success(), "{first:?}");
    let resolved = text(&first.stdout);
    for key in [
        "idle_timeout",
        "trusted_proxies",
        "retry_initial",
        "max_bytes",
        "utm_source",
    ] {
        assert!(resolved.contains(key), "{key} is not in {resolved}");
    }
    let second = check(&resolved);
    assert!(second.status.success(), "{second:?}");
    // What differs is where each value came from, which is told in comments.
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(table(&text(&second.stdout)), table(&resolved));
}

#[test]
fn check_says_every_mistake_at_once_and_what_would_be_right() {
    let output = check(
        "[listen]\nadress = \"0.0.0.0:80\"\ndrain = \"25 parsecs\"\n[app]\nurl = \"ftp://x\"\n\
         [client]\ntrusted_proxies = [\"10.0.0.0/99\"]\n[pages]\nbots = 7\n[plausible]\nconcurrency = 0\n",
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = text(&output.stderr);
    for (key, value) in [
        ("listen.adress", "address"),
        ("listen.drain", "25 parsecs"),
        ("app.url", "ftp://x"),
        ("client.trusted_proxies", "10.0.0.0/99"),
        ("pages.bots", "7"),
        ("plausible.concurrency", "0"),
    ] {
        let line = said
            .lines()
            .find(|l| l.contains(key))
            .unwrap_or_else(|| panic!("no line of {key}: {said}"));
        assert!(line.contains(value), "{line}");
    }
}

#[test]
fn what_does_not_work_yet_is_refused_as_unknown() {
    for unknown in [
        "[tracker]\nsource = \"/js/x.js\"",
        "[observe]\naddress = \"127.0.0.1:1\"",
        "[[events]]\nname = \"x\"",
    ] {
        let output = check(&format!("[app]\nurl = \"http://127.0.0.1:3000\"\n{unknown}\n"));
        assert_eq!(output.status.code(), Some(2), "{unknown}: {output:?}");
    }
}

#[test]
fn bad_usage_is_2_and_a_failure_while_running_is_1() {
    assert_eq!(run(&["--no-such-flag"], "").status.code(), Some(2));
    assert_eq!(run(&["no-such-command"], "").status.code(), Some(2));
    assert_eq!(
        run(&["check", "--config", "/nowhere/at/all.toml"], "")
            .status
            .code(),
        Some(2)
    );
    let taken = Origin::start(origin::pages);
    let listen = taken.address().to_string();
    let output = run(
        &[
            "--app",
            "http://127.0.0.1:1",
            "--domain",
            "a.example",
            "--listen",
            &listen,
            "--admin",
            "127.0.0.1:0",
            "--queue",
            "memory",
        ],
        "",
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains(&listen), "{output:?}");
    for asking in ["--help", "--version"] {
        assert_eq!(run(&[asking], "").status.code(), Some(0));
    }
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let config = file(
        "[app]\nurl = \"http://127.0.0.1:1\"\n[listen]\naddress = \"127.0.0.1:1001\"\ndrain = \"1s\"\n[admin]\naddress = \"127.0.0.1:1002\"\n",
    );
    let output = Command::new(BINARY)
        .args([
            "check",
            "--config",
            config.path().to_str().unwrap(),
            "--domain",
            "a.example",
        ])
        .args(["--listen", "127.0.0.1:3001"])
        .env("GATECOUNT_LISTEN_ADDRESS", "127.0.0.1:2001")
        .env("GATECOUNT_ADMIN_ADDRESS", "127.0.0.1:2002")
        .env("GATECOUNT_CLIENT_TRUSTED_PROXIES", "10.0.0.0/8,loopback")
        .output()
        .unwrap();
    let resolved: toml::Table = text(&output.stdout)
        .parse()
        .unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(resolved["listen"]["address"].as_str(), Some("127.0.0.1:3001"));
    assert_eq!(resolved["admin"]["address"].as_str(), Some("127.0.0.1:2002"));
    assert_eq!(resolved["listen"]["drain"].as_str(), Some("1s"));
    let trusted = toml::Value::from(vec!["10.0.0.0/8", "loopback"]);
    assert_eq!(resolved["client"]["trusted_proxies"], trusted);
}

#[test]
fn explain_gives_the_object_that_the_interface_shows() {
    let output = run(
        &[
            "explain",
            "--app",
            "http://127.0.0.1:1",
            "--domain",
            "example.com",
            "--json",
            "--peer",
            "10.0.0.9:4711",
            "-H",
            &format!("User-Agent: {CHROME}"),
            "-H",
            "Accept: text/html",
            "-H",
            "Upgrade-Insecure-Requests: 1",
            "-H",
            "X-Forwarded-For: 203.0.113.7",
            "--status",
            "200",
            "--response-header",
            "Content-Type: text/html",
            "http://example.com/a?b=c&ref=x",
        ],
        "",
    );
    assert!(output.status.success(), "{output:?}");
    let story: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(story["client"], "203.0.113.7");
    assert_eq!(story["client_from"], "x-forwarded-for");
    assert_eq!(story["decision"], "counted");
    assert!(story["why"].as_str().is_some_and(|w| !w.is_empty()));
    let to_app = story["to_app"].as_array().unwrap();
    assert!(
        to_app.contains(&json!(["x-forwarded-for", "203.0.113.7, 10.0.0.9"])),
        "{story}"
    );
    let event = &story["events"][0];
    assert_eq!(event["body"]["url"], "http://example.com/a?ref=x");
    let headers = event["headers"].as_array().unwrap();
    assert!(
        headers.contains(&json!(["x-forwarded-for", "203.0.113.7"])),
        "{story}"
    );
    assert!(headers.contains(&json!(["user-agent", CHROME])), "{story}");
}

#[test]
fn explain_tells_the_walk_in_words() {
    let output = run(
        &[
            "explain",
            "--app",
            "http://127.0.0.1:1",
            "--domain",
            "example.com",
            "--peer",
            "10.0.0.9:4711",
            "-H",
            "X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.1.1.1",
            "http://example.com/",
        ],
        "",
    );
    assert!(output.status.success(), "{output:?}");
    let told = text(&output.stdout);
    for word in ["10.0.0.9", "10.1.1.1", "203.0.113.7", "private"] {
        assert!(told.contains(word), "{word} is not in: {told}");
    }
}

#[test]
fn explain_answers_a_batch_line_by_line_and_a_bad_line_in_its_place() {
    let request = |path: &str, accept: &str| {
        json!({
            "peer": "10.0.0.9:4711", "method": "GET", "url": path,
            "headers": [["host", "example.com"], ["user-agent", CHROME], ["accept", accept], ["upgrade-insecure-requests", "1"], ["x-forwarded-for", "203.0.113.7"]],
            "response": {"status": 200, "headers": [["content-type", "text/html"]]}
        })
        .to_string()
    };
    let lines = [
        request("/a", "text/html"),
        "rubbish".into(),
        request("/b", "*/*"),
        "{}".into(),
        request("/c", "text/html"),
    ];
    let output = run(
        &[
            "explain",
            "--batch",
            "--app",
            "http://127.0.0.1:1",
            "--domain",
            "example.com",
        ],
        &format!("{}\n", lines.join("\n")),
    );
    assert!(output.status.success(), "{output:?}");
    let answers: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
        .collect();
    let told: Vec<&str> = answers
        .iter()
        .map(|a| a["decision"].as_str().unwrap_or("error"))
        .collect();
    assert_eq!(told, ["counted", "error", "not_page", "error", "counted"]);
    assert!(answers[1]["error"].is_string() && answers[3]["error"].is_string());
}

#[test]
fn explain_and_the_proxy_decide_alike() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let mut client = sidecar.client();
    for n in 0..48 {
        client.ask(&site::request(n).from("203.0.113.7"));
    }
    let metrics = sidecar.settled(48);
    let cases = (0..48).map(|n| as_case(&site::request(n).from("203.0.113.7")).to_string());
    let batch = cases.collect::<Vec<_>>().join("\n");
    let file = sidecar.builder().file();
    let output = run(
        &[
            "explain",
            "--batch",
            "--config",
            file.to_str().unwrap(),
            "--domain",
            "example.com",
        ],
        &batch,
    );
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for line in text(&output.stdout).lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        *counts
            .entry(answer["decision"].as_str().unwrap_or("error").to_owned())
            .or_default() += 1;
    }
    assert_eq!(counts.values().sum::<u64>(), 48);
    for (decision, count) in counts {
        assert_eq!(metrics.decisions(&decision), count, "{decision}");
    }
}

/// A request of the site as `explain --batch` takes it, with the site's own answer.
fn as_case(request: &Request) -> Value {
    let bytes = request.bytes();
    let head = Head::parse(&bytes[..bytes.len() - request.body().len()]);
    let response = {
        let app = site::start();
        Client::to(app.address()).ask(request)
    };
    json!({
        "peer": "127.0.0.1:4711",
        "method": request.method(),
        "url": request.target(),
        "headers": head.fields,
        "response": {"status": response.status(), "headers": response.head.fields},
    })
}

#[test]
fn the_demo_stands_by_itself() {
    let demo = Demo::start(&["--ports", "0,0,0"]);
    let [site, receiver, admin] = demo.addresses;
    let page = client::get(site, "/");
    assert_eq!(page.status(), 200);
    let visit = Request::get("/books").host(&site.to_string()).as_(NAVIGATION);
    assert_eq!(Client::to(site).ask(&visit).status(), 200);
    eventually("the receiver shows the visit", || {
        let metrics = Metrics::read(admin);
        match metrics.finished("delivered") {
            1 => Ok(()),
            other => Err(format!("{other} delivered: {metrics:?}")),
        }
    });
    eventually("the terminal tells of it, without the address", || {
        let lines = demo.lines();
        let told = lines
            .iter()
            .find(|line| line.contains("counted") && line.contains("GET /books"));
        match told {
            Some(line) if line.contains("127.0.0.0/24") && !line.contains('\u{1b}') => Ok(()),
            other => Err(format!("{other:?} of {lines:?}")),
        }
    });
    // Its three pages lead to each other.
    for (from, to) in [
        (site, [receiver, admin]),
        (receiver, [site, admin]),
        (admin, [site, receiver]),
    ] {
        let page = client::get(from, "/");
        assert_eq!(page.status(), 200);
        let kind = page.head.get("content-type").unwrap_or_default().to_owned();
        assert!(kind.starts_with("text/html"), "{kind}");
        for other in to {
            let link = format!("href=\"http://{other}/\"");
            assert!(
                page.text().contains(&link),
                "{from} has no {link}: {}",
                page.text()
            );
        }
    }
}

#[test]
fn a_demo_beside_another_takes_free_ports_unless_told_which() {
    let first = Demo::start(&["--quiet"]);
    let second = Demo::start(&["--quiet"]);
    for address in second.addresses {
        assert!(!first.addresses.contains(&address), "{address} twice");
        assert_eq!(client::get(address, "/").status(), 200);
    }
    let said = second.lines().join("\n");
    for port in ["8080", "8081", "9090"] {
        assert!(said.contains(&format!("Port {port} is taken, so ")), "{said}");
    }

    let taken = first.addresses[1].port();
    let output = run(&["demo", "--ports", &format!("0,{taken},0")], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let why = text(&output.stderr);
    assert!(
        why.contains(&format!("can't listen on 127.0.0.1:{taken}")),
        "{why}"
    );
    assert_eq!(run(&["demo", "--ports", "1,2"], "").status.code(), Some(2));
}

/// A running demo.
pub(crate) struct Demo {
    /// What it printed first: site, receiver, live page.
    pub(crate) addresses: [std::net::SocketAddr; 3],
    lines: Arc<Mutex<Vec<String>>>,
    child: Child,
}

impl Demo {
    #[track_caller]
    pub(crate) fn start(flags: &[&str]) -> Demo {
        let mut child = Command::new(BINARY)
            .arg("demo")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the demo");
        let output = child.stdout.take().expect("its standard output");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                read.lock().expect("the lines").push(line);
            }
        });
        let mut demo = Demo {
            addresses: [([0, 0, 0, 0], 0).into(); 3],
            lines,
            child,
        };
        demo.addresses = eventually("the demo says where its pages are, and how it ends", || {
            let lines = demo.lines();
            let found: Vec<_> = lines.iter().filter_map(|line| address_in(line)).collect();
            let ready = lines.iter().any(|line| line.starts_with("Ctrl-C"));
            found
                .try_into()
                .ok()
                .filter(|_| ready)
                .ok_or(format!("{lines:?}"))
        });
        demo
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("the lines").clone()
    }
}

/// The address of `http://ADDRESS/`.
fn address_in(line: &str) -> Option<std::net::SocketAddr> {
    line.split_once("http://")?.1.split('/').next()?.parse().ok()
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
