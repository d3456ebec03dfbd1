//! The yardsticks themselves: a receiver that lets everything pass, or a site that answers otherwise than it
//! says, would make the suite green for nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    client::{CHROME, Client, Request},
    message::Response,
    metrics::Metrics,
    nginx::{self, Nginx},
    origin::{self, Origin},
    receiver::{Receiver, Reply},
    site, skip,
};

const EVENT: &[u8] = br#"{"name":"pageview","url":"http://example.com/","domain":"example.com"}"#;

fn tell(plausible: &Receiver, request: &Request) -> Response {
    let address = plausible.url().trim_start_matches("http://").parse().unwrap();
    Client::to(address).ask(request)
}

fn event(body: &[u8]) -> Request {
    Request::post("/api/event", body)
        .with("User-Agent", CHROME)
        .with("Content-Type", "application/json")
        .with("X-Forwarded-For", "203.0.113.7")
}

#[test]
fn the_site_answers_as_it_says() {
    let app = site::start();
    for n in 0..240 {
        let request = site::request(n);
        site::compare(&request, &Client::to(app.address()).ask(&request)).unwrap();
    }
    assert_eq!(app.seen().len(), 240);
    let other = site::compare(
        &site::request(1),
        &Client::to(app.address()).ask(&site::request(13)),
    );
    assert!(other.is_err(), "two pictures compare equal");
}

#[test]
fn the_receiver_takes_a_right_event_and_no_other() {
    let plausible = Receiver::start();
    assert_eq!(tell(&plausible, &event(EVENT)).status(), 202);
    plausible.assert_strict();
    assert_eq!(plausible.recorded().len(), 1);
    let wrong = [
        event(b"rubbish"),
        event(br#"{"name":"pageview","url":"/relative","domain":"example.com"}"#),
    ];
    for request in wrong {
        assert_eq!(tell(&plausible, &request).status(), 400);
    }
    assert_eq!(plausible.recorded().len(), 1);
    assert_eq!(plausible.arrivals().len(), 3);
}

#[test]
fn the_receiver_notices_what_should_not_have_been_sent() {
    for (name, value) in [
        ("Cookie", "session=1"),
        ("CF-Connecting-IP", "9.9.9.9"),
        ("X-Forwarded-For", "9.9.9.9"),
        ("X-Debug-Request", "true"),
    ] {
        let plausible = Receiver::start();
        tell(&plausible, &event(EVENT).with(name, value));
        let strict = catch_unwind(AssertUnwindSafe(|| plausible.assert_strict()));
        assert!(strict.is_err(), "{name} was let pass");
    }
}

#[test]
fn the_receiver_dies_babbles_and_comes_back_on_its_port() {
    let plausible = Receiver::start();
    let address = plausible.url().trim_start_matches("http://").parse().unwrap();
    let mut kept = Client::to(address);
    assert_eq!(kept.ask(&event(EVENT)).status(), 202);
    plausible.die();
    assert!(Client::try_to(address).is_err());
    assert!(kept.try_ask(&event(EVENT)).is_err());
    plausible.babble();
    assert!(Client::to(address).try_ask(&event(EVENT)).is_err());
    plausible.come_back();
    plausible.next([Reply::Drop, Reply::RetryAfter(429, 3), Reply::CutOff]);
    assert_eq!(
        tell(&plausible, &event(EVENT)).head.get("x-plausible-dropped"),
        Some("1")
    );
    assert_eq!(tell(&plausible, &event(EVENT)).head.get("retry-after"), Some("3"));
    assert!(Client::to(address).try_ask(&event(EVENT)).is_err());
    assert_eq!(plausible.recorded().len(), 1);
}

#[test]
fn an_app_that_sees_an_ambiguous_head_says_so() {
    let app = Origin::start(origin::pages);
    let sent: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nc\r\n\r\n",
    ];
    for bytes in sent {
        let mut client = Client::to(app.address());
        client.send(bytes);
        client.response();
    }
    let faults: Vec<bool> = app.seen().iter().map(|s| s.fault.is_some()).collect();
    assert_eq!(faults, [false, true, true, true]);
}

#[test]
fn the_deployed_nginx_stands_before_an_app() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let app = Origin::start(origin::pages);
    let front = Nginx::appending(app.address());
    let request = Request::get("/a").with("X-Forwarded-For", "9.9.9.9");
    assert_eq!(
        Client::from("127.0.0.77", front.address).ask(&request).status(),
        200
    );
    assert_eq!(
        app.only().head.get("x-forwarded-for"),
        Some("9.9.9.9, 127.0.0.77")
    );
}

#[test]
fn metrics_are_summed_by_label() {
    let metrics = Metrics::parse(
        "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"1\",y=\"p q\"} 3\na_total{x=\"2\",y=\"\"} 4\nb 5.0\n",
    );
    assert_eq!(metrics.metric("a_total").value(), 7);
    assert_eq!(
        metrics
            .metric("a_total")
            .label("x", "1")
            .label("y", "p q")
            .value(),
        3
    );
    assert_eq!(metrics.metric("a_total").label("x", "3").value(), 0);
    assert_eq!(metrics.metric("b").value(), 5);
    assert!(metrics.knows("a_total") && !metrics.knows("b"));
}
