//! Whoever is done first: an app that answers before the upload's end, a client that ends its side before the
//! answer, a client that never comes to the end.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::before;
use crate::support::{
    client::{NAVIGATION, Request},
    eventually,
    origin::{Origin, Then},
    process::Builder,
};

const UPLOAD: usize = 4_000_000;

fn upload(length: usize) -> Vec<u8> {
    format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

/// T04 of the reports: "accept, then process".
#[test]
fn an_upload_goes_on_behind_its_answer_for_as_long_as_the_app_reads() {
    let app = Origin::start(|visit| {
        visit.send(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok")?;
        visit.body();
        Ok(Then::Close)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&upload(UPLOAD));
    for _ in 0..20 {
        client.send(&vec![b'x'; UPLOAD / 20]);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.response().status(), 202);
    eventually("the app has all of it", || match app.only() {
        seen if seen.body.len() == UPLOAD && seen.fault.is_none() => Ok(()),
        seen => Err(format!("{} bytes, {:?}", seen.body.len(), seen.fault)),
    });
}

/// T03 of the reports.
#[test]
fn a_client_that_sends_all_before_it_reads_gets_the_refusal() {
    const BIG: usize = 20_000_000;
    let app = Origin::start(|visit| {
        visit.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 7\r\n\r\ntoo big")?;
        visit.discard_body()?;
        Ok(Then::Close)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&upload(BIG));
    client.send(&vec![b'x'; BIG]);
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (413, "too big"));
}

/// The app answers and closes: what the client still sends is thrown away, and it reads the answer.
#[test]
fn the_answer_of_an_app_that_closes_survives_the_rest_of_the_upload() {
    let app = Origin::start(|visit| {
        visit.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 7\r\n\r\ntoo big")?;
        Ok(Then::Close)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&upload(UPLOAD));
    client.send(&vec![b'x'; UPLOAD]);
    assert_eq!(client.response().status(), 413);
}

/// T05 of the reports: the end of a client's side is not its leave (RFC 9112 §9.6).
#[test]
fn a_client_that_ends_its_side_gets_the_response_and_is_counted() {
    let app = Origin::start(|visit| {
        thread::sleep(Duration::from_millis(300));
        visit.answer("text/html", b"<!doctype html>late")?;
        Ok(Then::Keep)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&Request::get("/late").as_(NAVIGATION).bytes());
    client.end_sending();
    let response = client.response();
    assert_eq!(
        (response.status(), response.text().as_str()),
        (200, "<!doctype html>late")
    );
    client.until_closed();
    sidecar.await_metrics("a page view", |m| m.decisions("counted") == 1);
}

/// Nobody reads the response: the system answers it with a reset, and the page was not seen.
#[test]
fn a_client_that_closes_before_the_response_is_not_counted() {
    let app = Origin::start(|visit| {
        thread::sleep(Duration::from_millis(300));
        visit.answer("text/html", b"<!doctype html>late")?;
        Ok(Then::Keep)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&Request::get("/late").as_(NAVIGATION).bytes());
    drop(client);
    sidecar.await_metrics("an aborted request", |m| m.decisions("aborted") == 1);
    assert_eq!(sidecar.metrics().decisions("counted"), 0);
}

/// R7 of the faults: a byte now and then is no body.
#[test]
fn a_body_that_drips_ends_by_its_rate() {
    let app = Origin::start(|visit| {
        visit.body();
        Ok(Then::Close)
    });
    let sidecar = Builder::before(&app)
        .set("listen.body_timeout", "500ms")
        .set("listen.min_rate", "1KiB/s")
        .start();
    let begun = Instant::now();
    let mut client = sidecar.client();
    client.send(&upload(UPLOAD));
    let mut sent = 0;
    while client.try_send(b"x").is_ok() && begun.elapsed() < Duration::from_secs(20) {
        sent += 1;
        thread::sleep(Duration::from_millis(100));
        client.patience(Duration::from_millis(1));
        if let Ok(response) = client.try_response_to("POST") {
            assert_eq!(response.status(), 408);
            break;
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{sent} bytes, {:?}",
        begun.elapsed()
    );
    assert!(sent >= 3, "{sent} bytes");
}
