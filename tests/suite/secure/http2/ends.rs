//! Ends: of a stream, of a response, of a connection, of the process.

use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    secure::{before, connect, frames, over_http2},
    support::{
        client::{Client, FETCH, NAVIGATION, Request},
        eventually,
        frames::{CANCEL, DATA, GOAWAY, HEADERS, INTERNAL_ERROR, NO_ERROR, RST_STREAM},
        http2::{self, Failure, Http2, Upload},
        load::Steady,
        origin::{self, Origin, Then},
        site,
        tls::Authority,
        wire::Fault,
    },
};

/// An app that never answers, and counts how often it was left.
fn left_alone() -> (Arc<AtomicUsize>, Origin) {
    let left = Arc::new(AtomicUsize::new(0));
    let app = Origin::start({
        let left = Arc::clone(&left);
        move |visit| {
            if visit.head.target() == "/page" {
                return origin::pages(visit);
            }
            if visit.head.target() == "/begins" {
                visit.send(
                    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: text/html\r\n\r\nso far",
                )?;
            }
            visit.until_left()?;
            left.fetch_add(1, Ordering::SeqCst);
            Ok(Then::Close)
        }
    });
    (left, app)
}

#[track_caller]
fn await_count(what: &str, counter: &AtomicUsize, count: usize) {
    eventually(what, || match counter.load(Ordering::SeqCst) {
        now if now == count => Ok(()),
        now => Err(format!("{now} of {count}")),
    });
}

#[test]
fn a_stream_that_the_client_resets_is_aborted_and_the_app_is_left() {
    let ((left, app), authority) = (left_alone(), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    let navigation: Vec<(String, &str)> = NAVIGATION
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), *value))
        .collect();
    let navigation: Vec<(&str, &str)> = navigation.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    // Before the response's head nobody has seen a page.
    client.get(1, "/never", &navigation);
    eventually("the app is asked", || {
        (app.seen().len() == 1).then_some(()).ok_or("no".into())
    });
    client.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    await_count("the app is left", &left, 1);
    sidecar.await_metrics("it is aborted", |m| m.decisions("aborted") == 1);
    // Behind the head the page was seen, and the app is left all the same.
    client.get(3, "/begins", &navigation);
    client.until_that(|frame| frame.kind == DATA && frame.payload == b"so far");
    client.send(RST_STREAM, 0, 3, &CANCEL.to_be_bytes());
    await_count("the app is left", &left, 2);
    let metrics = sidecar.await_metrics("no stream is left", |m| {
        m.metric("gatecount_http2_streams").value() == 0
    });
    assert_eq!(
        (metrics.decisions("aborted"), metrics.decisions("counted")),
        (1, 1)
    );
    client.get(5, "/page", &[]);
    assert_eq!(client.response(5).0, 200);
    // The same by the connection's end.
    client.get(7, "/never", &navigation);
    eventually("the app is asked", || {
        (app.seen().len() == 4).then_some(()).ok_or("no".into())
    });
    drop(client);
    await_count("the app is left", &left, 3);
    sidecar.await_metrics("it is aborted", |m| m.decisions("aborted") == 2);
}

#[test]
fn an_upload_that_the_client_resets_is_never_whole_to_the_app() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    let head = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", "/"),
    ];
    for (n, code) in [CANCEL, NO_ERROR].into_iter().enumerate() {
        let stream = 2 * n as u32 + 1;
        client.head(stream, 0, &head);
        client.send(DATA, 0, stream, b"some of it");
        eventually("the app is asked", || {
            (app.seen().len() == n + 1).then_some(()).ok_or("no".into())
        });
        client.send(RST_STREAM, 0, stream, &code.to_be_bytes());
        sidecar.await_metrics("it is decided", |m| m.decided() == n as u64 + 1);
        eventually("the app has read it to its end", || match app.open() {
            0 => Ok(()),
            _ => Err("it reads on".into()),
        });
        let seen = app.seen();
        assert_eq!(
            seen[n].fault,
            Some(Fault::Cut),
            "after a reset with {code}: {:?}",
            seen[n]
        );
    }
}

