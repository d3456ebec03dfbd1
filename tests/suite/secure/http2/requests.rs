//! Requests that are answered, refused, or malformed.

use crate::{
    secure::{before, frames, over_http1, over_http2},
    support::{
        client::{NAVIGATION, Request},
        frames::{END_STREAM, Frame, Frames, GOAWAY, HEADERS, PROTOCOL_ERROR, RST_STREAM},
        http2::{self, Upload},
        origin::{self, Origin},
        receiver::Receiver,
        site,
        tls::Authority,
    },
};

/// The pseudo-fields of a GET, but for `:authority`.
const GET: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "https"), (":path", "/")];

#[test]
fn authority_and_host_must_name_one_host() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    let cases: [(&[(&str, &str)], u16); 8] = [
        (&[(":authority", "a.example")], 200),
        (&[(":authority", "a.example"), ("host", "a.example")], 200),
        (&[(":authority", "a.example"), ("host", "A.EXAMPLE")], 200),
        (&[("host", "a.example")], 200),
        (&[(":authority", "a.example"), ("host", "b.example")], 400),
        (&[("host", "a.example"), ("host", "b.example")], 400),
        (&[(":authority", "user@a.example")], 400),
        (&[], 400),
    ];
    let mut served = 0;
    for (n, (fields, status)) in cases.iter().enumerate() {
        let stream = 2 * n as u32 + 1;
        client.head(stream, END_STREAM, &[&GET[..], fields].concat());
        let (came, _, end) = client.response(stream);
        // h2 itself refuses what is no authority at all, by a reset.
        // A quotation mark in a path is let through.
        let refused = *status == 400 && end.kind == RST_STREAM;
        assert!(came == *status || refused, "{fields:?}: {came}, {end:?}");
        served += usize::from(*status == 200);
        let seen = app.seen();
        assert_eq!(seen.len(), served, "{fields:?}");
        let host = seen.last().unwrap().head.all("host");
        assert!(
            host.len() == 1 && host[0].eq_ignore_ascii_case("a.example"),
            "{host:?}"
        );
    }
}

#[test]
fn connect_is_not_offered() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let client = over_http2(&sidecar, &authority);
    let plain = client.ask(&Request::new("CONNECT", "example.com:443"));
    assert_eq!(plain.status(), 405);
    assert!(
        plain.head.get("allow").is_some_and(|allow| allow.contains("GET")),
        "{plain:?}"
    );
    assert!(plain.text().contains("CONNECT"), "{}", plain.text());

    let mut other = client.request(&Request::get("/proxy"), Upload::none());
    *other.method_mut() = http::Method::CONNECT;
    other
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static("connect-udp"));
    let other = http2::wait_for(http2::exchange(client.sender(), other)).unwrap();
    assert_eq!(other.status(), 405);
    assert!(app.seen().is_empty());
    assert_eq!(client.ask(&Request::get("/")).status(), 200);
}

/// Sends a head that nobody may send, and gives the frame that answers it.
#[track_caller]
fn answer_to(client: &mut Frames, stream: u32, fields: &[(&str, &str)]) -> Frame {
    client.head(stream, END_STREAM, fields);
    client.until_that(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY))
}

#[test]
fn a_malformed_head_gets_no_further_and_ends_its_stream_alone() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    let mut streams = (1..).step_by(2);
    let host = (":authority", "example.com");
    // RFC 9113 §§8.2.1, 8.2.2, 8.3.1, and what RFC 3986 has no place for.
    for field in [
        ("connection", "close"),
        ("connection", "x-a"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
    ] {
        let fields = [&GET[..], &[host, field]].concat();
        let end = answer_to(&mut client, streams.next().unwrap(), &fields);
        assert_eq!((end.kind, end.code()), (RST_STREAM, PROTOCOL_ERROR), "{field:?}");
    }
    for path in ["", "a", "/a b", "/<a>", "/a`b", "/?a\"b", "/?<"] {
        let fields = [(":method", "GET"), (":scheme", "https"), (":path", path), host];
        let end = answer_to(&mut client, streams.next().unwrap(), &fields);
        let refused = end.kind == RST_STREAM || end.kind == HEADERS && end.status() == 400;
        assert!(refused, "{path:?}: {end:?}");
    }
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    let stream = streams.next().unwrap();
    client.get(stream, "/fine", &[("te", "trailers"), ("x-fine", "yes")]);
    assert_eq!(client.response(stream).0, 200);
    assert_eq!(app.only().head.get("te"), Some("trailers"));
}

