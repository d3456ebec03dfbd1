//! `Gatecount-Event` and `Gatecount-Page`.

use std::io;

use serde_json::json;

use super::{BOTH, Stage, VISITOR, Way, stage};
use crate::support::{
    client::{FETCH, GOOGLEBOT, NAVIGATION, PREFETCH, Request},
    message::Response,
    origin::{Origin, Then, Visit},
    process::Builder,
    receiver::Receiver,
};

const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "/signup",
        "303 See Other",
        "location: /thanks\r\nGatecount-Event: {\"name\": \"Signup\", \"props\": {\"plan\": \"pro\", \"seats\": 3}, \
         \"revenue\": {\"currency\": \"EUR\", \"amount\": 9.5}, \"interactive\": false}\r\n\
         gatecount-event: {\"name\": \"Lead\"}, {\"name\": \"Trial\"}\r\n",
    ),
    ("/internal", "200 OK", "Gatecount-Page: off\r\n"),
    (
        "/reset/secret",
        "200 OK",
        "Gatecount-Page: {\"url\": \"/reset\", \"props\": {\"author\": \"Ann\"}}\r\nGatecount-Event: {\"name\": \"Reset\"}\r\n",
    ),
    (
        "/api/step",
        "200 OK",
        "Gatecount-Page: {\"url\": \"https://example.com/checkout/2\"}\r\n",
    ),
    (
        "/nonsense",
        "200 OK",
        "Gatecount-Event: nonsense\r\nGatecount-Page: {\"url\": \"https://elsewhere.test/\"}\r\nGatecount-Events: {}\r\n",
    ),
    (
        "/all",
        "200 OK",
        "Gatecount-Event: {\"name\": \"All\"}\r\nGatecount-Page: {}\r\n",
    ),
];

fn page(path: &str) -> Request {
    Request::get(path).as_(NAVIGATION).from(VISITOR)
}

#[test]
fn the_app_tells_events_of_a_request_that_is_no_page() {
    for way in BOTH {
        let stage = stage(ANSWERS, |b| b);
        let outcome = stage.visit(way, &[Request::post("/signup", b"a=1").as_(FETCH).from(VISITOR)]);
        let url = "http://example.com/signup";
        assert_eq!(
            *outcome.body(0),
            json!({
                "name": "Signup", "url": url, "domain": "example.com",
                "props": {"plan": "pro", "seats": 3},
                "revenue": {"currency": "EUR", "amount": 9.5},
                "interactive": false,
            }),
            "{way:?}"
        );
        assert_eq!(outcome.named()[1..], [("Lead", url), ("Trial", url)]);
        assert_eq!(outcome.events[0].field("x-forwarded-for"), Some(VISITOR));
        assert_eq!(outcome.metrics.decisions("not_page"), 1);
        assert_eq!((outcome.offered("app"), outcome.offered("page")), (3, 0));
        let head = &outcome.responses[0].head;
        assert_eq!((head.status(), head.get("location")), (303, Some("/thanks")));
        assert!(!head.has("gatecount-event"), "{head:?}");
    }
}

#[test]
fn the_app_uncounts_amends_and_declares_pages() {
    for way in BOTH {
        let stage = stage(ANSWERS, |b| b);
        let outcome = stage.visit(
            way,
            &[
                page("/internal"),
                page("/reset/secret?ref=mail&token=1"),
                Request::get("/api/step").as_(FETCH).from(VISITOR),
                page("/plain"),
            ],
        );
        assert_eq!(
            outcome.named(),
            [
                ("pageview", "http://example.com/reset?ref=mail"),
                ("Reset", "http://example.com/reset?ref=mail"),
                ("pageview", "https://example.com/checkout/2"),
                ("pageview", "http://example.com/plain"),
            ],
            "{way:?}"
        );
        assert_eq!(outcome.body(0)["props"], json!({"author": "Ann"}));
        for (decision, count) in [("suppressed", 1), ("counted", 2), ("declared", 1)] {
            assert_eq!(outcome.metrics.decisions(decision), count, "{decision}");
        }
        assert_eq!((outcome.offered("page"), outcome.offered("app")), (2, 2));
    }
}

#[test]
fn what_is_malformed_is_counted_logged_and_changes_nothing() {
    for way in BOTH {
        // Without sites, every host would be the site's.
        let stage = stage(ANSWERS, |b| b.site(&["example.com"], &["example.com"]));
        let outcome = stage.visit(way, &[page("/nonsense"), page("/nonsense")]);
        let url = "http://example.com/nonsense";
        assert_eq!(outcome.named(), [("pageview", url); 2], "{way:?}");
        assert_eq!((outcome.faults("malformed"), outcome.faults("cut")), (6, 0));
        for response in &outcome.responses {
            assert_eq!(response.status(), 200);
            assert!(
                !response
                    .head
                    .fields
                    .iter()
                    .any(|(name, _)| name.to_lowercase().starts_with("gatecount"))
            );
        }
        let line = stage.sidecar.await_log("is not used");
        assert!(
            line.contains("WARN") && line.contains("Gatecount-Event"),
            "{line}"
        );
        let lines = stage.sidecar.log();
        assert_eq!(
            lines.iter().filter(|line| line.contains("is not used")).count(),
            1,
            "{lines:?}"
        );
    }
}

