//! Trouble with Plausible as operators see it (N1, N2, N3): said from the beginning with its cure, and over
//! when it is over.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::support::{
    DEADLINE,
    client::{NAVIGATION, Request},
    eventually,
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::{Receiver, Reply},
    within,
};

fn visit(sidecar: &Sidecar, visitor: &str, path: &str) {
    let request = Request::get(path).as_(NAVIGATION).from(visitor);
    assert_eq!(sidecar.client().ask(&request).status(), 200);
}

/// `/status`'s delivery, once it pleases.
#[track_caller]
fn delivery(sidecar: &Sidecar, what: &str, pleases: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let delivery = sidecar.status()["delivery"].clone();
        if pleases(&delivery) {
            Ok(delivery)
        } else {
            Err(delivery.to_string())
        }
    })
}

fn lines(sidecar: &Sidecar, text: &str) -> usize {
    sidecar.log().iter().filter(|line| line.contains(text)).count()
}

/// N1, N3.
#[test]
fn an_outage_is_said_from_the_first_failure_on_and_is_over_when_it_is() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.die();
    let sidecar = Builder::before(&app).telling(&plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    let failing = delivery(&sidecar, "the first failure", |d| d["state"] == "failing");
    let error = failing["last_error"].as_str().unwrap();
    assert!(error.contains("Connection refused"), "{error}");
    assert!(
        failing["hint"].as_str().unwrap().contains("[plausible] url"),
        "{failing}"
    );
    assert_eq!(failing["last_error_over"], false);
    let since = failing["since"].clone();
    assert!(since.as_str().unwrap().ends_with('Z'), "{since}");
    let page = sidecar.admin("/").text();
    assert!(
        page.contains("failing") && page.contains("Connection refused"),
        "{page}"
    );
    let line = sidecar.await_log("Plausible can't be reached; events wait");
    assert!(
        line.contains("WARN") && line.contains("Connection refused") && line.contains("url right"),
        "{line}"
    );
    assert_eq!(sidecar.status()["delivery"]["since"], since, "it is one outage");
    plausible.come_back();
    let over = delivery(&sidecar, "its end", |d| d["state"] == "passing");
    assert!(
        over["last_error"]
            .as_str()
            .unwrap()
            .contains("Connection refused"),
        "{over}"
    );
    assert_eq!(
        (&over["last_error_over"], &over["hint"]),
        (&Value::Bool(true), &Value::Null)
    );
    assert!(over["last_error_seconds"].is_u64(), "{over}");
    assert_eq!(over["finished"]["delivered"], 1);
    assert_eq!(over["finished"]["corrupt"], 0);
    let line = sidecar.await_log("Plausible takes events again");
    assert!(line.contains("INFO") && line.contains("after_seconds"), "{line}");
    let page = sidecar.admin("/").text();
    assert!(
        page.contains("last trouble") && !page.contains("see above"),
        "{page}"
    );
    assert_eq!(lines(&sidecar, "can't be reached"), 1);
}

/// A few bad events of a Plausible that works are no outage.
#[test]
fn what_fails_beside_others_is_not_said_to_be_an_outage() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(|event, _| match event.text("url") {
        "http://example.com/bad" => Reply::Status(500),
        _ => Reply::Accept,
    });
    let sidecar = Builder::before(&app).telling(&plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    visit(&sidecar, "203.0.113.8", "/bad");
    for n in 0..130 {
        visit(&sidecar, &format!("198.51.100.{}", n + 1), "/good");
        thread::sleep(Duration::from_millis(90));
    }
    assert_eq!(lines(&sidecar, "WARN"), 0, "{:?}", sidecar.log());
}

/// N2.
#[test]
fn a_domain_whose_events_are_all_dropped_is_said_once_with_its_cure() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.always(Reply::Drop);
    let sidecar = Builder::before(&app).telling(&plausible).start();
    for n in 0..3 {
        visit(&sidecar, "203.0.113.7", &format!("/{n}"));
    }
    let line = sidecar.await_log("Plausible drops every event for example.com");
    assert!(
        line.contains("WARN") && line.contains("is the site added there? is the name right?"),
        "{line}"
    );
    let warned = delivery(&sidecar, "the warning", |d| {
        d["warnings"] != Value::Array(Vec::new())
    });
    assert!(
        warned["warnings"][0].as_str().unwrap().contains("example.com"),
        "{warned}"
    );
    assert_eq!(warned["finished"]["dropped_by_plausible"], 3);
    assert!(sidecar.admin("/").text().contains("is the site added there?"));
    for n in 0..20 {
        visit(&sidecar, &format!("203.0.113.{}", n + 10), "/more");
    }
    sidecar.settled(23);
    assert_eq!(lines(&sidecar, "drops every event"), 1);
    plausible.always(Reply::Accept);
    visit(&sidecar, "203.0.113.7", "/recorded");
    let line = sidecar.await_log("Plausible records events for example.com again");
    assert!(line.contains("INFO"), "{line}");
    delivery(&sidecar, "no warning", |d| {
        d["warnings"] == Value::Array(Vec::new())
    });
}

/// N2: one visitor may be one that Plausible drops, as a bot.
#[test]
fn a_visitor_whose_events_are_dropped_says_nothing_of_a_domain_that_works() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(|event, _| match event.visitor().0.as_str() {
        "203.0.113.7" => Reply::Drop,
        _ => Reply::Accept,
    });
    let sidecar = Builder::before(&app).telling(&plausible).start();
    visit(&sidecar, "198.51.100.1", "/");
    plausible.await_recorded(1);
    for n in 0..30 {
        visit(&sidecar, "203.0.113.7", &format!("/{n}"));
    }
    sidecar.settled(31);
    assert_eq!(lines(&sidecar, "drops every event"), 0);
}

