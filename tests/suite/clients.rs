//! Who the client is: what real proxies in front say, what a spoofing client says, and what app and Plausible
//! are told. On Linux all of 127.0.0.0/8 is this machine, so each visitor and each hop has an address of its
//! own.

use std::net::SocketAddr;

use crate::support::{
    client::{Client, NAVIGATION, Request},
    message::Head,
    nginx::{self, Nginx},
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::Receiver,
    skip,
};

/// The visitor's address, outside the trusted ranges of these tests.
const VISITOR: &str = "127.0.0.77";

/// What a client says that would like to be another.
const SPOOFS: &[(&str, &str)] = &[
    ("X-Forwarded-For", "198.51.100.66"),
    ("x-forwarded-for", "198.51.100.67, 198.51.100.68"),
    ("X_Forwarded_For", "198.51.100.69"),
    ("Forwarded", "for=198.51.100.70;host=evil.example;proto=https"),
    ("X-Real-IP", "198.51.100.71"),
    ("CF-Connecting-IP", "198.51.100.72"),
    ("X-Plausible-IP", "198.51.100.73"),
    ("B-Forwarded-For", "198.51.100.74"),
    ("X-Plausible-IP-Type", "dc_ip"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "666"),
];

struct Stage {
    app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

/// The proxies in front have 127.0.0.1; every other address of loopback is a stranger's.
fn stage(settings: impl FnOnce(Builder) -> Builder) -> Stage {
    let app = Origin::start(origin::pages);
    let plausible = Receiver::start();
    let builder = Builder::before(&app)
        .telling(&plausible)
        .set("client.trusted_proxies", vec!["127.0.0.1"]);
    let sidecar = settings(builder).start();
    Stage {
        app,
        plausible,
        sidecar,
    }
}

impl Stage {
    /// One page view by a client at [`VISITOR`] that says all of [`SPOOFS`], by way of this address. Gives
    /// what the app saw and what Plausible was told of the client.
    fn spoof(&self, through: SocketAddr) -> (Head, String) {
        let request = Request::get("/page").as_(NAVIGATION).as_(SPOOFS);
        assert_eq!(Client::from(VISITOR, through).ask(&request).status(), 200);
        let event = self.plausible.await_recorded(1).remove(0);
        self.plausible.assert_strict();
        assert_eq!(event.text("url"), "http://example.com/page");
        (self.app.only().head, event.visitor().0)
    }
}

#[test]
fn an_untrusted_peer_is_itself_whatever_it_says() {
    let stage = stage(|b| b);
    let (head, client) = stage.spoof(stage.sidecar.address);
    assert_eq!(client, VISITOR);
    assert_no_spoof(&head);
    assert_eq!(head.all("x-forwarded-for"), [VISITOR]);
    assert_eq!(head.all("x-real-ip"), [VISITOR]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(head.all("x-forwarded-host"), ["example.com"]);
    let metrics = stage.sidecar.metrics();
    assert!(metrics.metric("gatecount_forged_headers_total").value() >= 1);
    assert_eq!(
        metrics
            .metric("gatecount_client_address_total")
            .label("from", "peer")
            .value(),
        1
    );
}

#[test]
fn a_made_up_header_named_in_connection_does_not_survive() {
    let stage = stage(|b| b);
    let request = Request::get("/")
        .with("Connection", "X-Forwarded-For, X-Real-IP, X-Forwarded-Proto")
        .with("X-Forwarded-For", "198.51.100.66")
        .with("X-Real-IP", "198.51.100.66");
    Client::from(VISITOR, stage.sidecar.address).ask(&request);
    let head = stage.app.only().head;
    assert_no_spoof(&head);
    assert_eq!(head.all("x-forwarded-for"), [VISITOR]);
    assert_eq!(head.all("x-real-ip"), [VISITOR]);
}

#[test]
fn an_nginx_that_appends_gives_the_right_visitor() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let stage = stage(|b| b);
    let nginx = Nginx::appending(stage.sidecar.address);
    let (head, client) = stage.spoof(nginx.address);
    assert_eq!(client, VISITOR);
    assert_eq!(head.all("x-forwarded-for"), [format!("{VISITOR}, 127.0.0.1")]);
}

#[test]
fn an_nginx_with_the_proxy_protocol_gives_the_right_visitor() {
    let Some(module) = nginx::stream_module() else {
        return skip("nginx has no stream module");
    };
    let stage = stage(|b| b.set("listen.proxy_protocol", true));
    let nginx = Nginx::proxy_protocol(&module, stage.sidecar.address);
    let (head, client) = stage.spoof(nginx.address);
    assert_eq!(client, VISITOR);
    assert_no_spoof(&head);
    assert_eq!(head.all("x-forwarded-for"), [VISITOR]);
}

#[test]
fn two_nginx_in_a_chain_give_the_right_visitor() {
    let Some(module) = nginx::stream_module() else {
        return skip("nginx has no stream module");
    };
    let stage = stage(|b| b.set("listen.proxy_protocol", true));
    let near = Nginx::proxy_protocol(&module, stage.sidecar.address);
    let far = Nginx::appending(near.address);
    let (head, client) = stage.spoof(far.address);
    assert_eq!(client, VISITOR);
    assert_eq!(head.all("x-forwarded-for"), [format!("{VISITOR}, 127.0.0.1")]);
}

#[test]
fn a_chain_of_appending_nginx_is_walked_from_the_right() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let stage = stage(|b| b);
    let near = Nginx::appending(stage.sidecar.address);
    let far = Nginx::appending(near.address);
    let (head, client) = stage.spoof(far.address);
    assert_eq!(client, VISITOR);
    assert_eq!(
        head.all("x-forwarded-for"),
        [format!("{VISITOR}, 127.0.0.1, 127.0.0.1")]
    );
}

