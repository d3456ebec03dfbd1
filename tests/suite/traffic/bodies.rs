//! Bodies stream both ways and end as they were meant to; what comes before the response is not the response.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use super::before;
use crate::support::{
    client::{NAVIGATION, Request},
    eventually, full,
    message::{Head, all},
    origin::{self, Origin, Then},
    site,
};

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
        // The next one is sent only after this one was read: a proxy that waits for more never gets past the
        // first.
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

/// P3: what slow readers have not taken is kept in little memory.
#[test]
fn many_slow_readers_take_little_memory_each() {
    const EACH: u64 = 32 << 10;
    let readers: u64 = if full() { 1500 } else { 300 };
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let app = Origin::start(move |visit| {
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 16777216\r\n\r\n")?;
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..256 {
            visit.send(&piece)?;
            counted.fetch_add(1, SeqCst);
        }
        Ok(Then::Keep)
    });
    let sidecar = before(&app);
    let idle = sidecar.rss();
    let mut clients = Vec::new();
    for n in 0..readers {
        let mut client = sidecar.client();
        client.send(&Request::get(&format!("/{n}")).bytes());
        assert_eq!(client.head().status(), 200);
        clients.push(client);
    }
    // Once nobody takes more, the app's writes stand still.
    let mut last = u64::MAX;
    eventually("nothing moves", || {
        thread::sleep(Duration::from_millis(200));
        let now = sent.load(SeqCst);
        if std::mem::replace(&mut last, now) == now {
            Ok(())
        } else {
            Err(format!("{now} pieces sent"))
        }
    });
    let grown = sidecar.rss().saturating_sub(idle);
    assert!(
        grown < readers * EACH,
        "{readers} slow readers took {} bytes each",
        grown / readers
    );
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
fn expect_continue_is_the_apps_to_answer_before_the_body_is_sent() {
    let app = Origin::start(|visit| {
        if visit.head.has("expect") {
            visit.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        origin::echoes(visit)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    for _ in 0..2 {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(client.head().status(), 100);
        client.send(b"hello");
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn a_client_that_does_not_wait_for_its_continue_is_served() {
    let app = Origin::start(origin::echoes);
    let sidecar = before(&app);
    let mut client = sidecar.client();
    for _ in 0..2 {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "hello");
    }
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