/// The trouble of this kind, once it lasts or once it is over.
#[track_caller]
fn trouble(sidecar: &Sidecar, kind: &str, over: bool) -> Value {
    eventually(&format!("{kind}, over: {over}"), || {
        let status = sidecar.status();
        let all = status["troubles"].as_array().into_iter().flatten();
        let mut of_kind = all.filter(|trouble| trouble["kind"] == kind);
        let found = of_kind.find(|trouble| trouble["over_since"].is_string() == over);
        let gauge = sidecar
            .metrics()
            .metric("gatecount_trouble")
            .label("kind", kind)
            .value();
        match found {
            Some(trouble) if (gauge == 0) == over => Ok(trouble.clone()),
            _ => Err(format!("gauge {gauge}, {}", status["troubles"])),
        }
    })
}

/// N1: the address answers, and is not Plausible's.
#[test]
fn a_wrong_address_and_events_that_are_invalid_are_told_apart() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.always(Reply::Status(404));
    let sidecar = Builder::before(&app).telling(&plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    let refused = trouble(&sidecar, "plausible_refuses", false);
    assert!(refused["error"].as_str().unwrap().contains("404"), "{refused}");
    assert!(
        refused["cure"].as_str().unwrap().contains("[plausible] url"),
        "{refused}"
    );
    plausible.next([Reply::Accept, Reply::Status(400)]);
    plausible.always(Reply::Accept);
    trouble(&sidecar, "plausible_refuses", true);
    visit(&sidecar, "203.0.113.7", "/invalid");
    let rejected = trouble(&sidecar, "events_rejected", false);
    assert!(
        rejected["cure"].as_str().unwrap().contains("gatecount explain"),
        "{rejected}"
    );
    assert_eq!(lines(&sidecar, "rejected events as invalid"), 1);
}

#[test]
fn a_queue_that_fills_is_said_until_it_has_room() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.die();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("queue.at", "memory")
        .set("queue.max_bytes", "1MiB")
        .start();
    let long = "x".repeat(1_900);
    for n in 0..420 {
        visit(&sidecar, "203.0.113.7", &format!("/{n}/{long}"));
    }
    let filling = trouble(&sidecar, "queue_filling", false);
    assert!(
        filling["cure"].as_str().unwrap().contains("max_bytes"),
        "{filling}"
    );
    plausible.come_back();
    trouble(&sidecar, "queue_filling", true);
    sidecar.await_log("the queue has room again");
}

#[test]
fn an_untrusted_proxy_is_said_once_and_a_failed_reload_each_time_until_one_succeeds() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("client.trusted_proxies", vec!["192.0.2.1"])
        .start();
    for n in 0..20 {
        visit(&sidecar, "203.0.113.7", &format!("/{n}"));
    }
    let proxy = trouble(&sidecar, "untrusted_proxy", false);
    assert!(
        proxy["cure"]
            .as_str()
            .unwrap()
            .contains("trusted_proxies = [\"loopback\"]"),
        "{proxy}"
    );
    assert_eq!(lines(&sidecar, "sends forwarding headers"), 1);
    assert!(
        sidecar.status()["delivery"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("loopback")
    );

    for key in ["banana", "apple"] {
        std::fs::write(sidecar.builder().file(), format!("[pages]\n{key} = true\n")).unwrap();
        sidecar.signal("HUP");
        let line = sidecar.await_log(key);
        assert!(
            line.contains("ERROR") && line.contains("gatecount check"),
            "{line}"
        );
    }
    let failed = trouble(&sidecar, "reload_failed", false);
    assert!(failed["error"].as_str().unwrap().contains("apple"), "{failed}");
    assert!(sidecar.admin("/").text().contains("pages.apple"));
    sidecar.builder().write();
    sidecar.signal("HUP");
    trouble(&sidecar, "reload_failed", true);
    sidecar.await_log("read again without a mistake");
}

/// R19: an alarm that comes and goes does not fill the log.
#[test]
fn an_alarm_that_flickers_is_throttled() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app).start();
    let queue = sidecar.builder().directory().join("queue");
    for round in 0..4 {
        visit(&sidecar, "203.0.113.7", "/");
        for (raised, what) in [(true, "raised"), (false, "over")] {
            if raised {
                within(DEADLINE, "a queue", || {
                    std::fs::remove_dir_all(&queue).map_err(|e| e.to_string())
                });
            }
            within(DEADLINE, &format!("the alarm is {what} in round {round}"), || {
                match sidecar.status()["queue"]["alarm"].is_string() {
                    is if is == raised => Ok(()),
                    is => Err(is.to_string()),
                }
            });
        }
    }
    let told = lines(&sidecar, "in memory alone") + lines(&sidecar, "in order again");
    assert!((2..=4).contains(&told), "{told} lines: {:#?}", sidecar.log());
    sidecar.metrics().assert_account();
}

#[test]
fn https_to_a_port_that_speaks_plain_http_is_said_in_words() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let url = plausible.url().replace("http://", "https://");
    let sidecar = Builder::before(&app).set("plausible.url", url).start();
    visit(&sidecar, "203.0.113.7", "/");
    let failing = delivery(&sidecar, "the failure", |d| d["state"] == "failing");
    let error = failing["last_error"].as_str().unwrap();
    assert!(
        error.contains("it answers, but not in TLS: is it http://?"),
        "{error}"
    );
}