#[test]
fn a_response_that_the_app_cuts_ends_as_a_reset() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n",
    ] {
        let (send, manner) = origin::on_command(head);
        let (app, authority) = (Origin::start(manner), Authority::new());
        let sidecar = before(&app, &authority).start();
        let mut client = frames(&sidecar, &authority, &[]);
        client.get(1, "/", &[]);
        let head = client.until_that(|frame| frame.stream == 1);
        assert_eq!(
            (head.kind, head.status(), head.ends_stream()),
            (HEADERS, 200, false)
        );
        // The app closes.
        drop(send);
        let end = client.until_that(|frame| frame.ends_stream() || frame.kind != DATA);
        assert_eq!((end.kind, end.code()), (RST_STREAM, INTERNAL_ERROR), "{end:?}");
        sidecar.await_metrics("the cut is counted", |m| {
            m.metric("gatecount_app_errors_total")
                .label("reason", "cut")
                .value()
                == 1
        });
    }
}

#[test]
fn a_response_that_is_late_is_504_and_the_app_is_left() {
    let ((left, app), authority) = (left_alone(), Authority::new());
    let sidecar = before(&app, &authority)
        .set("app.response_timeout", "400ms")
        .start();
    let client = over_http2(&sidecar, &authority);
    let late = client.request(&Request::get("/never").as_(NAVIGATION), Upload::none());
    let begun = Instant::now();
    let late = http2::spawn(http2::exchange(client.sender(), late));
    assert_eq!(client.ask(&Request::get("/page")).status(), 200);
    let response = http2::wait_for(late).unwrap().unwrap();
    assert_eq!(response.status(), 504);
    assert!(
        begun.elapsed() > Duration::from_millis(350),
        "{:?}",
        begun.elapsed()
    );
    await_count("the app is left", &left, 1);
    let metrics = sidecar.metrics();
    assert_eq!(metrics.decisions("error_status"), 1);
    let errors = metrics.metric("gatecount_app_errors_total");
    assert_eq!(errors.label("reason", "response_timeout").value(), 1);
    assert_eq!(client.ask(&Request::get("/page")).status(), 200);
}

#[test]
fn an_idle_connection_is_told_to_go_and_closed() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority)
        .set("listen.idle_timeout", "500ms")
        .set("listen.header_timeout", "700ms")
        .start();
    let mut used = frames(&sidecar, &authority, &[]);
    used.get(1, "/", &[]);
    assert_eq!(used.response(1).0, 200);
    let idle = Instant::now();
    let away = used.until(GOAWAY);
    assert_eq!(away.code(), NO_ERROR);
    assert!(
        idle.elapsed() > Duration::from_millis(400),
        "{:?}",
        idle.elapsed()
    );
    assert_closes(&mut used);
    // One that asks nothing has as long as for a head.
    let begun = Instant::now();
    let mut silent = frames(&sidecar, &authority, &[]);
    assert_eq!(silent.until(GOAWAY).code(), NO_ERROR);
    assert!(
        begun.elapsed() > Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
    assert_closes(&mut silent);
    sidecar.await_metrics("all are gone", |m| m.metric("gatecount_connections").value() == 0);
    assert_eq!(
        sidecar.metrics().metric("gatecount_http2_errors_total").value(),
        0
    );
}

/// Nothing but farewells comes, and TLS ends as it should.
#[track_caller]
fn assert_closes(frames: &mut crate::support::frames::Frames) {
    while let Some(frame) = frames.next().expect("an end in order") {
        assert_eq!((frame.kind, frame.code()), (GOAWAY, NO_ERROR), "{frame:?}");
    }
}