#[test]
fn who_is_not_counted_has_no_events() {
    for way in BOTH {
        let stage = stage(ANSWERS, |b| {
            b.set("pages.respect_gpc", true)
                .set("pages.exclude_when", vec!["cookie:staff"])
        });
        let all = |browser: &[(&str, &str)]| Request::get("/all").as_(browser).from(VISITOR);
        let outcome = stage.visit(
            way,
            &[
                all(GOOGLEBOT),
                all(PREFETCH),
                all(NAVIGATION).with("Sec-GPC", "1"),
                all(NAVIGATION).with("Cookie", "staff=1"),
                Request::new("HEAD", "/all").as_(NAVIGATION).from(VISITOR),
            ],
        );
        assert_eq!(outcome.named(), [("", ""); 0], "{way:?}");
        for decision in ["bot", "prefetch", "opted_out", "excluded", "not_page"] {
            assert_eq!(outcome.metrics.decisions(decision), 1, "{decision}");
        }
    }
}

/// What only the app may say is not for clients to say, and not for the app to say elsewhere.
#[test]
fn the_words_are_read_in_the_responses_head_alone() {
    for way in BOTH {
        let app = Origin::start(in_all_the_wrong_places);
        let plausible = Receiver::start();
        let sidecar = Builder::before(&app)
            .telling(&plausible)
            .set("listen.http2", true)
            .start();
        let stage = Stage {
            app,
            plausible,
            sidecar,
        };
        let request = page("/")
            .with("TE", "trailers")
            .with("Gatecount-Event", "{\"name\": \"By the client\"}")
            .with("Gatecount_Page", "off");
        let outcome = stage.visit(way, &[request]);
        assert_eq!(outcome.named(), [("pageview", "http://example.com/")], "{way:?}");
        assert_eq!(outcome.faults("malformed"), 0);
        let seen = &stage.app.only().head;
        assert!(!seen.fields.iter().any(|(name, _)| is_own(name)), "{seen:?}");
        let Response {
            informational,
            head,
            trailers,
            ..
        } = &outcome.responses[0];
        let heads = informational.iter().chain([head]);
        let names = heads.flat_map(|head| &head.fields).chain(trailers);
        assert!(
            !names.clone().any(|(name, _)| is_own(name)),
            "{way:?}: {head:?} {trailers:?}"
        );
        assert!(trailers.iter().any(|(name, _)| name == "x-sum"), "{trailers:?}");
        if way == Way::Http1 {
            assert_eq!(informational.len(), 1);
        }
    }
}

fn is_own(name: &str) -> bool {
    name.to_lowercase().replace('_', "-").starts_with("gatecount-")
}

/// A 103 and trailers that both have what only the head may have.
fn in_all_the_wrong_places(visit: &mut Visit) -> io::Result<Then> {
    let own = "gatecount-event: {\"name\": \"Astray\"}\r\nGatecount-Page: off\r\n";
    visit.send(format!("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n{own}\r\n"))?;
    visit.send("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n")?;
    visit.send(format!("1\r\na\r\n0\r\nx-sum: 1\r\n{own}\r\n"))?;
    Ok(Then::Keep)
}

/// A client that has closed its side is there until the response has reached it.
#[test]
fn a_client_that_has_said_its_last_word_still_has_its_events() {
    let stage = stage(ANSWERS, |b| b);
    let mut client = stage.sidecar.client();
    client.send(&page("/reset/secret").bytes());
    client.end_sending();
    assert_eq!(client.response().status(), 200);
    client.until_closed();
    stage.sidecar.settled(1);
    let events = stage.plausible.recorded();
    let names: Vec<&str> = events.iter().map(|e| e.text("name")).collect();
    assert_eq!(names, ["pageview", "Reset"]);
    assert_eq!(events[0].text("url"), "http://example.com/reset");
}

/// The host and scheme are those that the visitor used, whoever tells them.
#[test]
fn events_are_of_the_site_that_the_visitor_sees() {
    for way in BOTH {
        for to_app in ["rewrite", "append", "keep"] {
            let stage = stage(ANSWERS, |b| {
                b.site(&["shop.example"], &["shop"]).set("client.to_app", to_app)
            });
            let request = Request::post("/signup", b"")
                .host("inner.test")
                .as_(FETCH)
                .from(VISITOR)
                .with("X-Forwarded-Host", "shop.example")
                .with("X-Forwarded-Proto", "https");
            let outcome = stage.visit(way, &[request]);
            assert_eq!(outcome.events.len(), 3, "{way:?} {to_app}");
            for event in &outcome.events {
                assert_eq!(
                    (event.text("url"), event.text("domain")),
                    ("https://shop.example/signup", "shop"),
                    "{way:?} {to_app}"
                );
            }
        }
    }
}
