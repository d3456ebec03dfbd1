//! What operators read at the admin address, as INTERFACE promises it.

use std::time::{Duration, Instant};

use crate::support::{
    client::{Client, NAVIGATION, Request},
    eventually,
    message::Response,
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::Receiver,
};

/// Every metric that operators rely on.
const METRICS: [&str; 24] = [
    "gatecount_log_lines_dropped_total",
    "gatecount_config_last_reload_successful",
    "gatecount_config_last_reload_success_timestamp_seconds",
    "gatecount_requests_total",
    "gatecount_request_duration_seconds",
    "gatecount_app_errors_total",
    "gatecount_connections",
    "gatecount_decisions_total",
    "gatecount_events_offered_total",
    "gatecount_events_finished_total",
    "gatecount_delivery_attempts_total",
    "gatecount_delivery_duration_seconds",
    "gatecount_queue_events",
    "gatecount_queue_bytes",
    "gatecount_queue_oldest_seconds",
    "gatecount_queue_alarm",
    "gatecount_queue_max_bytes",
    "gatecount_delivery_state",
    "gatecount_trouble",
    "gatecount_held_views",
    "gatecount_client_address_total",
    "gatecount_forged_headers_total",
    "gatecount_build_info",
    "process_resident_memory_bytes",
];

const OUTCOMES: [&str; 10] = [
    "corrupt",
    "delivered",
    "dropped_by_plausible",
    "evicted",
    "expired",
    "handed_over",
    "overflow",
    "published",
    "rejected",
    "tracked",
];

