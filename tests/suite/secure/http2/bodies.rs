//! Bodies both ways.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::Frame;

use crate::{
    secure::{before, frames, over_http2},
    support::{
        as_long_as_it_moves,
        client::{FETCH, Request},
        eventually,
        frames::{DATA, END_STREAM, PROTOCOL_ERROR, RST_STREAM},
        http2::{self, Upload},
        origin::{self, Origin, Then},
        tls::Authority,
    },
};

/// Bytes that differ, so that one that is lost or doubled shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect()
}

#[test]
fn trailers_go_both_ways() {
    let (app, authority) = (Origin::start(origin::echoes), Authority::new());
    let sidecar = before(&app, &authority).start();
    let trailers = [
        ("x-sum", "12"),
        ("x-more", "b"),
        ("content-length", "9"),
        ("x-forwarded-for", "1.2.3.4"),
    ];
    let trailers = trailers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let response = over_http2(&sidecar, &authority)
        .try_ask(
            &Request::new("POST", "/").as_(FETCH),
            Upload::pieces(&[b"a", b"b"], &trailers),
        )
        .unwrap();
    // Those that must not be trailers stay behind (RFC 9110 §6.5.1).
    assert_eq!(response.trailers, trailers[..2]);
    assert_eq!((response.body.as_slice(), response.complete), (&b"ab"[..], true));
    assert_eq!(app.only().trailers, trailers[..2]);
}

#[test]
fn an_upload_waits_for_the_app_and_arrives_whole() {
    const SIZE: usize = 20 << 20;
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let app = Origin::start(move |visit| {
        if visit.head.target() == "/slow" {
            gate.lock().unwrap().recv().unwrap();
        }
        origin::pages(visit)
    });
    let authority = Authority::new();
    let sidecar = before(&app, &authority).set("listen.workers", 1).start();
    let client = over_http2(&sidecar, &authority);
    assert_eq!(client.ask(&Request::get("/")).status(), 200);
    let (memory, body) = (sidecar.rss(), pattern(SIZE));
    let sent = Arc::new(AtomicUsize::new(0));
    let (pieces, upload) = Upload::channel();
    http2::spawn({
        let (sent, body) = (Arc::clone(&sent), Bytes::from(body.clone()));
        async move {
            for at in (0..SIZE).step_by(16 * 1024) {
                let piece = body.slice(at..SIZE.min(at + 16 * 1024));
                pieces.send(Frame::data(piece)).await.expect("the upload is read");
                sent.fetch_add(16 * 1024, Ordering::SeqCst);
            }
        }
    });
    let request = client.request(&Request::new("PUT", "/slow").as_(FETCH), upload);
    let running = http2::spawn(http2::exchange(client.sender(), request));
    // The kernel's buffers towards the app take some of it, and then it rests.
    let mut last = (0, Instant::now());
    let rested = eventually("the upload rests", || {
        let now = sent.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        }
        let rests = now > 0 && last.1.elapsed() > Duration::from_millis(300);
        rests.then_some(now).ok_or(format!("{now} bytes"))
    });
    assert!(rested < SIZE, "20 MiB went somewhere while the app read nothing");
    let grown = sidecar.rss().saturating_sub(memory);
    assert!(grown < 4 << 20, "it grew by {grown} bytes");
    // Meanwhile others are served over the same connection.
    assert_eq!(client.ask(&Request::get("/other")).status(), 200);
    go.send(()).unwrap();
    let response = http2::wait_for(running).unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let seen = app.seen();
    let upload = seen.iter().find(|seen| seen.head.target() == "/slow").unwrap();
    assert!(upload.body == body && upload.fault.is_none());
}

#[test]
fn an_early_answer_is_read_and_the_upload_goes_on() {
    let app = Origin::start(|visit| {
        if visit.head.method() == "POST" {
            visit.answer("text/plain", b"enough")?;
        } else {
            origin::pages(visit)?;
        }
        // The rest of the body is read behind this.
        Ok(Then::Keep)
    });
    let authority = Authority::new();
    let sidecar = before(&app, &authority).start();
    let client = over_http2(&sidecar, &authority);
    let body = pattern(3 << 20);
    let (pieces, upload) = Upload::channel();
    let request = client.request(&Request::new("POST", "/").as_(FETCH), upload);
    let running = http2::spawn(http2::exchange(client.sender(), request));
    let (first, rest) = body.split_at(1000);
    let first = Frame::data(Bytes::copy_from_slice(first));
    assert!(http2::wait_for(pieces.send(first)).is_ok());
    let response = http2::wait_for(running).unwrap().unwrap();
    assert_eq!((response.status(), response.text()), (200, "enough".to_owned()));
    assert!(response.complete);
    for piece in rest.chunks(60_000) {
        let piece = Frame::data(Bytes::copy_from_slice(piece));
        assert!(
            http2::wait_for(pieces.send(piece)).is_ok(),
            "the upload was ended"
        );
    }
    drop(pieces);
    as_long_as_it_moves("the app has all of it", || {
        let seen = app.only();
        match seen.body.len() {
            length if length == body.len() => Ok(()),
            length => Err(length),
        }
    });
    assert!(app.only().body == body);
    assert_eq!(client.ask(&Request::get("/")).status(), 200);
}

