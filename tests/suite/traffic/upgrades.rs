//! `Upgrade`: a tunnel where the app agrees, an ordinary response where it does not, and never HTTP/2.

use std::time::{Duration, Instant};

use super::before;
use crate::support::{
    client::{Client, Request},
    eventually,
    origin::{self, Origin},
    site,
};

#[test]
fn a_websocket_is_a_tunnel_that_holds_the_drain() {
    let app = Origin::start(origin::upgrades_and_echoes);
    let mut sidecar = before(&app);
    let mut client = sidecar.client();
    let request = Request::get("/chat")
        .with("Connection", "keep-alive, Upgrade")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = client.ask(&request);
    assert_eq!(response.status(), 101);
    assert_eq!(response.head.get("upgrade"), Some("websocket"));
    let seen = app.only().head;
    assert_eq!(seen.get("upgrade"), Some("websocket"));
    assert!(
        seen.get("connection")
            .is_some_and(|c| c.eq_ignore_ascii_case("upgrade")),
        "{seen:?}"
    );
    client.send(b"\x81\x05hello");
    assert_eq!(client.exactly(7), b"\x81\x05hello");
    sidecar.signal("TERM");
    eventually("readiness turns", || match Client::try_to(sidecar.admin) {
        Err(_) => Ok(()),
        Ok(_) => match sidecar.admin("/readyz").status() {
            503 => Ok(()),
            other => Err(format!("it is {other}")),
        },
    });
    client.send(b"\x81\x03bye");
    assert_eq!(
        client.exactly(5),
        b"\x81\x03bye",
        "the drain did not wait for the tunnel"
    );
    let ended = Instant::now();
    drop(client);
    assert!(sidecar.wait().success());
    assert!(
        ended.elapsed() < Duration::from_secs(4),
        "the drain went on after its last tunnel"
    );
}

#[test]
fn what_the_client_says_with_the_upgrade_is_not_lost() {
    let app = Origin::start(origin::upgrades_and_echoes);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    let mut bytes = Request::get("/")
        .with("Connection", "Upgrade")
        .with("Upgrade", "websocket")
        .bytes();
    bytes.extend(b"early");
    client.send(&bytes);
    assert_eq!(client.response().status(), 101);
    assert_eq!(client.exactly(5), b"early");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let app = site::start();
    let sidecar = before(&app);
    let mut client = sidecar.client();
    let request = Request::get("/page/1")
        .with("Connection", "Upgrade")
        .with("Upgrade", "websocket");
    for _ in 0..2 {
        site::compare(&request, &client.ask(&request)).unwrap();
    }
}

#[test]
fn http2_by_upgrade_never_starts() {
    let app = Origin::start(origin::upgrades_and_echoes);
    let sidecar = before(&app);
    let request = Request::get("/")
        .with("Connection", "Upgrade, HTTP2-Settings")
        .with("Upgrade", "h2c")
        .with("HTTP2-Settings", "AAMAAABkAAQAAP__");
    let response = sidecar.client().ask(&request);
    assert_ne!(response.status(), 101);
    for seen in app.seen() {
        assert!(
            !seen.head.has("upgrade") && !seen.head.has("http2-settings"),
            "{:?}",
            seen.head
        );
    }
}