#[test]
fn a_stop_lets_streams_finish_and_sends_clients_away() {
    let (send, manner) = origin::on_command("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    let app = Origin::start(move |visit| match visit.head.target() {
        "/slow" => manner(visit),
        _ => origin::pages(visit),
    });
    let authority = Authority::new();
    let mut sidecar = before(&app, &authority).set("listen.drain", "10s").start();
    let (mut busy, mut idle) = (
        frames(&sidecar, &authority, &[]),
        frames(&sidecar, &authority, &[]),
    );
    idle.get(1, "/", &[]);
    assert_eq!(idle.response(1).0, 200);
    busy.get(1, "/slow", &[]);
    assert_eq!(busy.until(HEADERS).status(), 200);
    sidecar.signal("TERM");
    assert_eq!(idle.until(GOAWAY).code(), NO_ERROR);
    assert_closes(&mut idle);
    assert_eq!(busy.until(GOAWAY).code(), NO_ERROR);
    // A stop is no reason to cut what goes on.
    send.send(b"0123456789".to_vec()).unwrap();
    drop(send);
    let (_, data, end) = busy.response(1);
    assert!(data == b"0123456789" && end.ends_stream(), "{data:?} {end:?}");
    assert_closes(&mut busy);
    assert!(sidecar.wait().success());
    assert!(Client::try_to(sidecar.address).is_err(), "the port is still open");
}

#[test]
fn a_stop_under_load_fails_no_request() {
    const CONNECTIONS: usize = 4;
    const AT_ONCE: usize = 16;
    let (app, authority) = (site::start(), Authority::new());
    let mut sidecar = before(&app, &authority).set("listen.drain", "10s").start();
    let (config, address) = (authority.client(&["h2"]), sidecar.address);
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (config, answered) = (Arc::clone(&config), Arc::clone(&answered));
            std::thread::spawn(move || -> Result<usize, String> {
                let mut connections = 0;
                // Goes on with a new connection wherever it was sent away, until nobody takes one.
                while let Ok(stream) = TcpStream::connect(address) {
                    // The listener may close with this connection in its queue.
                    let Ok(client) = Http2::over_tls(stream, &config, "localhost") else {
                        break;
                    };
                    connections += 1;
                    while !client.is_closed() {
                        let running: Vec<_> = (0..AT_ONCE)
                            .map(|n| {
                                let request = Request::get(&format!("/page/{n}")).as_(FETCH);
                                let request = client.request(&request, Upload::none());
                                http2::spawn(http2::exchange(client.sender(), request))
                            })
                            .collect();
                        for running in running {
                            match http2::wait_for(running).map_err(|e| e.to_string())? {
                                Ok(response) if response.status() == 200 && response.complete => {
                                    answered.fetch_add(1, Ordering::SeqCst);
                                }
                                Err(Failure::NotSent | Failure::Refused) => {}
                                other => return Err(format!("{other:?}")),
                            }
                        }
                    }
                }
                Ok(connections)
            })
        })
        .collect();
    let enough = |count: usize| {
        eventually("requests are answered", || {
            match answered.load(Ordering::SeqCst) {
                now if now >= count => Ok(()),
                now => Err(format!("{now}")),
            }
        });
    };
    enough(500);
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    for client in clients {
        let connections = client
            .join()
            .unwrap()
            .unwrap_or_else(|e| panic!("a request failed: {e}"));
        assert!(connections > 1, "nobody was sent away");
    }
    // What a client was told to send elsewhere was not looked at.
    assert_eq!(app.seen().len(), answered.load(Ordering::SeqCst));
}

#[test]
fn a_broken_connection_harms_no_other() {
    let (app, authority) = (site::start(), Authority::new());
    let sidecar = before(&app, &authority).set("listen.workers", 1).start();
    let (address, config) = (sidecar.address, authority.client(&["http/1.1"]));
    let steady = Steady::over(move || Client::over_tls(TcpStream::connect(address)?, &config, "localhost"));
    for bytes in [
        &b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0"[..],
        b"\xff\xff\xff\0\0\0\0\0\x01",
        b"\0\0\x01\x01\x04\0\0\0\x01\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = frames(&sidecar, &authority, &[]);
        client.wire().send(bytes).unwrap();
        let away = client.until(GOAWAY);
        assert_ne!(away.code(), NO_ERROR, "{bytes:?}");
        steady.goes_on();
    }
    let no_preface = Client::over_tls(connect(&sidecar), &authority.client(&["h2"]), "localhost");
    let mut no_preface = no_preface.unwrap().into_wire();
    no_preface.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // What it says to that is h2's; it ends.
    let _ = no_preface.until_end();
    steady.finish();
    sidecar.await_metrics("they were counted, and are gone", |m| {
        m.metric("gatecount_http2_errors_total").value() == 5
            && m.metric("gatecount_connections").value() == 0
    });
}
