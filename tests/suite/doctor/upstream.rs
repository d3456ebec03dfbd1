//! Plausible: reached or not, of what edition, and what it does with a test event.

use std::{
    io::Write,
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use super::{Report, before, run, stage};
use crate::support::{
    forward_proxy::ForwardProxy,
    origin::{self, Origin},
    process::{free_port, has},
    receiver::{Edition, Receiver, Reply},
    skip,
    tls::Authority,
};

const SEND: &[&str] = &["--send-test-event"];

#[test]
fn all_is_well_and_plausible_says_which_address_it_sees() {
    let (_app, plausible, builder) = stage();
    plausible.be(Edition {
        debug: Some("203.0.113.7".to_owned()),
        ..Edition::RECENT
    });
    let report = Report::of(&builder, SEND);
    for check in [
        "configuration",
        "trust",
        "queue",
        "app",
        "visit",
        "plausible",
        "clock",
        "address",
        "test event",
    ] {
        assert_eq!(report.results(check), ["passed"], "{check}: {}", report.whole);
    }
    assert_eq!(report.results("port"), ["passed", "passed"], "{}", report.whole);
    assert_eq!((&report.whole["ok"], report.status), (&true.into(), Some(0)));
    plausible.assert_strict();
    let recorded = plausible.recorded();
    assert_eq!(
        recorded.len(),
        1,
        "the question for the address is no event: {recorded:?}"
    );
    assert_eq!(recorded[0].text("domain"), "example.com");
    assert_eq!(recorded[0].body["interactive"], false);
}

#[test]
fn an_older_edition_is_asked_as_it_can_be() {
    let (_app, plausible, builder) = stage();
    plausible.be(Edition {
        ready: 404,
        ..Edition::RECENT
    });
    let report = Report::of(&builder, SEND);
    report.assert("plausible", "passed", "older edition", "");
    report.assert("address", "skipped", "X-Debug-Request", "");
    report.assert("test event", "passed", "example.com has it", "");
    assert_eq!(
        plausible.recorded().len(),
        1,
        "one event, and not another for the address"
    );
    plausible.be(Edition {
        ready: 404,
        health: 404,
        ..Edition::RECENT
    });
    Report::of(&builder, &[]).assert("plausible", "warned", "/api/health", "a path missing");
    plausible.be(Edition {
        ready: 500,
        ..Edition::RECENT
    });
    let report = Report::of(&builder, SEND);
    report.assert("plausible", "failed", "answers 500", "own log");
    assert_eq!(
        (report.results("test event"), report.status),
        (vec!["skipped"], Some(1))
    );
}

#[test]
fn without_a_word_nobody_gets_an_event() {
    let (_app, plausible, builder) = stage();
    let report = Report::of(&builder, &[]);
    report.assert("test event", "skipped", "--send-test-event", "");
    assert_eq!(report.status, Some(0));
    assert!(plausible.arrivals().is_empty());
}

#[test]
fn on_a_terminal_it_asks_first() {
    if !has("script") {
        return skip("script (bsdutils) is not installed");
    }
    let (_app, plausible, builder) = stage();
    builder.write();
    let command = builder.command();
    let words: Vec<String> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    for (answer, events) in [("n\n", 0), ("\n", 0), ("y\n", 1)] {
        let mut child = Command::new("script")
            .args(["-qec", &format!("{} doctor", words.join(" ")), "/dev/null"])
            .env_remove("GATECOUNT_FULL")
            .env_remove("GATECOUNT_VECTORS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The terminal keeps the answer until it is asked for.
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(answer.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("Send a test event to example.com?"), "{said}");
        assert_eq!(plausible.arrivals().len(), events, "{answer:?}: {said}");
    }
}

#[test]
fn a_site_that_plausible_does_not_know_is_told_and_a_young_one_is_waited_for() {
    let (_app, plausible, builder) = stage();
    plausible.always(Reply::Drop);
    let report = Report::of(&builder, &["--send-test-event", "--wait", "0s"]);
    report.assert(
        "test event",
        "failed",
        "drops events of example.com",
        "add example.com as a site",
    );
    assert_eq!((&report.whole["ok"], report.status), (&false.into(), Some(1)));

    plausible.always(Reply::Accept);
    plausible.next([Reply::Drop, Reply::Drop]);
    let output = run(&builder, &["--send-test-event", "--wait", "1m"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("just added") && said.contains("1m"), "{said}");
}

#[test]
fn an_event_that_is_refused_says_how() {
    let (_app, plausible, builder) = stage();
    plausible.always(Reply::Status(400));
    let report = Report::of(&builder, SEND);
    report.assert(
        "test event",
        "failed",
        "answers 400: {\"errors\"",
        "Plausible's own log",
    );
}

#[test]
fn an_address_that_somebody_rewrites_is_found() {
    let (_app, plausible, builder) = stage();
    plausible.be(Edition {
        debug: Some("{\"ip\": \"10.0.0.5\"}".to_owned()),
        ..Edition::RECENT
    });
    let report = Report::of(&builder, SEND);
    report.assert(
        "address",
        "failed",
        "sees 10.0.0.5 where x-forwarded-for said 203.0.113.7",
        "x-plausible-ip",
    );
    assert_eq!(report.results("test event"), ["passed"]);
}

#[test]
fn tls_that_fails_says_what_to_look_at() {
    let app = Origin::start(origin::pages);
    let authority = Authority::new();
    let secure = Receiver::tls(&authority);
    let report = Report::of(&before(&app).telling(&secure), &[]);
    report.assert("tls", "failed", "authority that is not trusted", "ca_file");
    assert_eq!(report.status, Some(1));
    let trusting = before(&app)
        .telling(&secure)
        .set("plausible.ca_file", authority.file().to_str().unwrap());
    let report = Report::of(&trusting, SEND);
    assert_eq!(
        (report.results("tls"), report.results("test event")),
        (vec!["passed"], vec!["passed"])
    );

    let plain = Receiver::start();
    let wrong = before(&app).set("plausible.url", plain.url().replace("http://", "https://"));
    Report::of(&wrong, &[]).assert(
        "tls",
        "failed",
        "answers, but not in TLS: is it http://?",
        "http:// in url",
    );
    let wrong = before(&app).set("plausible.url", secure.url().replace("https://", "http://"));
    Report::of(&wrong, &[]).assert("plausible", "failed", "not in HTTP", "https://");
}

#[test]
fn a_certificate_that_ends_soon_is_told_in_time() {
    let app = Origin::start(origin::pages);
    let days = |days: u64| Duration::from_hours(24 * days + 1);
    for (left, result, said, advice) in [
        (days(60), "passed", "is valid for 60 more days", ""),
        (
            days(5),
            "warned",
            "is valid for 5 more days",
            "Plausible's to renew",
        ),
    ] {
        let authority = Authority::new().ending_in(left);
        let secure = Receiver::tls(&authority);
        let builder = before(&app)
            .telling(&secure)
            .set("plausible.ca_file", authority.file().to_str().unwrap());
        let report = Report::of(&builder, &[]);
        report.assert("tls", result, said, advice);
        assert_eq!(report.results("plausible"), ["passed"]);
    }
    let authority = Authority::new().ended_for(days(2));
    let secure = Receiver::tls(&authority);
    let builder = before(&app)
        .telling(&secure)
        .set("plausible.ca_file", authority.file().to_str().unwrap());
    let report = Report::of(&builder, &[]);
    report.assert("tls", "failed", "its certificate expired at 20", "openssl");
    assert_eq!(report.status, Some(1));
}

#[test]
fn a_plausible_that_is_not_there_is_told_from_a_name_that_is_none() {
    let app = Origin::start(origin::pages);
    let nobody = before(&app).set("plausible.url", format!("http://{}", free_port()));
    Report::of(&nobody, SEND).assert("plausible", "failed", "Connection refused", "url in [plausible]");
    let nowhere = before(&app).set("plausible.url", "http://plausible.invalid");
    let report = Report::of(&nowhere, SEND);
    report.assert(
        "name",
        "failed",
        "plausible.invalid can't be resolved",
        "resolv.conf",
    );
    assert_eq!(report.results("test event"), ["skipped"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = before(&app)
        .set(
            "plausible.url",
            format!("http://{}", silent.local_addr().unwrap()),
        )
        .set("plausible.timeout", "300ms");
    Report::of(&silent, &[]).assert("plausible", "failed", "no answer within", "firewall");
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let (_app, plausible, builder) = stage();
    let early = SystemTime::now() - Duration::from_hours(1);
    plausible.be(Edition {
        date: Some(httpdate::fmt_http_date(early)),
        ..Edition::RECENT
    });
    Report::of(&builder, &[]).assert("clock", "warned", "ahead of Plausible's", "NTP");
}

#[test]
fn the_proxy_is_obeyed_and_told_of() {
    let (_app, plausible, builder) = stage();
    let proxy = ForwardProxy::start();
    proxy.want("gate:secret");
    let report = Report::of(
        &builder
            .clone()
            .environment("HTTP_PROXY", &proxy.url("gate:secret")),
        SEND,
    );
    report.assert("proxy", "passed", &format!("by http://{}", proxy.address()), "");
    assert_eq!(report.results("test event"), ["passed"]);
    assert!(!report.whole.to_string().contains("secret"));
    assert_eq!(plausible.recorded().len(), 1);
    let report = Report::of(
        &builder.environment("HTTP_PROXY", &format!("http://{}", free_port())),
        SEND,
    );
    report.assert("proxy", "failed", "Connection refused", "HTTP_PROXY");
    assert_eq!(report.results("plausible"), ["skipped"]);
}

#[test]
fn a_tracker_script_that_is_none_is_told() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let builder = before(&app).telling(&plausible);
    let script = Origin::start(origin::says(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 5\r\n\r\nvar a",
    ));
    let with = |source: String| Report::of(&builder.clone().set("tracker.source", source), &[]);
    with(format!("{}/js/script.js", script.url())).assert("tracker", "passed", "a script of 5 bytes", "");
    with(format!("{}/page", app.url())).assert("tracker", "failed", "no script", "own address");
    with(format!("http://{}/js/x.js", free_port())).assert(
        "tracker",
        "failed",
        "Connection refused",
        "source",
    );
}
