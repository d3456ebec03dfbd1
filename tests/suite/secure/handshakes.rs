//! Handshakes, good and bad.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use super::{before, connect, over_http1, over_http2};
use crate::support::{
    DEADLINE,
    client::{Client, NAVIGATION, Request},
    eventually,
    load::Steady,
    metrics::Metrics,
    origin::{self, Origin},
    process::Sidecar,
    receiver::Receiver,
    site,
    tls::{Authority, NAMES},
};

fn handshakes(metrics: &Metrics, result: &str) -> u64 {
    metrics
        .metric("gatecount_tls_handshakes_total")
        .label("result", result)
        .value()
}

#[track_caller]
fn await_handshakes(sidecar: &Sidecar, result: &str, count: u64) {
    sidecar.await_metrics(&format!("{count} handshakes {result}"), |m| {
        handshakes(m, result) == count
    });
}

#[test]
fn plain_http_is_told_in_plain_text_that_this_is_tls() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    for (n, request) in [
        Request::get("/").bytes(),
        Request::post("/form", &vec![b'x'; 100_000]).bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ]
    .iter()
    .enumerate()
    {
        let mut client = sidecar.client();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status(), 400);
        assert_eq!(
            response.head.get("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(response.text().contains("https://"), "{}", response.text());
        assert_eq!(client.until_closed(), b"");
        await_handshakes(&sidecar, "plain_http", n as u64 + 1);
    }
    assert!(app.seen().is_empty());
    let metrics = sidecar.metrics();
    assert_eq!(metrics.decided(), 0);
    assert_eq!(handshakes(&metrics, "failed") + handshakes(&metrics, "full"), 0);
}

/// A client's flights: what it sends, and whether it waits for the server before the next.
fn flights(sidecar: &Sidecar, config: &Arc<ClientConfig>) -> Vec<Vec<u8>> {
    let mut tls = begin(config);
    let mut stream = connect(sidecar);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut flights = Vec::new();
    while tls.is_handshaking() {
        if tls.wants_write() {
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight).unwrap();
            }
            stream.write_all(&flight).unwrap();
            flights.push(flight);
        } else {
            tls.read_tls(&mut stream).unwrap();
            tls.process_new_packets().unwrap();
        }
    }
    // In TLS 1.3 the last one is the client's.
    let mut last = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut last).unwrap();
    }
    stream.write_all(&last).unwrap();
    flights.extend((!last.is_empty()).then_some(last));
    flights
}

fn begin(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::clone(config), name).unwrap()
}

/// Does a handshake up to this byte of this flight, and ends the connection.
fn cut(sidecar: &Sidecar, config: &Arc<ClientConfig>, flight: usize, at: usize, reset: bool) {
    let mut tls = begin(config);
    let mut stream = connect(sidecar);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    for n in 0..=flight {
        let mut bytes = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut bytes).unwrap();
        }
        if n == flight {
            stream.write_all(&bytes[..at.min(bytes.len())]).unwrap();
            break;
        }
        stream.write_all(&bytes).unwrap();
        while !tls.wants_write() {
            tls.read_tls(&mut stream).unwrap();
            tls.process_new_packets().unwrap();
        }
    }
    if reset {
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    } else {
        stream.shutdown(Shutdown::Write).unwrap();
        // gatecount closes as well; what it says before that is not asked for.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere_harms_nobody() {
    let (app, authority) = (site::start(), Authority::new());
    let sidecar = before(&app, &authority).set("listen.workers", 1).start();
    let config = authority.client_of(&TLS13);
    let address = sidecar.address;
    let steady = Steady::over(move || Client::over_tls(TcpStream::connect(address)?, &config, "localhost"));
    let mut cuts = 0;
    for version in [&TLS13, &TLS12] {
        let config = authority.client_of(version);
        let flights = flights(&sidecar, &config);
        assert_eq!(flights.len(), 2, "{version:?}");
        for (n, flight) in flights.iter().enumerate() {
            for at in [0, 1, 3, 5, 6, flight.len() / 2, flight.len() - 1] {
                for reset in [false, true] {
                    cut(&sidecar, &config, n, at, reset);
                    cuts += 1;
                }
            }
        }
        // A client's last flight in TLS 1.2 is answered; it may leave before that.
        if version.version == TLS12.version {
            cut(&sidecar, &config, 1, usize::MAX, false);
        }
        steady.goes_on();
    }
    eventually("all were cut, and counted", || {
        let metrics = sidecar.metrics();
        let count = |result| handshakes(&metrics, result);
        let open = metrics.metric("gatecount_connections").value();
        let told = (count("closed") + count("failed"), count("full"), open);
        // Whole were that of the steady traffic, those that showed the flights, and the one that was not
        // waited for.
        (told == (cuts, 4, 1))
            .then_some(())
            .ok_or(format!("{told:?} of {cuts}"))
    });
    steady.finish();
    assert_eq!(sidecar.metrics().metric("gatecount_faults_total").value(), 0);
}

