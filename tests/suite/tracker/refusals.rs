//! What Plausible refuses is refused here, in its words, and reaches nobody.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Stage, numbered, post};
use crate::support::{
    client::{CHROME, Client, Request},
    eventually,
    message::Response,
};

/// The fields that a 400 names.
fn fields(response: &Response) -> Vec<String> {
    let Value::Object(errors) = &response.json()["errors"] else {
        panic!("no errors: {}", response.text());
    };
    errors.keys().cloned().collect()
}

#[test]
fn an_invalid_event_is_answered_with_its_errors() {
    let stage = Stage::new();
    let event = |changes: Value| {
        let mut body = json!({"n": "a", "u": "https://example.com/", "d": "example.com"});
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        body.to_string()
    };
    let deep = |close: &str| {
        let (open, close) = ("[".repeat(200_000), close.repeat(200_000));
        format!("{{\"n\":\"a\",\"u\":\"https://example.com/\",\"d\":\"example.com\",\"x\":{open}{close}}}")
    };
    for (body, field) in [
        (String::new(), "request"),
        ("{".to_owned(), "request"),
        ("[]".to_owned(), "request"),
        ("{\"n\":\"\u{fffd}".to_owned(), "request"),
        (deep(""), "request"),
        (event(json!({"n": null})), "event_name"),
        (event(json!({"n": "x".repeat(121)})), "event_name"),
        (event(json!({"n": "engagement"})), "event_name"),
        (event(json!({"u": "/a"})), "url"),
        (event(json!({"u": "data:text/html,x"})), "url"),
        (event(json!({"d": " "})), "domain"),
        (event(json!({"p": {"k": "v".repeat(2_001)}})), "props"),
    ] {
        for response in stage.ask(&post(&body)) {
            assert_eq!(response.status(), 400, "{body:.100}");
            assert_eq!(fields(&response), [field], "{body:.100}");
            assert_eq!(
                response.head.get("content-type"),
                Some("application/json; charset=utf-8")
            );
        }
    }
    // What is deep and whole is none of our business, and none of Plausible's.
    assert_eq!(stage.ask_http1(&post(&deep("]"))).status(), 202);
    assert_eq!(stage.plausible.await_arrivals(1).len(), 1);
    assert_eq!(stage.events("invalid"), 24);
}

#[test]
fn the_path_is_no_open_relay() {
    let stage = Stage::with(|builder| {
        builder
            .site(&["example.com"], &["example.com", "www.roll.example"])
            .site(&["b.example"], &["b.example"])
    });
    let for_domain = |domain: &str| {
        post(&format!(
            "{{\"n\":\"a\",\"u\":\"https://elsewhere.example/\",\"d\":\"{domain}\"}}"
        ))
    };
    for domain in [
        "evil.example",
        "example.com,evil.example",
        "shop.example.com",
        "EXAMPLE.com",
    ] {
        for response in stage.ask(&for_domain(domain)) {
            assert_eq!(response.status(), 400, "{domain}");
            assert_eq!(fields(&response), ["domain"], "{domain}");
        }
    }
    // The url's host, where there is no domain.
    let bare = post("{\"n\":\"a\",\"u\":\"https://evil.example/\"}");
    assert_eq!(fields(&stage.ask_http1(&bare)), ["domain"]);
    assert_eq!(stage.events("foreign"), 9);
    for domain in ["example.com", "www.example.com, roll.example", "b.example"] {
        assert_eq!(stage.ask_http1(&for_domain(domain)).status(), 202, "{domain}");
    }
    let arrived = stage.plausible.await_recorded(3);
    assert_eq!(arrived.len(), 3);
    assert!(arrived.iter().all(|event| !event.raw.contains("evil")));
}

