//! What operators watch with: the alerts fire when they should, and each query of the dashboard finds something
//! in a real Prometheus that scrapes a running gatecount.

mod prometheus;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use self::prometheus::{Prometheus, deployed};
use crate::support::{
    client::{GOOGLEBOT, NAVIGATION, Request},
    eventually,
    metrics::Metrics,
    origin::{self, Origin},
    process::{Builder, has},
    receiver::Receiver,
    skip,
};

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    if !has("promtool") {
        return skip("promtool (Debian's prometheus) is not installed");
    }
    for arguments in [
        &["check", "config", "prometheus.yml"][..],
        &["test", "rules", "gatecount.rules.test.yml"],
    ] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(deployed())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}

/// Each metric is explained, and nothing else is.
#[test]
fn the_page_about_metrics_has_them_all() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("tracker.event", "/api/event")
        .set("tracker.source", "/js/script.js")
        .set("observe.log", "udp:127.0.0.1:0")
        .start();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/metrics.md");
    let mut explained = named(&fs::read_to_string(page).unwrap());
    // These need a shared queue.
    explained.retain(|name| !name.starts_with("gatecount_stream_") && !name.starts_with("process_"));
    let metrics = sidecar.metrics();
    let own = metrics.names().filter(|name| name.starts_with("gatecount_"));
    let own: BTreeSet<String> = own.map(str::to_owned).collect();
    let missing: Vec<_> = own.difference(&explained).collect();
    let made_up: Vec<_> = explained.difference(&own).collect();
    assert!(
        missing.is_empty() && made_up.is_empty(),
        "not explained: {missing:?}; not there: {made_up:?}"
    );
}

/// No alert without a test of it.
#[test]
fn each_alert_is_among_the_tested_ones() {
    let read = |name: &str| fs::read_to_string(deployed().join(name)).unwrap();
    let (rules, tests) = (read("gatecount.rules.yml"), read("gatecount.rules.test.yml"));
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 8, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(alert), "{alert} has no test");
    }
}

#[test]
fn the_metrics_of_alerts_and_dashboard_are_gatecounts() {
    let app = Origin::start(origin::pages);
    let metrics = Builder::before(&app).start().metrics();
    let rules = fs::read_to_string(deployed().join("gatecount.rules.yml")).unwrap();
    let mut wanted = named(&rules);
    for (_, expression) in expressions(&dashboard()) {
        wanted.extend(named(&expression));
    }
    assert!(wanted.len() >= 15, "{wanted:?}");
    for name in wanted {
        assert!(metrics.knows(&name), "{name} is none of gatecount's metrics");
    }
}

/// The names of gatecount's and its process's metrics in a text, a histogram's without its endings.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("gatecount_") || word.starts_with("process_"));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn a_real_prometheus_scrapes_it_and_finds_what_the_dashboard_asks_for() {
    if !has("prometheus") {
        return skip("Prometheus is not installed");
    }
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let prometheus = Prometheus::scraping(sidecar.admin);
    let scraped = |expression: &str| {
        eventually(expression, || match prometheus.query(expression)? {
            none if none.is_empty() => Err(format!("{}", prometheus.api("targets"))),
            found => Ok(found),
        })
    };
    scraped("up{job=\"gatecount\"} == 1");
    for (request, visitor) in [
        (NAVIGATION, "203.0.113.1"),
        (GOOGLEBOT, "203.0.113.2"),
        (NAVIGATION, "203.0.113.3"),
    ] {
        let request = Request::get("/").as_(request).from(visitor);
        assert_eq!(sidecar.client().ask(&request).status(), 200);
    }
    sidecar.settled(3);
    // Only the OpenMetrics format writes a whole bound so.
    scraped("gatecount_request_duration_seconds_bucket{le=\"1.0\"} > 0");
    scraped("gatecount_decisions_total{decision=\"counted\"} == 2");
    scraped("gatecount_delivery_state{state=\"passing\"} == 1");
    for (panel, expression) in expressions(&dashboard()) {
        let expression = expression
            .replace("$__rate_interval", "1m")
            .replace("$__range", "1m")
            .replace("$job", "gatecount")
            .replace("$instance", ".*");
        assert!(!expression.contains('$'), "{panel}: {expression}");
        scraped(&expression);
    }
    let rules = prometheus.api("rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 8, "{rules:?}");
    eventually("each alert was looked at", || {
        let rules = prometheus.api("rules");
        let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
        let ill: Vec<&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
        if ill.is_empty() {
            Ok(())
        } else {
            Err(format!("{ill:?}"))
        }
    });
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").unwrap();
    assert!(firing.is_empty(), "{firing:?}");
}

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/gatecount.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Each query of the dashboard, with its panel's title.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let found = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap().iter();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().unwrap().to_owned()))
    });
    found.collect()
}

/// The panels stand side by side and not on one another, and each says what it shows.
#[test]
fn the_dashboards_panels_have_room_of_their_own() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for place in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert(place), "{} lies on another panel", panel["title"]);
        }
    }
}

#[test]
fn openmetrics_is_sent_to_who_asks_for_it_and_says_the_same() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let request = Request::get("/").as_(NAVIGATION).from("203.0.113.1");
    assert_eq!(sidecar.client().ask(&request).status(), 200);
    sidecar.settled(1);
    let ask = |accept: &str| {
        let request = Request::get("/metrics").host("localhost").with("Accept", accept);
        crate::support::client::Client::to(sidecar.admin).ask(&request)
    };
    let open = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_eq!(
        open.head.get("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = open.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert!(
        text.contains("# TYPE gatecount_events_offered counter\n"),
        "{text}"
    );
    let metrics = Metrics::parse(&text);
    metrics.assert_account();
    assert_eq!(
        (metrics.decisions("counted"), metrics.finished("delivered")),
        (1, 1)
    );
    let plain = ask("text/plain");
    assert!(
        plain
            .head
            .get("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&plain.text()), names(&text));
}

/// `promtool check metrics` knows what is usual.
#[test]
fn the_metrics_names_are_as_prometheus_wants_them() {
    if !has("promtool") {
        return skip("promtool (Debian's prometheus) is not installed");
    }
    let app = Origin::start(origin::pages);
    let text = Builder::before(&app).start().admin("/metrics").text();
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
