//! Heads: what passes as sent, what ends here (RFC 9110 §7.6.1), and what is refused (RFC 9112).

use super::{assert_short, before};
use crate::support::{
    client::{Request, curl},
    origin::{self, Origin, starts},
    site,
};

#[test]
fn curl_gets_its_page() {
    let app = site::start();
    let sidecar = before(&app);
    let url = format!("http://{}/page/7", sidecar.address);
    let output = curl(&["--include", &url]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("<title>Page 7</title>"), "{text}");
}

#[test]
fn host_and_end_to_end_fields_reach_the_app_as_sent() {
    let app = Origin::start(origin::pages);
    let sidecar = before(&app);
    let request = Request::get("/a%2Fb//c/../d?q=%20&r=+")
        .host("Example.COM:8443")
        .with("X-CamelCase", "A  b\tc")
        .with("x-twice", "1")
        .with("x-twice", "2")
        .with("X-Latin", "caf\u{e9}")
        .with("X-Empty", "");
    sidecar.client().ask(&request);
    let head = app.only().head;
    assert_eq!(head.start, "GET /a%2Fb//c/../d?q=%20&r=+ HTTP/1.1");
    let own = ["Host", "X-CamelCase", "x-twice", "X-Latin", "X-Empty"];
    let kept: Vec<_> = head
        .fields
        .iter()
        .filter(|(name, _)| own.contains(&name.as_str()))
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let expected = [
        ("Host", "Example.COM:8443"),
        ("X-CamelCase", "A  b\tc"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("X-Latin", "caf\u{e9}"),
        ("X-Empty", ""),
    ];
    assert_eq!(kept, expected);
}

#[test]
fn hop_by_hop_fields_end_here_and_every_connection_line_is_read() {
    let app = Origin::start(origin::says(
        "HTTP/1.1 200 OK\r\nConnection: X-App-Hop\r\nX-App-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-App: 1\r\n\
         Connection: close, X-App-Other\r\nX-App-Other: 1\r\nContent-Length: 2\r\n\r\nok",
    ));
    let sidecar = before(&app);
    let request = Request::get("/")
        .with("Connection", "keep-alive, X-Hop")
        .with("X-Hop", "1")
        .with("X-Stays", "1")
        .with("Connection", "x-second-hop")
        .with("X-Second-Hop", "1")
        .with("Keep-Alive", "timeout=9")
        .with("Proxy-Connection", "keep-alive")
        .with("TE", "gzip")
        .with("Proxy-Authorization", "Basic eA==");
    let mut client = sidecar.client();
    let response = client.ask(&request);
    let seen = app.only().head;
    for gone in [
        "x-hop",
        "x-second-hop",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert!(!seen.has(gone), "{gone} reached the app: {seen:?}");
    }
    assert!(seen.has("x-stays"));
    for gone in ["x-app-hop", "x-app-other"] {
        assert!(
            !response.head.has(gone),
            "{gone} reached the client: {:?}",
            response.head
        );
    }
    assert_eq!(response.head.get("x-app"), Some("1"));
    // The app's connection closed; the client's has no reason to.
    assert_eq!(client.ask(&Request::get("/again")).status(), 200);
}

#[test]
fn gatecounts_own_fields_never_pass() {
    let app = Origin::start(origin::says_and_stays(
        "HTTP/1.1 200 OK\r\nGatecount-Page: off\r\nContent-Length: 2\r\n\r\nok",
    ));
    let sidecar = before(&app);
    let response = sidecar
        .client()
        .ask(&Request::get("/").with("Gatecount-Event", "{\"name\":\"x\"}"));
    assert!(!app.only().head.has("gatecount-event"));
    assert!(!response.head.has("gatecount-page"));
}

#[test]
fn malformed_requests_are_400_and_never_reach_the_app() {
    let app = Origin::start(origin::pages);
    let sidecar = before(&app);
    let malformed: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"rubbish\r\n\r\n",
    ];
    for bytes in malformed {
        let mut client = sidecar.client();
        client.send(bytes);
        let response = client.response();
        assert_short(&response, 400);
        client.until_closed();
    }
    assert_eq!(starts(&app.seen()), [""; 0]);
}

#[test]
fn a_huge_request_head_is_431_and_a_huge_response_head_502() {
    let huge = "x".repeat(100 * 1024);
    let app = Origin::start(origin::says(format!(
        "HTTP/1.1 200 OK\r\nX-Huge: {}\r\n\r\n",
        "x".repeat(2 << 20)
    )));
    let sidecar = before(&app);
    let mut client = sidecar.client();
    // It may close before it has read all of it.
    let _ = client.try_send(&Request::get("/").with("X-Huge", &huge).bytes());
    assert_short(&client.response(), 431);
    assert_eq!(app.seen().len(), 0);
    assert_short(&sidecar.client().ask(&Request::get("/")), 502);
}

#[test]
fn connect_and_proxy_requests_are_refused_or_served_as_ours() {
    let app = Origin::start(origin::pages);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    let refused = client.response();
    assert!((400..600).contains(&refused.status()), "{refused:?}");
    assert_eq!(app.seen().len(), 0);
    let mut client = sidecar.client();
    client.send(b"GET http://example.org/a?b HTTP/1.1\r\nHost: ignored.example\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    // RFC 9112 §3.2.2: the authority of the target is the host.
    assert_eq!(app.only().head.get("host"), Some("example.org"));
}