#[test]
fn other_methods_and_what_can_not_be_answered_in_json_are_refused() {
    let stage = Stage::new();
    for method in ["GET", "PUT", "DELETE"] {
        for response in stage.ask(&Request::new(method, "/api/event").as_(super::TRACKER)) {
            assert_eq!(response.status(), 405, "{method}");
            assert_eq!(response.head.get("allow"), Some("POST, OPTIONS"));
        }
    }
    let html = Request::post("/api/event", numbered(0).as_bytes())
        .with("User-Agent", CHROME)
        .with("Accept", "text/html")
        .from("203.0.113.7");
    for response in stage.ask(&html) {
        assert_eq!(response.status(), 406);
    }
    let nobody = Request::post("/api/event", numbered(0).as_bytes()).from("203.0.113.7");
    for response in stage.ask(&nobody) {
        assert_eq!(response.status(), 400);
        assert_eq!(fields(&response), ["user_agent"]);
    }
    // The connection goes on, as what was sent of a body is stepped over.
    let mut client = Client::to(stage.sidecar.address);
    assert_eq!(client.ask(&html).status(), 406);
    assert_eq!(client.ask(&post(&numbered(1))).status(), 202);
    assert_eq!(stage.plausible.await_recorded(1)[0].text("n"), "e1");
}

#[test]
fn a_body_beyond_plausibles_limit_is_refused_before_it_has_come() {
    let stage = Stage::new();
    for (kind, length, status) in [
        ("text/plain", 1_000_001_u64, 400),
        ("text/plain", u64::MAX / 2, 400),
        ("application/json", 8_000_001, 413),
    ] {
        let head = Request::new("POST", "/api/event")
            .as_(super::TRACKER)
            .with("Content-Type", kind)
            .with("Content-Length", &length.to_string())
            .from("203.0.113.7");
        let mut client = Client::to(stage.sidecar.address);
        let response = client.ask(&head);
        assert_eq!(response.status(), status, "{kind} {length}");
        assert_eq!(fields(&response), ["request"]);
        assert_eq!(response.head.get("connection"), Some("close"));
    }
    let chunked = |kind: &str, sent: usize| {
        let mut client = Client::to(stage.sidecar.address);
        let head = Request::new("POST", "/api/event")
            .as_(super::TRACKER)
            .with("Content-Type", kind)
            .with("Transfer-Encoding", "chunked")
            .from("203.0.113.7");
        client.send(&head.bytes());
        let piece = [&b"10000\r\n"[..], &vec![b' '; 0x10000], b"\r\n"].concat();
        for _ in 0..sent.div_ceil(0x10000) {
            // It may have been answered, and the connection closed.
            if client.try_send(&piece).is_err() {
                break;
            }
        }
        client.response().status()
    };
    assert_eq!(chunked("text/plain", 1_000_001), 400);
    assert_eq!(chunked("application/json", 8_000_001), 413);
    for (kind, length, status) in [
        ("text/plain", 1_000_001, 400),
        ("application/json", 8_000_001, 413),
    ] {
        let request = Request::post("/api/event", &vec![b' '; length])
            .with("User-Agent", CHROME)
            .with("Content-Type", kind)
            .from("203.0.113.7");
        assert_eq!(stage.http2().ask(&request).status(), status, "{kind} over HTTP/2");
    }
}

#[test]
fn a_client_that_waits_for_a_word_gets_it() {
    let stage = Stage::new();
    let body = numbered(0);
    let request = Request::new("POST", "/api/event")
        .as_(super::TRACKER)
        .with("Content-Length", &body.len().to_string())
        .with("Expect", "100-continue")
        .from("203.0.113.7");
    let mut client = Client::to(stage.sidecar.address);
    client.send(&request.bytes());
    assert_eq!(client.head().status(), 100);
    client.send(body.as_bytes());
    assert_eq!(client.response().status(), 202);
}

