//! What apps do, right and wrong.

use std::{
    io,
    sync::{Mutex, mpsc},
};

use super::{Then, Visit, lock};

/// A page for every path, kept alive.
pub(crate) fn pages(visit: &mut Visit) -> io::Result<Then> {
    visit.body();
    visit.answer(
        "text/html; charset=utf-8",
        b"<!doctype html><title>A page</title>",
    )?;
    Ok(Then::Keep)
}

/// Sends the body and its trailers back, chunked.
pub(crate) fn echoes(visit: &mut Visit) -> io::Result<Then> {
    let body = visit.body();
    let mut out = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    if !body.is_empty() {
        out.extend(format!("{:x}\r\n", body.len()).bytes());
        out.extend(&body);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n");
    for (name, value) in visit.trailers() {
        out.extend(format!("{name}: {value}\r\n").bytes());
    }
    out.extend(b"\r\n");
    visit.send(out)?;
    Ok(Then::Keep)
}

/// Says these bytes and closes.
pub(crate) fn says(bytes: impl Into<Vec<u8>>) -> impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync {
    let bytes = bytes.into();
    move |visit| {
        visit.body();
        visit.send(&bytes)?;
        Ok(Then::Close)
    }
}

/// Says these bytes and keeps the connection.
pub(crate) fn says_and_stays(
    bytes: impl Into<Vec<u8>>,
) -> impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync {
    let bytes = bytes.into();
    move |visit| {
        visit.body();
        visit.send(&bytes)?;
        Ok(Then::Keep)
    }
}

/// Answers the first request of a connection and closes it at once, without having announced it: what a proxy
/// meets that keeps connections longer than the app does.
pub(crate) fn closes_idle_connections(visit: &mut Visit) -> io::Result<Then> {
    pages(visit)?;
    Ok(Then::Close)
}

/// Answers the first request of a connection, reads the second, and closes without a word: a pooled
/// connection that dies under a request.
pub(crate) fn closes_on_the_second_request(visit: &mut Visit) -> io::Result<Then> {
    if visit.nth > 0 {
        return Ok(Then::Close);
    }
    pages(visit)
}

/// Reads the request and never answers.
pub(crate) fn never_answers(visit: &mut Visit) -> io::Result<Then> {
    visit.until_left()?;
    Ok(Then::Close)
}

/// Answers in full before it has read a byte of the body, and closes.
pub(crate) fn answers_before_the_body(visit: &mut Visit) -> io::Result<Then> {
    visit.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 7\r\nconnection: close\r\n\r\ntoo big")?;
    // An app that closes with bytes unread resets the connection; it lingers a moment, as servers do.
    visit.until_left()?;
    Ok(Then::Close)
}

/// Agrees to every upgrade and then sends back what it gets.
pub(crate) fn upgrades_and_echoes(visit: &mut Visit) -> io::Result<Then> {
    let Some(protocol) = visit.head.get("upgrade").map(str::to_owned) else {
        return pages(visit);
    };
    visit.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: {protocol}\r\n\r\n"
    ))?;
    loop {
        let bytes = visit.read()?;
        if bytes.is_empty() {
            return Ok(Then::Close);
        }
        visit.send(bytes)?;
    }
}

/// An app that begins a chunked answer and then sends what the test hands it, piece by piece, until the test
/// drops the sender.
pub(crate) fn on_command(
    head: &str,
) -> (
    mpsc::Sender<Vec<u8>>,
    impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync + 'static,
) {
    let (sender, pieces) = mpsc::channel::<Vec<u8>>();
    let (pieces, head) = (Mutex::new(pieces), head.to_owned());
    let manner = move |visit: &mut Visit| {
        visit.body();
        visit.send(&head)?;
        for piece in lock(&pieces).iter() {
            visit.send(piece)?;
        }
        Ok(Then::Close)
    };
    (sender, manner)
}