#[test]
fn a_thousand_handshakes_at_once_do_not_hold_up_who_is_connected() {
    const CLIENTS: usize = 1000;
    let (app, authority) = (site::start(), Authority::new());
    let sidecar = before(&app, &authority).set("listen.workers", 1).start();
    let config = authority.client_of(&TLS13);
    let (address, steady_config) = (sidecar.address, Arc::clone(&config));
    let steady =
        Steady::over(move || Client::over_tls(TcpStream::connect(address)?, &steady_config, "localhost"));
    steady.goes_on();
    // Everything that the clients have to compute first is computed before they begin.
    let mut clients: Vec<(ClientConnection, TcpStream, Vec<u8>)> = (0..CLIENTS)
        .map(|_| {
            let mut tls = begin(&config);
            let mut hello = Vec::new();
            tls.write_tls(&mut hello).unwrap();
            let stream = connect(&sidecar);
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            (tls, stream, hello)
        })
        .collect();
    let begun = Instant::now();
    for (_, stream, hello) in &mut clients {
        stream.write_all(hello).unwrap();
    }
    steady.goes_on();
    for (tls, stream, _) in &mut clients {
        while tls.is_handshaking() {
            tls.complete_io(stream).unwrap();
        }
    }
    await_handshakes(&sidecar, "full", CLIENTS as u64 + 1);
    let took = begun.elapsed();
    let calm = steady.finish();
    // In one go they would hold everybody up for a third of their time.
    let longest = (took / 4).max(Duration::from_millis(60));
    assert!(calm.p99 < longest, "{calm:?} while all of them took {took:?}");
    drop(clients);
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority)
        .set("listen.header_timeout", "300ms")
        .start();
    let mut hello = Vec::new();
    begin(&authority.client_of(&TLS13)).write_tls(&mut hello).unwrap();
    for (n, sent) in [0, 1, hello.len() / 2, hello.len()].into_iter().enumerate() {
        let mut stream = connect(&sidecar);
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let begun = Instant::now();
        stream.write_all(&hello[..sent]).unwrap();
        // To a whole hello there is an answer before the end.
        let _ = stream.read_to_end(&mut Vec::new());
        let took = begun.elapsed();
        assert!(
            took > Duration::from_millis(250) && took < DEADLINE / 2,
            "{sent}: {took:?}"
        );
        await_handshakes(&sidecar, "timed_out", n as u64 + 1);
    }
}

#[test]
fn sessions_are_resumed_in_both_versions() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let config = authority.client(&["http/1.1"]);
    for _ in 0..4 {
        let mut client = Client::over_tls(connect(&sidecar), &config, "localhost").unwrap();
        // The tickets come with the first response.
        assert_eq!(client.ask(&Request::get("/")).status(), 200);
    }
    let metrics = sidecar.metrics();
    assert_eq!(
        (handshakes(&metrics, "full"), handshakes(&metrics, "resumed")),
        (1, 3)
    );
    let mut results = metrics.values("gatecount_tls_handshakes_total", "result");
    results.sort_unstable();
    let closed_list = [
        "closed",
        "failed",
        "full",
        "no_certificate",
        "plain_http",
        "resumed",
        "timed_out",
    ];
    assert_eq!(results, closed_list);
    // A reload keeps the keys of the tickets.
    sidecar.signal("HUP");
    sidecar.await_log("configuration reloaded");
    let mut client = Client::over_tls(connect(&sidecar), &config, "localhost").unwrap();
    assert_eq!(client.ask(&Request::get("/")).status(), 200);
    await_handshakes(&sidecar, "resumed", 4);
}

