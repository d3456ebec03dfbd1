//! What a tracker sends arrives as it was sent, and nothing else of the visitor's does.

use serde_json::{Value, json};

use super::{Stage, numbered, post};
use crate::support::{
    client::{CHROME, Client, NAVIGATION, Request},
    message::Response,
    receiver::Reply,
};

#[track_caller]
fn assert_accepted(response: &Response) {
    assert_eq!((response.status(), response.text().as_str()), (202, "ok"));
    assert_eq!(response.head.get("content-length"), Some("2"));
    assert_eq!(response.head.get("cache-control"), Some("no-store"));
}

#[test]
fn every_field_passes_untouched_and_in_its_order_over_both_protocols() {
    let stage = Stage::new();
    let bodies = [
        r#"{"n":"pageview","v":36,"u":"https://example.com/a?b=c#d","d":"example.com","r":null}"#,
        r#"{"n":"engagement","sd":55,"d":"example.com","u":"https://example.com/a","e":3210,"v":36}"#,
        r#" {"n" : "Buy \u00e4", "$":{"amount":"12.50","currency":"EUR"}, "p":{"z":1,"a":"x"},
            "later":{"unknown":[1, {"x":null}]}, "u":"https://example.com/", "d":"example.com", "h":1}"#,
    ];
    for (n, body) in bodies.iter().enumerate() {
        for response in stage.ask(&post(body)) {
            assert_accepted(&response);
        }
        let arrived = stage.plausible.await_recorded(2 * n + 2);
        assert_eq!([&arrived[2 * n].raw, &arrived[2 * n + 1].raw], [body, body]);
    }
    stage.plausible.assert_strict();
    let metrics = stage.sidecar.settled(6);
    assert_eq!(metrics.decisions("dedicated"), 6);
    let offered = metrics.metric("gatecount_events_offered_total");
    assert_eq!(offered.label("source", "tracker").value(), 6);
    assert_eq!(stage.events("accepted"), 6);
    assert_eq!(stage.app.connections(), 0, "the app has no part in it");
}