#[test]
fn hops_are_counted_where_that_is_asked_for() {
    let stage = stage(|b| b.set("client.trusted_hops", 2));
    let request = |value: &str| Request::get("/").as_(NAVIGATION).from(value);
    let mut client = Client::from(VISITOR, stage.sidecar.address);
    client.ask(&request("198.51.100.66, 203.0.113.7, 192.0.2.1"));
    client.ask(&request("192.0.2.1"));
    let visitors: Vec<String> = stage
        .plausible
        .await_recorded(2)
        .iter()
        .map(|e| e.visitor().0)
        .collect();
    assert!(visitors.contains(&"203.0.113.7".to_owned()), "{visitors:?}");
    assert!(
        visitors.contains(&VISITOR.to_owned()),
        "too few hops: {visitors:?}"
    );
}

#[test]
fn a_single_address_header_is_read_from_trusted_peers_alone() {
    let stage = stage(|b| b.set("client.header", "cf-connecting-ip"));
    let request = Request::get("/")
        .as_(NAVIGATION)
        .with("CF-Connecting-IP", "203.0.113.7")
        .with("X-Forwarded-For", "198.51.100.66");
    stage.sidecar.client().ask(&request);
    assert_eq!(stage.plausible.await_recorded(1)[0].visitor().0, "203.0.113.7");
    Client::from(VISITOR, stage.sidecar.address).ask(&request);
    assert_eq!(stage.plausible.await_recorded(2)[1].visitor().0, VISITOR);
    stage.plausible.assert_strict();
}

#[test]
fn the_visible_scheme_and_host_come_from_the_same_trust() {
    let stage = stage(|b| b);
    let request = Request::get("/a")
        .host("internal:8080")
        .as_(NAVIGATION)
        .from("203.0.113.7")
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "www.example.com");
    stage.sidecar.client().ask(&request);
    let event = stage.plausible.await_recorded(1).remove(0);
    assert_eq!(event.text("url"), "https://www.example.com/a");
    let head = stage.app.only().head;
    assert_eq!(head.get("host"), Some("internal:8080"));
    assert_eq!(head.get("x-forwarded-proto"), Some("https"));
    assert_eq!(head.get("x-forwarded-host"), Some("www.example.com"));
}

#[test]
fn append_and_keep_do_as_they_say() {
    for (to_app, expected) in [("append", "198.51.100.66, 127.0.0.77"), ("keep", "198.51.100.66")] {
        let stage = stage(|b| b.set("client.to_app", to_app));
        let request = Request::get("/")
            .as_(NAVIGATION)
            .with("X-Forwarded-For", "198.51.100.66");
        Client::from(VISITOR, stage.sidecar.address).ask(&request);
        let joined = stage.app.only().head.all("x-forwarded-for").join(", ");
        assert_eq!(joined, expected, "{to_app}");
        // What the app is told changes nothing about who it was.
        assert_eq!(stage.plausible.await_recorded(1)[0].visitor().0, VISITOR);
    }
}

#[test]
fn a_preamble_is_required_of_trusted_peers_and_read_from_no_other() {
    let stage = stage(|b| b.set("listen.proxy_protocol", true));
    let request = Request::get("/").as_(NAVIGATION).bytes();
    let preamble = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n";

    let mut with = stage.sidecar.client();
    with.send(&[preamble.as_slice(), &request].concat());
    assert_eq!(with.response().status(), 200);
    assert_eq!(stage.plausible.await_recorded(1)[0].visitor().0, "203.0.113.7");

    let mut piecemeal = stage.sidecar.client();
    for byte in preamble {
        piecemeal.send(&[*byte]);
    }
    piecemeal.send(&request);
    assert_eq!(piecemeal.response().status(), 200);

    let mut without = stage.sidecar.client();
    // It closes at the first byte that cannot begin a preamble, which may be before the last was sent.
    let _ = without.try_send(&request);
    assert_eq!(String::from_utf8_lossy(&without.until_closed()), "");

    let mut stranger = Client::from(VISITOR, stage.sidecar.address);
    let _ = stranger.try_send(&[preamble.as_slice(), &request].concat());
    let answer = String::from_utf8(stranger.until_closed()).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"),
        "{answer}"
    );
    assert_eq!(stage.app.seen().len(), 2);
}

