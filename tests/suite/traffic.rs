//! What passes through: bodies stream both ways, connections are reused and given up where they should be, heads go
//! by RFC 9110 and 9112, and an error is a short plain answer that names no app.

use std::{
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{
    client::{Client, FETCH, NAVIGATION, Request, curl},
    eventually, full,
    message::{Head, Response, all},
    origin::{self, Origin, Then, starts},
    process::{Builder, Sidecar},
    site,
};

fn before(app: &Origin) -> Sidecar {
    Builder::before(app).start()
}

#[test]
fn connections_are_kept_on_both_sides() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    for n in 0..20 {
        assert_eq!(client.ask(&Request::get(&format!("/{n}"))).status(), 200);
    }
    let seen = app.seen();
    assert_eq!(seen.len(), 20);
    assert!(
        seen.iter().all(|s| s.connection == 0),
        "the connection to the app was not used again"
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = site::start();
    let sidecar = before(&app);
    let requests: Vec<Request> = (0..10).map(|n| Request::get(&format!("/api/{n}"))).collect();
    let mut client = sidecar.client();
    client.send(&requests.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    for request in &requests {
        site::compare(request, &client.response()).unwrap();
    }
}

#[test]
fn an_app_on_a_unix_socket_is_reached() {
    let directory = TempDir::new().unwrap();
    let app = Origin::on_unix(&directory.path().join("app.sock"), origin::pages);
    let sidecar = before(&app);
    assert_eq!(sidecar.client().ask(&Request::get("/")).status(), 200);
    assert_eq!(app.only().head.get("host"), Some("example.com"));
}

#[test]
fn a_unix_socket_is_listened_on_and_an_old_file_is_replaced() {
    let app = Origin::start(origin::pages);
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("front.sock");
    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let listen = format!("unix:{}", socket.display());
    let _sidecar = Builder::before(&app).set("listen.address", listen).start();
    let output = curl(&[
        "--unix-socket",
        socket.to_str().unwrap(),
        "http://example.com/over-a-socket",
    ]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(app.only().head.target(), "/over-a-socket");
}

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
fn server_sent_events_arrive_as_they_are_sent() {
    let (send, manner) = origin::on_command("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
    let app = Origin::start(manner);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&Request::get("/events").bytes());
    let head = client.head();
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    let chunked = head.has("transfer-encoding");
    for n in 0..5 {
        // The next one is sent only after this one was read: a proxy that waits for more never gets past the first.
        let event = format!("data: tick {n}\n\n");
        send.send(event.clone().into_bytes()).unwrap();
        if chunked {
            client.exactly(format!("{:x}\r\n", event.len()).len());
        }
        assert_eq!(client.exactly(event.len()), event.as_bytes());
        if chunked {
            client.exactly(2);
        }
    }
    drop(send);
}

#[test]
fn a_big_upload_takes_no_memory() {
    let length: u64 = if full() { 2 << 30 } else { 256 << 20 };
    let app = Origin::start(|visit| {
        let length = visit.discard_body()?;
        visit.answer("text/plain", length.to_string().as_bytes())?;
        Ok(Then::Keep)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    assert_eq!(client.ask(&Request::post("/warm-up", b"x")).status(), 200);
    let idle = sidecar.rss();
    client.send(
        format!("POST /upload HTTP/1.1\r\nHost: example.com\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
    );
    let (piece, mut sent, mut highest) = (vec![b'x'; 1 << 20], 0, 0);
    while sent < length {
        client.send(&piece);
        sent += piece.len() as u64;
        highest = highest.max(sidecar.rss());
    }
    assert_eq!(client.response().text(), length.to_string());
    let grown = highest.saturating_sub(idle);
    assert!(grown < 8 << 20, "an upload of {length} bytes took {grown} bytes");
}

#[test]
fn a_big_download_waits_for_a_slow_reader_and_takes_no_memory() {
    const LENGTH: u64 = 128 << 20;
    let app = Origin::start(|visit| {
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"))?;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..LENGTH >> 20 {
            visit.send(&piece)?;
        }
        Ok(Then::Keep)
    });
    let sidecar = before(&app);
    let idle = sidecar.rss();
    let mut client = sidecar.client();
    client.send(&Request::get("/download").bytes());
    assert_eq!(client.head().status(), 200);
    let mut highest = 0;
    for _ in 0..128 {
        client.discard(LENGTH / 128);
        highest = highest.max(sidecar.rss());
    }
    let grown = highest.saturating_sub(idle);
    assert!(grown < 8 << 20, "a download of {LENGTH} bytes took {grown} bytes");
}

#[test]
fn trailers_pass_both_ways() {
    let app = Origin::start(origin::echoes);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(
        b"POST / HTTP/1.1\r\nHost: example.com\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n7; note=x\r\n, world\r\n0\r\nX-Sum: 12\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.text(), "hello, world");
    assert_eq!(all(&app.only().trailers, "x-sum"), ["12"]);
    assert_eq!(all(&response.trailers, "x-sum"), ["12"]);
}

#[test]
fn a_trailer_that_may_be_none_does_not_become_a_field() {
    let app = Origin::start(origin::echoes);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(
        b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
          1\r\nx\r\n0\r\nContent-Length: 50\r\nHost: evil.example\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
    );
    let response = client.response();
    // Refusing is as right as dropping them (RFC 9110 §6.5.1).
    if response.status() == 200 {
        assert_eq!(app.only().trailers, []);
    }
}

#[test]
fn informational_responses_are_not_the_response() {
    let app = Origin::start(origin::says_and_stays(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\npage",
    ));
    let sidecar = before(&app);
    let mut client = sidecar.client();
    for _ in 0..2 {
        let response = client.ask(&Request::get("/").as_(NAVIGATION));
        assert_eq!((response.status(), response.text().as_str()), (200, "page"));
        let hints: Vec<u16> = response.informational.iter().map(Head::status).collect();
        assert_eq!(hints, [103, 102]);
        assert_eq!(
            response.informational[0].get("link"),
            Some("</a.css>; rel=preload")
        );
    }
    sidecar.await_metrics("two page views", |m| m.decisions("counted") == 2);
}

#[test]
fn a_client_of_http_1_0_gets_no_informational_response_and_no_chunks() {
    let app = Origin::start(origin::says(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n",
    ));
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
    let text = String::from_utf8(client.until_closed()).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") || text.starts_with("HTTP/1.0 200 OK\r\n"),
        "{text}"
    );
    assert!(text.ends_with("\r\n\r\npage"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("transfer-encoding"), "{text}");
}

#[test]
fn an_app_of_http_1_0_is_understood() {
    let app = Origin::start(origin::says(
        "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nold but good",
    ));
    let sidecar = before(&app);
    let mut client = sidecar.client();
    for _ in 0..2 {
        let response = client.ask(&Request::get("/"));
        assert_eq!(
            (response.status(), response.text().as_str()),
            (200, "old but good")
        );
    }
}

#[test]
fn expect_continue_is_answered_before_the_body_is_sent() {
    let app = Origin::start(origin::echoes);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(b"POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    client.send(b"hello");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn expect_continue_of_http_1_0_is_ignored() {
    let app = Origin::start(origin::echoes);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.head().status(), 200);
    assert_eq!(app.only().body, b"hello");
}

#[test]
fn a_refused_expectation_reaches_the_client_before_the_body() {
    let app = Origin::start(|visit| {
        visit.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")?;
        visit.until_left()?;
        Ok(Then::Close)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (403, "no"));
}

#[test]
fn an_early_response_reaches_the_client_while_it_still_sends() {
    let app = Origin::start(origin::answers_before_the_body);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nonly the beginning");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (413, "too big"));
    // What follows on this connection would be read as the rest of the body: it has to end.
    client.until_closed();
}

#[test]
fn head_has_the_length_and_no_body() {
    let app = site::start();
    let sidecar = before(&app);
    let mut client = sidecar.client();
    let length = client.ask(&Request::get("/page/9")).body.len().to_string();
    let head = client.ask(&Request::new("HEAD", "/page/9"));
    assert_eq!(head.head.get("content-length"), Some(length.as_str()));
    let chunked = client.ask(&Request::new("HEAD", "/chunked/9"));
    assert_eq!((chunked.status(), chunked.body.len()), (200, 0));
    // The connection is still in step.
    site::compare(&Request::get("/api/1"), &client.ask(&Request::get("/api/1"))).unwrap();
}

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
fn no_app_is_502_told_plainly_and_counted() {
    let gone = Origin::start(origin::pages).url();
    let sidecar = Builder::before_url(&gone).start();
    let response = sidecar
        .client()
        .ask(&Request::get("/secret-path?token=x").as_(NAVIGATION));
    assert_short(&response, 502);
    let metrics = sidecar.await_metrics("an app error", |m| {
        m.metric("gatecount_app_errors_total").value() == 1
    });
    assert_eq!(
        metrics
            .metric("gatecount_requests_total")
            .label("code", "5xx")
            .value(),
        1
    );
    let line = sidecar.await_log("502");
    assert!(!line.contains("token"), "a query in the log: {line}");
}

#[test]
fn a_slow_app_is_504() {
    let app = Origin::start(origin::never_answers);
    let sidecar = Builder::before(&app).set("app.response_timeout", "200ms").start();
    assert_short(&sidecar.client().ask(&Request::get("/")), 504);
    sidecar.await_metrics("an app error", |m| {
        m.metric("gatecount_app_errors_total").value() == 1
    });
    assert_eq!(app.seen().len(), 1, "a request that timed out was sent again");
}

#[test]
fn an_app_that_resets_is_502() {
    let app = Origin::resets_at_accept();
    let sidecar = before(&app);
    assert_short(&sidecar.client().ask(&Request::get("/")), 502);
}

#[test]
fn an_app_that_talks_no_http_is_502() {
    for babble in [
        "SSH-2-OpenSSH_9.2\r\n",
        "HTTP/1.1 banana\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
        "",
    ] {
        let app = Origin::start(origin::says(babble));
        let sidecar = before(&app);
        assert_short(&sidecar.client().ask(&Request::get("/")), 502);
    }
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

#[test]
fn a_dead_pooled_connection_is_retried_where_that_is_safe() {
    let app = Origin::start(origin::closes_on_the_second_request);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    for n in 0..6 {
        assert_eq!(
            client.ask(&Request::get(&format!("/{n}"))).status(),
            200,
            "request {n}"
        );
    }
    sidecar.await_metrics("no app error", |m| {
        m.metric("gatecount_app_errors_total").value() == 0
    });
}

#[test]
fn a_request_that_may_have_been_acted_on_is_not_sent_twice() {
    let app = Origin::start(origin::closes_on_the_second_request);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    assert_eq!(client.ask(&Request::get("/first")).status(), 200);
    assert_short(&client.ask(&Request::post("/pay", b"100 euro")), 502);
    let paid = app.seen().iter().filter(|s| s.head.target() == "/pay").count();
    assert_eq!(paid, 1, "{:?}", starts(&app.seen()));
}

#[test]
fn an_app_that_closes_idle_connections_is_never_met_by_a_request() {
    let app = Origin::start(origin::closes_idle_connections);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    for n in 0..50 {
        assert_eq!(
            client.ask(&Request::get(&format!("/{n}"))).status(),
            200,
            "request {n}"
        );
    }
}

#[test]
fn a_cut_off_body_is_cut_off_for_the_client_too() {
    let cut = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhello",
    ];
    for bytes in cut {
        let app = Origin::start(origin::says(bytes));
        let sidecar = before(&app);
        let response = sidecar.client().ask(&Request::get("/"));
        assert!(
            !response.complete,
            "{bytes:?} ended as if it were whole: {response:?}"
        );
    }
}

#[test]
fn a_client_that_leaves_takes_the_apps_request_with_it() {
    let (left, told) = std::sync::mpsc::channel();
    let left = std::sync::Mutex::new(left);
    let app = Origin::start(move |visit| {
        visit.until_left()?;
        // The test is over where nobody listens any more.
        let _ = left.lock().unwrap().send(());
        Ok(Then::Close)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&Request::get("/slow").as_(NAVIGATION).bytes());
    eventually("the app is asked", || {
        if app.seen().is_empty() {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    drop(client);
    told.recv_timeout(crate::support::DEADLINE)
        .expect("the app is told that nobody waits");
    sidecar.await_metrics("an aborted request", |m| m.decisions("aborted") == 1);
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let app = Origin::start(origin::pages);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&Request::get("/").bytes());
    client.finish_sending();
    assert_eq!(client.response().status(), 200);
}

#[test]
fn slow_heads_and_idle_connections_end_within_their_limits() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("listen.header_timeout", "300ms")
        .set("listen.idle_timeout", "300ms")
        .start();
    let begun = Instant::now();
    let mut slow = sidecar.client();
    slow.send(b"GET / HTTP/1.1\r\nHo");
    let mut silent = sidecar.client();
    let mut idle = sidecar.client();
    assert_eq!(idle.ask(&Request::get("/")).status(), 200);
    slow.until_closed();
    silent.until_closed();
    idle.until_closed();
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn many_clients_at_once_each_get_their_own_answers() {
    let app = site::start();
    let sidecar = before(&app);
    let address = sidecar.address;
    let clients: Vec<_> = (0..16)
        .map(|c| {
            thread::spawn(move || {
                let mut client = Client::to(address);
                for n in 0..40 {
                    let request = Request::get(&format!("/image/{}", c * 100 + n)).as_(FETCH);
                    site::compare(&request, &client.ask(&request)).unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[track_caller]
fn assert_short(response: &Response, status: u16) {
    assert_eq!(response.status(), status, "{response:?}");
    assert!(response.body.len() < 200, "a long body: {}", response.text());
    assert!(
        response
            .head
            .get("content-type")
            .is_some_and(|t| t.starts_with("text/plain")),
        "{response:?}"
    );
    assert!(
        !response.text().contains("127.0.0.1"),
        "it names the app: {}",
        response.text()
    );
}