#[test]
fn an_app_that_answers_and_closes_within_an_upload_is_heard() {
    let app = Origin::start(origin::answers_before_the_body);
    let authority = Authority::new();
    let sidecar = before(&app, &authority).start();
    let client = over_http2(&sidecar, &authority);
    for _ in 0..5 {
        let body = pattern(2 << 20);
        let response = client
            .try_ask(&Request::new("POST", "/"), Upload::pieces(&[&body], &[]))
            .unwrap();
        assert_eq!((response.status(), response.text()), (413, "too big".to_owned()));
        assert!(response.complete);
    }
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_never_gets_whole_to_the_app() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    let head = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", "/"),
        ("content-length", "5"),
    ];
    for (n, body) in [&b"abcdefg"[..], b"abc"].into_iter().enumerate() {
        let stream = 2 * n as u32 + 1;
        client.head(stream, 0, &head);
        client.send(DATA, END_STREAM, stream, body);
        let end = client.until_that(|frame| frame.stream == stream);
        assert_eq!((end.kind, end.code()), (RST_STREAM, PROTOCOL_ERROR), "{body:?}");
    }
    client.head(5, 0, &head);
    client.send(DATA, END_STREAM, 5, b"abcde");
    assert_eq!(client.response(5).0, 200);
    let whole: Vec<Vec<u8>> = app
        .seen()
        .into_iter()
        .filter(|seen| seen.fault.is_none() && seen.body.len() == 5)
        .map(|seen| seen.body)
        .collect();
    assert_eq!(whole, [b"abcde"]);
}

#[test]
fn a_slow_reader_holds_up_its_own_stream_alone() {
    const BIG: usize = 8 << 20;
    let app = Origin::start(|visit| match visit.head.target() {
        "/big" => {
            visit.answer("application/octet-stream", &vec![b'b'; BIG])?;
            Ok(Then::Keep)
        }
        _ => origin::pages(visit),
    });
    let authority = Authority::new();
    let sidecar = before(&app, &authority)
        .set("listen.workers", 1)
        .set("listen.idle_timeout", "1s")
        .start();
    let mut client = frames(&sidecar, &authority, &[]);
    let memory = sidecar.rss();
    // The stream's window is 65,535 bytes, and nothing is added to it.
    client.get(1, "/big", &[]);
    let mut came = 0;
    while came < 65_535 {
        let frame = client.until(DATA);
        came += frame.payload.len();
    }
    client.widen(0, 1 << 24);
    let waiting = sidecar.await_metrics("the response waits", |m| {
        m.metric("gatecount_http2_waiting_bytes").value() > 0
    });
    let waiting = waiting.metric("gatecount_http2_waiting_bytes").value();
    assert!(waiting <= 256 * 1024, "{waiting} bytes wait");
    for stream in [3, 5, 7] {
        client.get(stream, "/page", &[]);
        let (status, _, end) = client.response(stream);
        assert!(status == 200 && end.ends_stream(), "{end:?}");
    }
    let grown = sidecar.rss().saturating_sub(memory);
    assert!(grown < 4 << 20, "it grew by {grown} bytes");
    // After a while the app's connection is given up.
    sidecar.await_metrics("nothing waits", |m| {
        m.metric("gatecount_http2_waiting_bytes").value() <= waiting
            && m.metric("gatecount_http2_streams").value() <= 1
    });
    eventually("the app is left", || {
        let connections = app.open();
        (connections <= 1)
            .then_some(())
            .ok_or(format!("{connections} connections"))
    });
    client.widen(1, 1 << 24);
    let (_, _, end) = client.response(1);
    assert_eq!(end.kind, RST_STREAM, "what was cut must not look whole");
    client.get(9, "/page", &[]);
    assert_eq!(client.response(9).0, 200);
    sidecar.await_metrics("all is given back", |m| {
        m.metric("gatecount_http2_waiting_bytes").value() == 0
            && m.metric("gatecount_http2_streams").value() == 0
    });
}

#[test]
fn a_download_arrives_whole_however_slowly_it_is_read() {
    let body = pattern(3 << 20);
    let app = Origin::start({
        let body = body.clone();
        move |visit| {
            visit.body();
            visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            for piece in body.chunks(10_000) {
                visit.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())?;
            }
            visit.send("0\r\n\r\n")?;
            Ok(Then::Keep)
        }
    });
    let authority = Authority::new();
    let sidecar = before(&app, &authority).start();
    let mut client = frames(&sidecar, &authority, &[]);
    client.get(1, "/", &[]);
    client.widen(0, 1 << 24);
    let mut came = Vec::new();
    loop {
        let frame = client.until_that(|frame| frame.stream == 1 && frame.kind != 1);
        came.extend_from_slice(&frame.payload);
        if frame.ends_stream() {
            break;
        }
        assert_eq!(frame.kind, DATA);
        client.widen(1, frame.payload.len().max(1) as u32);
        // A reader that takes its time.
        if came.len().is_multiple_of(7) {
            thread::yield_now();
        }
    }
    assert!(came == body);
}