/// R14: a proxy's own health check over a Unix socket, and the like.
#[test]
fn a_preamble_of_a_unix_socket_leaves_the_peer_as_it_is() {
    let stage = stage(|b| b.set("listen.proxy_protocol", true));
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8".to_vec();
    header.extend([0; 216]);
    let mut client = stage.sidecar.client();
    client.send(
        &[
            header,
            Request::get("/").as_(NAVIGATION).from("203.0.113.7").bytes(),
        ]
        .concat(),
    );
    assert_eq!(client.response().status(), 200);
    assert_eq!(stage.plausible.await_recorded(1)[0].visitor().0, "203.0.113.7");
}

/// T21: what a balancer's health check does.
#[test]
fn a_connection_without_a_byte_is_no_malformed_preamble() {
    let stage = stage(|b| b.set("listen.proxy_protocol", true));
    for _ in 0..20 {
        drop(stage.sidecar.client());
    }
    let mut garbage = stage.sidecar.client();
    garbage.send(b"GET");
    garbage.until_closed();
    let line = stage.sidecar.await_log("PROXY protocol header");
    assert!(line.contains("\"occurrences\":1"), "{line}");
    let lines = stage
        .sidecar
        .log()
        .iter()
        .filter(|l| l.contains("PROXY protocol header"))
        .count();
    assert_eq!(lines, 1);
}

/// T26.
#[test]
fn a_balancer_in_the_shared_range_that_is_not_trusted_is_hinted_at_once() {
    let stage = stage(|b| b.set("listen.proxy_protocol", true).set("listen.workers", 4));
    for n in 0..30 {
        let mut client = stage.sidecar.client();
        let preamble = format!("PROXY TCP4 100.64.0.9 192.0.2.1 {} 443\r\n", 4000 + n);
        let request = Request::get("/").as_(NAVIGATION).from("203.0.113.7").bytes();
        client.send(&[preamble.as_bytes(), &request].concat());
        assert_eq!(client.response().status(), 200);
    }
    let hints = stage
        .sidecar
        .log()
        .into_iter()
        .filter(|line| line.contains("100.64.0.0/10"));
    let hints: Vec<String> = hints.collect();
    assert!(
        hints.len() == 1 && hints[0].contains("trusted_proxies"),
        "{hints:#?}"
    );
}

/// P14.
#[test]
fn the_log_and_the_metrics_name_no_visitor() {
    let stage = stage(|b| b);
    let request = |path: &str| Request::get(path).as_(NAVIGATION).from("203.0.113.7");
    stage
        .sidecar
        .client()
        .ask(&request("/a-path-of-theirs?q=a-query"));
    stage.plausible.await_recorded(1);
    Client::from(VISITOR, stage.sidecar.address).ask(&request("/a-path-of-theirs"));
    let mut malformed = stage.sidecar.client();
    malformed
        .send(b"GET /a-path-of-theirs HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\nbad\r\n\r\n");
    assert_eq!(malformed.response().status(), 400);
    stage.sidecar.await_log("malformed");
    let told = stage.sidecar.log().join("\n") + &stage.sidecar.admin("/metrics").text();
    for theirs in ["203.0.113.7", VISITOR, "a-path-of-theirs", "a-query", "Mozilla"] {
        assert!(!told.contains(theirs), "{theirs} in {told}");
    }
}

#[test]
fn a_client_without_an_address_is_served_and_not_counted() {
    let app = Origin::start(origin::pages);
    let plausible = Receiver::start();
    let builder = Builder::before(&app).telling(&plausible);
    let socket = builder.directory().join("front.sock");
    let sidecar = builder
        .set("listen.address", format!("unix:{}", socket.display()))
        .start();
    let visit = |extra: &[&str]| {
        let mut arguments = vec![
            "--unix-socket",
            socket.to_str().unwrap(),
            "-A",
            crate::support::client::CHROME,
        ];
        arguments.extend(["-H", "Accept: text/html", "-H", "Upgrade-Insecure-Requests: 1"]);
        arguments.extend(extra);
        arguments.push("http://example.com/");
        assert!(crate::support::client::curl(&arguments).status.success());
    };
    visit(&[]);
    visit(&["-H", "X-Forwarded-For: 203.0.113.7"]);
    let metrics = sidecar.settled(2);
    assert_eq!(metrics.decisions("no_client"), 1);
    assert_eq!(plausible.recorded()[0].visitor().0, "203.0.113.7");
}

/// Nothing of what a stranger made up reached the app in a field that tells of the client.
#[track_caller]
fn assert_no_spoof(head: &Head) {
    for (name, value) in &head.fields {
        let folded = name.to_ascii_lowercase().replace('_', "-");
        let telling = [
            "x-forwarded-for",
            "x-real-ip",
            "forwarded",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
        ];
        if telling.contains(&folded.as_str()) {
            let made_up = ["198.51.100", "evil", "666"];
            assert!(!made_up.iter().any(|m| value.contains(m)), "{name}: {value}");
            assert!(name.eq_ignore_ascii_case(&folded), "spelled {name}");
        }
    }
}