struct Stage {
    _app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

fn stage() -> Stage {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    Stage {
        _app: app,
        plausible,
        sidecar,
    }
}

fn visit(sidecar: &Sidecar, path: &str) -> Response {
    sidecar
        .client()
        .ask(&Request::get(path).as_(NAVIGATION).from("203.0.113.77"))
}

#[test]
fn it_is_alive_and_ready_also_while_plausible_is_dead() {
    let stage = stage();
    stage.plausible.die();
    visit(&stage.sidecar, "/");
    stage.sidecar.await_metrics("a failed attempt", |m| {
        m.metric("gatecount_delivery_attempts_total").value() > 0
    });
    for path in ["/livez", "/readyz"] {
        assert_eq!(stage.sidecar.admin(path).status(), 200, "{path}");
    }
    assert_eq!(stage.sidecar.admin("/nowhere").status(), 404);
}

#[test]
fn status_tells_of_queue_delivery_and_decisions() {
    let stage = stage();
    stage.plausible.die();
    visit(&stage.sidecar, "/");
    let status = eventually("the event is in the queue", || {
        let status = stage.sidecar.status();
        if status["queue"]["events"] == 1 && status["queue"]["bytes"] != 0 {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["listen"], stage.sidecar.address.to_string());
    assert_eq!(status["admin"], stage.sidecar.admin.to_string());
    assert!(
        status["uptime_seconds"].as_f64().is_some_and(|s| s > 0.0),
        "{status}"
    );
    assert!(
        status["queue"]["bytes"].as_u64().is_some_and(|b| b > 0),
        "{status}"
    );
    assert!(status["queue"]["alarm"].is_null(), "{status}");
    assert_eq!(status["queue"]["at"], "disk");
    assert_eq!(status["decisions"]["counted"], 1);
    eventually("the failure is told", || {
        let status = stage.sidecar.status();
        if status["delivery"]["last_error"].is_string() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

#[test]
fn every_promised_metric_is_there_with_labels_from_closed_lists() {
    let stage = stage();
    visit(&stage.sidecar, "/a-path-of-ours?q=1");
    let metrics = stage.sidecar.settled(1);
    for name in METRICS {
        assert!(metrics.knows(name), "{name} is missing");
    }
    let mut outcomes = metrics.values("gatecount_events_finished_total", "outcome");
    outcomes.sort_unstable();
    assert_eq!(outcomes, OUTCOMES);
    let mut codes = metrics.values("gatecount_requests_total", "code");
    codes.sort_unstable();
    assert_eq!(codes, ["1xx", "2xx", "3xx", "4xx", "5xx"]);
    for (name, value) in metrics.labels() {
        let open = ["a-path-of-ours", "203.0.113", "example.com", "127.0.0.1"];
        assert!(!open.iter().any(|o| value.contains(o)), "{name}={value}");
    }
    assert_eq!(
        metrics
            .metric("gatecount_build_info")
            .label("version", env!("CARGO_PKG_VERSION"))
            .value(),
        1
    );
    assert_eq!(
        metrics.metric("gatecount_request_duration_seconds_count").value(),
        1
    );
    assert_eq!(
        metrics
            .metric("gatecount_client_address_total")
            .label("from", "x-forwarded-for")
            .value(),
        1
    );
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let stage = stage();
    let mut clients: Vec<Client> = (0..5).map(|_| stage.sidecar.client()).collect();
    for client in &mut clients {
        client.ask(&Request::get("/"));
    }
    let open =
        |n: u64| move |m: &crate::support::metrics::Metrics| m.metric("gatecount_connections").value() == n;
    stage.sidecar.await_metrics("five open", open(5));
    drop(clients);
    stage.sidecar.await_metrics("none open", open(0));
}

#[test]
fn decisions_are_told_with_their_reason_and_masked_addresses() {
    let stage = stage();
    visit(&stage.sidecar, "/shown?secret=1");
    let decisions = eventually("a decision", || {
        let response = stage.sidecar.admin("/decisions");
        let list = response.json().as_array().cloned().unwrap_or_default();
        if list.is_empty() {
            Err(response.text())
        } else {
            Ok(list)
        }
    });
    let decision = &decisions[0];
    assert_eq!(decision["decision"], "counted");
    assert_eq!(decision["path"], "/shown");
    assert_eq!(decision["status"], 200);
    assert!(decision["why"].as_str().is_some_and(|w| !w.is_empty()));
    let text = decision.to_string();
    assert!(
        !text.contains("203.0.113.77") && !text.contains("secret"),
        "{text}"
    );
}

/// R6: silent ones, and some that stop in the middle of a head.
#[test]
fn a_hundred_slow_clients_leave_probes_their_answers() {
    let stage = stage();
    let mut slow: Vec<Client> = (0..100).map(|_| Client::to(stage.sidecar.admin)).collect();
    for client in slow.iter_mut().step_by(2) {
        let _ = client.try_send(b"GET /status HTTP/1.1\r\nHost: local");
    }
    for _ in 0..20 {
        for path in ["/livez", "/readyz"] {
            let begun = Instant::now();
            assert_eq!(stage.sidecar.admin(path).status(), 200, "{path}");
            assert!(
                begun.elapsed() < Duration::from_secs(1),
                "{path}: {:?}",
                begun.elapsed()
            );
        }
    }
}

/// R10: a page of another site whose name was made to point here.
#[test]
fn a_foreign_name_is_refused() {
    let stage = stage();
    let request = Request::get("/decisions").host("evil.test");
    assert_eq!(Client::to(stage.sidecar.admin).ask(&request).status(), 421);
}

#[test]
fn decisions_stream_as_they_are_taken() {
    let stage = stage();
    let mut stream = Client::to(stage.sidecar.admin);
    stream.send(
        &Request::get("/decisions")
            .host("localhost")
            .with("Accept", "text/event-stream")
            .bytes(),
    );
    let head = stream.head();
    assert_eq!(head.status(), 200);
    assert!(
        head.get("content-type")
            .is_some_and(|t| t.starts_with("text/event-stream")),
        "{head:?}"
    );
    let mut wire = stream.into_wire();
    for path in ["/first-shown", "/then-shown"] {
        visit(&stage.sidecar, path);
        let mut text = String::new();
        while !text.contains(path) {
            let more = wire.some().expect("the stream goes on");
            assert!(!more.is_empty(), "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&more));
        }
        assert!(text.contains("data:"), "{text}");
        assert!(!text.contains("203.0.113.77"), "{text}");
    }
}

#[test]
fn the_live_page_is_a_page_and_escapes_what_came_from_outside() {
    let stage = stage();
    visit(&stage.sidecar, "/<script>alert(1)</script>");
    let page = eventually("the page shows the visit", || {
        let page = stage.sidecar.admin("/");
        if page.text().contains("alert(1)") {
            Ok(page)
        } else {
            Err("it does not".into())
        }
    });
    assert!(
        page.head
            .get("content-type")
            .is_some_and(|t| t.starts_with("text/html"))
    );
    assert!(!page.text().contains("<script>alert(1)"));
}

#[test]
fn nothing_is_changed_by_a_post() {
    let stage = stage();
    for path in ["/", "/explain", "/metrics", "/status", "/decisions", "/readyz"] {
        let response = Client::to(stage.sidecar.admin).ask(&Request::post(path, b"").host("localhost"));
        assert_eq!(response.status(), 405, "{path}");
    }
}

/// DNS rebinding: a page's own name is made to point at the admin address.
#[test]
fn a_foreign_host_name_is_refused_and_a_configured_one_is_not() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("admin.hosts", vec!["gatecount.internal"])
        .start();
    for (host, status) in [
        ("evil.test", 421),
        ("gatecount.internal:9090", 200),
        ("localhost", 200),
    ] {
        for path in ["/", "/status", "/decisions", "/metrics"] {
            let response = Client::to(sidecar.admin).ask(&Request::get(path).host(host));
            assert_eq!(response.status(), status, "{host} {path}");
        }
    }
}

#[test]
fn silent_clients_do_not_keep_a_probe_waiting() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app).start();
    let silent: Vec<_> = (0..200)
        .map(|_| std::net::TcpStream::connect(sidecar.admin).unwrap())
        .collect();
    assert_eq!(sidecar.admin("/livez").status(), 200);
    drop(silent);
}

#[test]
fn an_error_that_is_over_is_shown_as_over() {
    let stage = stage();
    stage.plausible.die();
    visit(&stage.sidecar, "/");
    eventually("the page shows the error", || {
        match stage.sidecar.admin("/").text() {
            page if page.contains("Connection refused") && page.contains("see above") => Ok(()),
            page => Err(page),
        }
    });
    stage.plausible.come_back();
    stage.sidecar.settled(1);
    eventually("the page shows that it is over", || {
        match stage.sidecar.admin("/").text() {
            page if page.contains("last trouble ") && !page.contains("see above") => Ok(()),
            page => Err(page),
        }
    });
}