#[test]
fn a_body_that_is_cut_off_or_stops_is_no_event() {
    let stage = Stage::with(|builder| builder.set("listen.body_timeout", "300ms"));
    let head = Request::new("POST", "/api/event")
        .as_(super::TRACKER)
        .with("Content-Length", "100")
        .from("203.0.113.7");
    let mut cut = Client::to(stage.sidecar.address);
    cut.send(&[head.bytes(), numbered(0).into_bytes()].concat());
    cut.reset();
    let mut slow = Client::to(stage.sidecar.address);
    slow.send(&[head.bytes(), b"{".to_vec()].concat());
    let response = slow.response();
    assert_eq!(response.status(), 408);
    let (sender, upload) = crate::support::http2::Upload::channel();
    let response = stage.http2().try_ask(&post(""), upload).unwrap();
    drop(sender);
    assert_eq!(response.status(), 408, "over HTTP/2");
    let malformed = Request::new("POST", "/api/event")
        .as_(super::TRACKER)
        .with("Transfer-Encoding", "chunked");
    let mut client = Client::to(stage.sidecar.address);
    client.send(&[malformed.bytes(), b"xyz\r\n".to_vec()].concat());
    assert_eq!(client.response().status(), 400);
    let metrics = stage.sidecar.settled(4);
    assert_eq!(metrics.decisions("dedicated"), 4);
    assert_eq!(metrics.offered(), 0);
}

#[test]
fn pages_of_the_sites_other_hosts_may_send_and_others_may_not() {
    let stage = Stage::with(|builder| {
        builder
            .site(&["example.com", "*.example.com"], &["example.com"])
            .site(&["b.example"], &["b.example"])
    });
    let ask = |method: &str, origin: &str| {
        let request = Request::new(method, "/api/event")
            .with("User-Agent", CHROME)
            .with("Origin", origin)
            .with("Access-Control-Request-Method", "POST")
            .with("Access-Control-Request-Headers", "content-type")
            .with("Content-Length", "0")
            .from("203.0.113.7");
        stage.ask(&request)
    };
    for (origin, allowed) in [
        ("https://example.com", true),
        ("https://shop.example.com:8443", true),
        ("http://b.example", true),
        ("https://evil.example", false),
        ("https://example.com.evil.example", false),
        ("null", false),
    ] {
        let origin_if_allowed = allowed.then_some(origin);
        for response in ask("OPTIONS", origin) {
            assert_eq!(response.status(), 204, "{origin}");
            let head = &response.head;
            assert_eq!(head.get("access-control-allow-origin"), origin_if_allowed);
            assert_eq!(
                head.get("access-control-allow-methods"),
                allowed.then_some("POST")
            );
            assert_eq!(
                head.get("access-control-allow-headers"),
                allowed.then_some("Content-Type")
            );
            assert_eq!(head.get("vary"), Some("Origin"));
            assert!(!head.has("content-length"), "{head:?}");
        }
        // Errors can be read as well.
        for response in ask("POST", origin) {
            assert_eq!(response.status(), 400);
            assert_eq!(
                response.head.get("access-control-allow-origin"),
                origin_if_allowed
            );
        }
    }
}

#[test]
fn without_the_table_the_path_is_the_apps() {
    let stage = Stage::with(|builder| builder.set("tracker.event", "").set("tracker.pixel", "/p.gif"));
    assert_eq!(stage.ask_http1(&post(&numbered(0))).status(), 200);
    eventually("the app is asked", || match stage.app.seen().len() {
        1 => Ok(()),
        other => Err(format!("{other} times")),
    });
    let plain = crate::support::process::Builder::before(&stage.app).start();
    assert_eq!(Client::to(plain.address).ask(&post(&numbered(0))).status(), 200);
    assert!(!plain.metrics().knows("gatecount_tracker_events_total"));
    assert_eq!(plain.metrics().decisions("dedicated"), 0);
}

#[test]
fn a_websocket_on_a_dedicated_path_is_refused() {
    let stage = Stage::new();
    let upgrade = Request::get("/api/event")
        .with("Connection", "Upgrade")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
    let mut client = Client::to(stage.sidecar.address);
    client.patience(Duration::from_secs(10));
    assert_eq!(client.ask(&upgrade).status(), 405);
}
