//! This machine: ports, the queue's directory, the app, the observed log, a gatecount that runs, visits.

use std::{fs, net::TcpListener, time::Duration};

use super::{Report, before, run, stage};
use crate::support::{
    client::{NAVIGATION, Request},
    origin::{self, Origin},
    process::{Builder, free_port},
    receiver::Receiver,
    tls::{Authority, Pair},
};

#[test]
fn what_is_not_there_is_a_line_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = Builder::before_url(&format!("http://{}", free_port()))
        .set("listen.address", taken.local_addr().unwrap().to_string())
        .set("admin.address", free_port().to_string())
        .set("queue.path", "/proc/nope/queue");
    let output = run(&builder, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    for (check, said, advice) in [
        (
            "port",
            "another process listens on port",
            "choose another address for listen.address",
        ),
        ("queue", "/proc/nope/queue can't be made in /proc", "chown"),
        ("app", "nobody listens there", "start the app"),
        ("plausible", "Connection refused", "is Plausible up"),
    ] {
        let at = lines
            .iter()
            .position(|line| line.starts_with("FAIL") && line.contains(check) && line.contains(said));
        let at = at.unwrap_or_else(|| panic!("no line of {check} says {said:?}:\n{told}"));
        assert!(
            lines[at + 1].contains("→") && lines[at + 1].contains(advice),
            "{told}"
        );
    }
    assert!(told.contains(" checks: 4 failed, "), "{told}");
}

#[test]
fn the_certificates_for_clients_are_told_with_their_end() {
    let (_app, _plausible, builder) = stage();
    let days = |days: u64| Duration::from_hours(24 * days + 1);
    let fine = Authority::new().ending_in(days(80));
    let pair = fine.pair("fine", &["example.com"]);
    let secure = |pair: &Pair| {
        builder
            .clone()
            .set("listen.tls.certificate", pair.certificate.to_str().unwrap())
            .set("listen.tls.key", pair.key.to_str().unwrap())
    };
    Report::of(&secure(&pair), &[]).assert("certificate", "passed", "fine.crt is valid for 80 more days", "");
    let soon = Authority::new().ending_in(days(13));
    let pair = soon.pair("soon", &["example.com"]);
    let report = Report::of(&secure(&pair), &[]);
    report.assert("certificate", "warned", "is valid for 13 more days", "renewal");
    assert_eq!(report.status, Some(0));
    let over = Authority::new().ended_for(days(2));
    let pair = over.pair("over", &["example.com"]);
    let report = Report::of(&secure(&pair), &[]);
    report.assert("certificate", "failed", "expired 2 days ago", "renewal");
    assert_eq!(report.status, Some(1));
}

#[test]
fn a_configuration_with_mistakes_ends_as_everywhere() {
    let output = run(
        &before(&Origin::start(origin::pages)).set("listen.drain", "soon"),
        &[],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("listen.drain"));
}

#[test]
fn beside_a_gatecount_that_runs_its_ports_are_its_own_and_its_state_is_told() {
    let (_app, plausible, builder) = stage();
    let sidecar = builder.start();
    let visit = Request::get("/").as_(NAVIGATION).from("203.0.113.9");
    assert_eq!(sidecar.client().ask(&visit).status(), 200);
    plausible.await_recorded(1);
    sidecar.settled(1);
    let report = Report::of(&sidecar.builder(), &[]);
    assert_eq!(
        (report.results("port"), report.status),
        (vec!["passed", "passed"], Some(0))
    );
    report.assert(
        "running",
        "passed",
        "delivery is passing, 1 events delivered, 0 dropped",
        "",
    );
    report.assert("queue", "passed", "and is in use", "");

    plausible.die();
    sidecar.client().ask(&visit);
    crate::support::eventually("the failure", || match &sidecar.status()["delivery"]["state"] {
        state if state == "failing" => Ok(()),
        state => Err(state.to_string()),
    });
    Report::of(&sidecar.builder(), &[]).assert(
        "running",
        "warned",
        "delivery is failing",
        "Connection refused",
    );
}