#[test]
fn without_a_certificate_that_is_asked_for_nobody_is_served() {
    let (app, authority, strangers) = (Origin::start(origin::pages), Authority::new(), Authority::new());
    let sidecar = before(&app, &authority)
        .set("listen.tls.client_ca", authority.file().to_str().unwrap())
        .start();
    // In TLS 1.3 a client learns of the refusal when it reads the response.
    let ask = |config: &Arc<ClientConfig>| {
        Client::over_tls(connect(&sidecar), config, "localhost")
            .and_then(|mut c| c.try_ask(&Request::get("/")))
    };
    for config in [authority.client_of(&TLS12), authority.client_of(&TLS13)] {
        let error = ask(&config).unwrap_err().to_string();
        assert!(
            error.contains("CertificateRequired") || error.contains("HandshakeFailure"),
            "{error}"
        );
    }
    await_handshakes(&sidecar, "no_certificate", 2);
    let own = strangers.leaf(&["client.example"]);
    assert!(ask(&authority.client_showing(&["http/1.1"], &own)).is_err());
    await_handshakes(&sidecar, "failed", 1);
    assert!(app.seen().is_empty());

    let own = authority.leaf(&["client.example"]);
    let config = authority.client_showing(&["http/1.1"], &own);
    for _ in 0..2 {
        assert_eq!(ask(&config).unwrap().status(), 200);
    }
    await_handshakes(&sidecar, "resumed", 1);
    assert_eq!(app.seen().len(), 2);
}

#[test]
fn the_proxy_protocol_comes_before_tls() {
    let (app, plausible, authority) = (Origin::start(origin::pages), Receiver::start(), Authority::new());
    let sidecar = before(&app, &authority)
        .telling(&plausible)
        .set("listen.proxy_protocol", true)
        .set("client.trusted_proxies", vec!["127.0.0.1"])
        .start();
    let page = Request::get("/page").as_(NAVIGATION);
    for protocol in ["http/1.1", "h2"] {
        let mut stream = connect(&sidecar);
        stream
            .write_all(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n")
            .unwrap();
        let config = authority.client(&[protocol]);
        let response = if protocol == "h2" {
            crate::support::http2::Http2::over_tls(stream, &config, "localhost")
                .unwrap()
                .ask(&page)
        } else {
            Client::over_tls(stream, &config, "localhost").unwrap().ask(&page)
        };
        assert_eq!(response.status(), 200);
    }
    for event in plausible.await_recorded(2) {
        assert_eq!(event.visitor().0, "203.0.113.9");
        assert_eq!(event.text("url"), "https://example.com/page");
    }
    // Both in one piece.
    let (mut tls, mut stream) = (begin(&authority.client_of(&TLS13)), connect(&sidecar));
    let mut bytes = b"PROXY TCP4 203.0.113.10 192.0.2.1 4711 443\r\n".to_vec();
    tls.write_tls(&mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    tls.writer().write_all(&page.bytes()).unwrap();
    tls.complete_io(&mut stream).unwrap();
    let third = plausible.await_recorded(3).remove(2);
    assert_eq!(third.visitor().0, "203.0.113.10");
    // Without it a trusted peer is not served, TLS or not.
    let refused = Client::over_tls(connect(&sidecar), &authority.client(&["http/1.1"]), "localhost");
    assert!(refused.is_err());
}

#[test]
fn alpn_chooses_the_protocol_and_none_means_http1() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    assert_eq!(
        over_http1(&sidecar, &authority)
            .ask(&Request::get("/1"))
            .head
            .start,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(
        over_http2(&sidecar, &authority)
            .ask(&Request::get("/2"))
            .head
            .start,
        "HTTP/2 200"
    );
    let mut silent = Client::over_tls(connect(&sidecar), &authority.client(&[]), "localhost").unwrap();
    assert_eq!(silent.ask(&Request::get("/3")).head.start, "HTTP/1.1 200 OK");
    let none = Client::over_tls(connect(&sidecar), &authority.client(&["acme-tls/1"]), "localhost");
    assert!(
        none.is_err(),
        "RFC 7301 §3.2 has a server refuse where it knows none of the protocols"
    );
    await_handshakes(&sidecar, "failed", 1);
    let names = NAMES.map(|name| Request::get("/").host(name));
    let mut client = over_http1(&sidecar, &authority);
    for request in names {
        assert_eq!(client.ask(&request).status(), 200);
    }
}