#[test]
fn a_beacon_json_and_what_says_nothing_of_its_type_are_taken_as_well() {
    let stage = Stage::new();
    let bare = Request::post("/api/event", numbered(0).as_bytes())
        .with("User-Agent", CHROME)
        .from("203.0.113.7");
    let chunked = Request::new("POST", "/api/event")
        .with("User-Agent", CHROME)
        .with("Content-Type", "application/json; charset=utf-8")
        .with("Transfer-Encoding", "chunked")
        .from("203.0.113.7");
    let mut client = Client::to(stage.sidecar.address);
    assert_accepted(&client.ask(&bare));
    // Byte by byte, over the same connection, and what follows belongs to the next request.
    let body = numbered(1);
    let mut bytes = chunked.bytes();
    for byte in body.bytes() {
        bytes.extend([b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    bytes.extend(b"0\r\n\r\n");
    bytes.extend(bare.bytes());
    client.send(&bytes);
    assert_accepted(&client.response());
    assert_accepted(&client.response());
    let arrived = stage.plausible.await_recorded(3);
    let names: Vec<&str> = arrived.iter().map(|event| event.text("n")).collect();
    assert_eq!(names, ["e0", "e1", "e0"]);
    stage.plausible.assert_strict();
}

#[test]
fn plausible_gets_the_visitors_address_and_browser_and_no_other_header() {
    let stage = Stage::with(|builder| {
        builder.set(
            "plausible.address_header",
            vec!["x-forwarded-for", "x-plausible-ip"],
        )
    });
    let forged = post(&numbered(0))
        .with("X-Plausible-IP", "198.51.100.1")
        .with("CF-Connecting-IP", "198.51.100.2")
        .with("B-Forwarded-For", "198.51.100.3")
        .with("X-Plausible-IP-Type", "dc_ip")
        .with("X-Debug-Request", "true")
        .with(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
    for response in stage.ask(&forged) {
        assert_accepted(&response);
    }
    for arrival in stage.plausible.await_recorded(2) {
        assert_eq!(arrival.field("x-forwarded-for"), Some("203.0.113.7"));
        assert_eq!(arrival.field("x-plausible-ip"), Some("203.0.113.7"));
        assert_eq!(arrival.field("user-agent"), Some(CHROME));
        assert_eq!(arrival.fields.len(), 6, "{:?}", arrival.fields);
    }
    stage.plausible.assert_strict();
}

#[test]
fn an_event_that_is_not_interactive_says_so_by_the_long_key_too() {
    let stage = Stage::new();
    let sent = r#"{"n":"a","i":false,"u":"https://example.com/","d":"example.com","p":{"i":false}}"#;
    assert_accepted(&stage.ask_http1(&post(sent)));
    let arrived = stage.plausible.await_recorded(1);
    assert_eq!(
        arrived[0].raw,
        r#"{"n":"a","i":false,"interactive":false,"u":"https://example.com/","d":"example.com","p":{"i":false}}"#
    );
}

#[test]
fn it_is_answered_before_plausible_has_it_and_the_connection_goes_on() {
    let stage = Stage::new();
    stage.plausible.always(Reply::Hang);
    let mut client = Client::to(stage.sidecar.address);
    for n in 0..20 {
        assert_accepted(&client.ask(&post(&numbered(n)).from(&format!("203.0.113.{n}"))));
    }
    let arrived = stage.plausible.await_arrivals(1);
    assert!(arrived.iter().all(|event| event.status == 0));
}

#[test]
fn a_visitors_events_and_pages_keep_their_order() {
    let stage = Stage::with(|builder| builder.set("pages.count", "always"));
    let mut client = Client::to(stage.sidecar.address);
    for n in 0..20 {
        let page = Request::get(&format!("/page{n}"))
            .as_(NAVIGATION)
            .from("203.0.113.7");
        assert_eq!(client.ask(&page).status(), 200);
        assert_accepted(&client.ask(&post(&numbered(n))));
    }
    let arrived = stage.plausible.await_recorded(40);
    let order: Vec<String> = arrived
        .iter()
        .map(|event| match &event.body["n"] {
            Value::String(name) => name.clone(),
            _ => event.text("url").rsplit('/').next().unwrap().to_owned(),
        })
        .collect();
    let expected: Vec<String> = (0..20)
        .flat_map(|n| [format!("page{n}"), format!("e{n}")])
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn whoever_is_not_to_be_counted_is_answered_as_plausible_answers_a_dropped_event() {
    let stage = Stage::with(|builder| {
        builder
            .set("pages.respect_gpc", true)
            .set("pages.exclude_when", vec!["cookie:staff"])
    });
    for left_out in [
        post(&numbered(0)).with("Sec-GPC", "1"),
        post(&numbered(0)).with("Cookie", "staff=1"),
    ] {
        for response in stage.ask(&left_out) {
            assert_accepted(&response);
            assert_eq!(response.head.get("x-plausible-dropped"), Some("1"));
        }
    }
    assert_accepted(&stage.ask_http1(&post(&numbered(1))));
    assert_eq!(stage.plausible.await_recorded(1)[0].text("n"), "e1");
    assert_eq!(stage.events("left_out"), 4);
}

#[test]
fn of_a_body_too_large_for_the_queue_goes_on_what_plausible_reads() {
    let stage = Stage::new();
    let padding = "x".repeat(7_900_000);
    let body =
        json!({"pad": padding, "n": "big", "u": "https://example.com/", "d": "example.com", "i": false});
    let body = body.to_string();
    let request = Request::post("/api/event", body.as_bytes())
        .with("User-Agent", CHROME)
        .with("Content-Type", "application/json")
        .from("203.0.113.7");
    for response in stage.ask(&request) {
        assert_accepted(&response);
    }
    for arrival in stage.plausible.await_recorded(2) {
        assert_eq!(
            arrival.raw,
            r#"{"n":"big","u":"https://example.com/","d":"example.com","i":false,"interactive":false}"#
        );
    }
    let megabyte = format!(
        "{{\"n\":\"text\",\"u\":\"https://example.com/\",\"d\":\"example.com\",\"pad\":\"{}\"}}",
        "x".repeat(1_000_000 - 66)
    );
    assert_eq!(megabyte.len(), 1_000_000);
    for response in stage.ask(&post(&megabyte)) {
        assert_accepted(&response);
    }
    let arrived = stage.plausible.await_recorded(4);
    assert!(arrived[2..].iter().all(|arrival| arrival.raw == megabyte));
}