#[test]
fn an_app_that_fails_and_one_on_a_socket_are_told() {
    let (_app, plausible, builder) = stage();
    let failing = Origin::start(origin::says(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"));
    let report = Report::of(&builder.clone().set("app.url", failing.url()), &[]);
    report.assert("app", "warned", "answers 500 to GET / for example.com", "own log");
    assert_eq!(report.status, Some(0), "it is up");
    let path = builder.directory().join("no.sock");
    let report = Report::of(&builder.set("app.url", format!("unix:{}", path.display())), &[]);
    report.assert("app", "failed", "No such file", "[app]");
    drop(plausible);
}

#[test]
fn the_observed_log_is_looked_at() {
    let plausible = Receiver::start();
    let builder = Builder::aside().telling(&plausible);
    let path = builder.directory().join("access.log");
    let builder = builder.set("observe.log", format!("file:{}", path.display()));
    let report = Report::of(&builder, &[]);
    report.assert("log", "warned", "is not there", "followed");
    report.assert("app", "skipped", "seen from aside", "");
    fs::write(&path, "").unwrap();
    Report::of(&builder, &[]).assert("log", "passed", "can be read", "");
    let folder = builder.directory().display().to_string();
    Report::of(&builder.set("observe.log", format!("file:{folder}")), &[]).assert(
        "log",
        "failed",
        "is no file",
        "log",
    );
}

#[test]
fn a_visit_that_is_not_counted_and_trust_in_everybody_are_told() {
    let (_app, _plausible, builder) = stage();
    let builder = builder
        .set("client.trusted_proxies", vec!["0.0.0.0/0"])
        .set("pages.exclude", vec!["/"])
        .site(&["example.com"], &["example.com"])
        .site(&["localhost"], &["other.example"]);
    let report = Report::of(&builder, &[]);
    report.assert(
        "trust",
        "warned",
        "every visitor can choose its address",
        "trusted_proxies",
    );
    let visits: Vec<&str> = report
        .checks("visit")
        .map(|v| v["said"].as_str().unwrap())
        .collect();
    assert_eq!(report.results("visit"), ["warned", "warned"]);
    assert!(
        visits[0].contains("not counted (excluded)") && visits[0].contains("exclude has \"/\""),
        "{visits:?}"
    );
    let counted = Report::of(&builder.set("pages.exclude", vec!["/x"]), &[]);
    assert_eq!(counted.results("visit"), ["passed", "warned"]);
    let foreign = counted.checks("visit").nth(1).unwrap()["said"].as_str().unwrap();
    assert!(
        foreign.contains("localhost is not the site's domain"),
        "{foreign}"
    );
}

#[test]
fn waiting_events_that_plausible_would_drop_are_told() {
    let (_app, plausible, builder) = stage();
    plausible.die();
    let mut sidecar = builder.set("pages.bots", "count").start();
    let browser = Request::get("/").as_(NAVIGATION).from("203.0.113.9");
    let tool = Request::get("/")
        .as_(&[("User-Agent", "curl/8.5.0"), ("Accept", "text/html")])
        .from("203.0.113.9");
    let spam = Request::get("/").as_(NAVIGATION).from("203.0.113.9");
    let spam = spam.with("Referer", "http://semalt.com/crawler.php");
    for request in [browser, tool, spam] {
        assert_eq!(sidecar.client().ask(&request).status(), 200);
    }
    sidecar.await_metrics("three waiting events", |metrics| metrics.pending() == 3);
    sidecar.stop();
    let report = Report::of(&sidecar.builder(), &[]);
    report.assert("waiting", "warned", "of 3 waiting events", "bots = \"skip\"");
    let said = report.one("waiting")["said"].as_str().unwrap();
    assert!(said.contains("1 with a bot's user agent (curl)"), "{said}");
    assert!(said.contains("1 with a spam referrer (semalt.com)"), "{said}");
    report.assert("queue", "passed", "3 events wait", "");
}