#[test]
fn a_head_that_is_no_head_ends_its_connection_at_the_most() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut bystander = frames(&sidecar, &authority, &[]);
    let host = (":authority", "example.com");
    for field in [
        ("X-Capitals", "1"),
        ("x-line", "a\r\nb: c"),
        ("x-nul", "a\0b"),
        ("x bad", "name"),
        ("x:bad", "name"),
        ("", "no name"),
        (":status", "200"),
        (":unknown", "a"),
        (":path", "/twice"),
    ] {
        let mut client = frames(&sidecar, &authority, &[]);
        let end = answer_to(&mut client, 1, &[&GET[..], &[host, field]].concat());
        // A stream's error may be its connection's (RFC 9113 §5.4.1).
        assert!(
            end.kind != HEADERS && end.code() == PROTOCOL_ERROR,
            "{field:?}: {end:?}"
        );
    }
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    bystander.get(1, "/fine", &[]);
    assert_eq!(bystander.response(1).0, 200);
    assert_eq!(sidecar.metrics().metric("gatecount_faults_total").value(), 0);
}

#[test]
fn what_no_path_may_have_is_refused_or_cut_over_http2_and_handed_on_over_http1() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    client.get(1, "/a?b#c", &[]);
    assert_eq!(client.response(1).0, 200);
    let targets = ["/a\"", "/a<", "/a>", "/a`", "/?a\"", "/?a<", "/?a>", "/a?b#c"];
    let refused = targets
        .iter()
        .filter(|target| !target.contains('#') && **target != "/a\"");
    for (n, target) in refused.enumerate() {
        let stream = 2 * n as u32 + 3;
        client.get(stream, target, &[]);
        let (status, _, end) = client.response(stream);
        assert_eq!((status, end.kind), (0, RST_STREAM), "{target}");
    }
    assert_eq!(app.only().head.target(), "/a?b");
    let mut client = over_http1(&sidecar, &authority);
    for target in targets {
        assert_eq!(client.ask(&Request::get(target)).status(), 200, "{target}");
    }
    let seen = app.seen();
    let handed_on: Vec<&str> = seen[1..].iter().map(|seen| seen.head.target()).collect();
    assert_eq!(handed_on, targets);
}

#[test]
fn an_asterisk_is_a_target_of_options_alone() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    let ask = |method| {
        [
            (":method", method),
            (":scheme", "https"),
            (":authority", "example.com"),
            (":path", "*"),
        ]
    };
    client.head(1, END_STREAM, &ask("OPTIONS"));
    assert_eq!(client.response(1).0, 200);
    assert_eq!(app.only().head.start, "OPTIONS * HTTP/1.1");
    client.head(3, END_STREAM, &ask("GET"));
    assert_eq!(client.response(3).0, 400);
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn many_requests_at_once_over_one_connection_get_their_own_answers() {
    let (app, plausible, authority) = (site::start(), Receiver::start(), Authority::new());
    let sidecar = before(&app, &authority)
        .telling(&plausible)
        .set("listen.max_streams", 50)
        .start();
    let client = over_http2(&sidecar, &authority);
    let asked: Vec<Request> = (0..600).map(site::request).collect();
    let running: Vec<_> = asked
        .iter()
        .map(|request| {
            let sent = client.request(request, Upload::of(request.body()));
            http2::spawn(http2::exchange(client.sender(), sent))
        })
        .collect();
    for (request, running) in asked.iter().zip(running) {
        let mut response = http2::wait_for(running).unwrap().unwrap();
        // What HTTP/1.1 would have said.
        let phrase = match response.status() {
            500 => "Oh Dear".to_owned(),
            status => http::StatusCode::from_u16(status)
                .unwrap()
                .canonical_reason()
                .unwrap()
                .to_owned(),
        };
        response.head.start = format!("HTTP/1.1 {} {phrase}", response.status());
        let capitals = |name: &str| match name {
            "server" => "Server".to_owned(),
            "set-cookie" => "Set-Cookie".to_owned(),
            "location" => "Location".to_owned(),
            "etag" => "ETag".to_owned(),
            "x-empty" => "X-Empty".to_owned(),
            other => other.to_owned(),
        };
        response
            .head
            .fields
            .iter_mut()
            .for_each(|(name, _)| *name = capitals(name));
        site::compare(request, &response).unwrap();
    }
    let pages = asked.iter().filter(|request| site::is_page(request)).count();
    let metrics = sidecar.settled(600);
    assert_eq!(
        (metrics.decisions("counted"), plausible.recorded().len()),
        (pages as u64, pages)
    );
    plausible.assert_strict();
    let page = Request::get("/page/9999").as_(NAVIGATION);
    assert_eq!(client.ask(&page).status(), 200);
    sidecar.await_metrics("no stream is left", |m| {
        m.metric("gatecount_http2_streams").value() == 0
    });
}
