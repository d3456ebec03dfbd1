//! An app for a real browser: one page whose script tries what pages do (`playground.html`) and writes into
//! the page what came of it.

use std::{
    io,
    sync::{Condvar, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;

use super::{Then, Visit, lock};

/// How long the page's loading waits for its script.
const LONGEST_GAME: Duration = Duration::from_mins(1);

/// The manner of the app. The page has loaded when its script is done.
pub(crate) fn playground() -> impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync + 'static {
    let (over, ends) = (Mutex::new(false), Condvar::new());
    move |visit| {
        let target = visit.head.target().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        match path {
            "/socket" => return websocket(visit),
            "/hold" => {
                let held = ends.wait_timeout_while(lock(&over), LONGEST_GAME, |over| !*over);
                drop(held);
                visit.answer("image/png", b"")?;
            }
            "/release" => {
                *lock(&over) = true;
                ends.notify_all();
                visit.answer("text/plain", b"")?;
            }
            "/data" => {
                let body = visit.body();
                let said = serde_json::json!({
                    "method": visit.head.method(),
                    "target": target,
                    "body": String::from_utf8_lossy(&body),
                    "asked_by": visit.head.get("x-asked-by"),
                });
                visit.answer("application/json", said.to_string().as_bytes())?;
            }
            "/form" => {
                let body = visit.body();
                let text = String::from_utf8_lossy(&body).replace('&', "&amp;");
                visit.answer(
                    "text/html; charset=utf-8",
                    format!("<!doctype html><body>{text}").as_bytes(),
                )?;
            }
            "/file" => visit.answer("application/octet-stream", &file())?,
            _ => visit.answer("text/html; charset=utf-8", include_bytes!("playground.html"))?,
        }
        Ok(Then::Keep)
    }
}

/// What `/file` is.
fn file() -> Vec<u8> {
    (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()
}

/// The sum of the bytes of `/file`, which the page makes too.
pub(crate) fn file_sum() -> u64 {
    file().into_iter().map(u64::from).sum()
}

/// Agrees to be a WebSocket (RFC 6455 §4.2.2), and sends each message back.
fn websocket(visit: &mut Visit) -> io::Result<Then> {
    let Some(key) = visit.head.get("sec-websocket-key").map(str::to_owned) else {
        visit.answer("text/plain", b"no WebSocket")?;
        return Ok(Then::Keep);
    };
    let keyed = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        keyed.as_bytes(),
    ));
    visit.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    ))?;
    loop {
        let (first, payload) = frame(visit)?;
        let mut out = vec![first];
        match payload.len() {
            short @ 0..126 => out.push(short as u8),
            middle @ 126..65_536 => {
                out.push(126);
                out.extend((middle as u16).to_be_bytes());
            }
            long => {
                out.push(127);
                out.extend((long as u64).to_be_bytes());
            }
        }
        out.extend(payload);
        visit.send(out)?;
        // A close is answered by a close.
        if first & 0x0f == 8 {
            return Ok(Then::Close);
        }
    }
}

/// The first byte of a client's frame, and its payload, unmasked (RFC 6455 §5.2).
fn frame(visit: &mut Visit) -> io::Result<(u8, Vec<u8>)> {
    let start = visit.exactly(2)?;
    let length = match start[1] & 0x7f {
        126 => number(&visit.exactly(2)?),
        127 => number(&visit.exactly(8)?),
        short => usize::from(short),
    };
    let mask = visit.exactly(4)?;
    let mut payload = visit.exactly(length)?;
    for (n, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[n % 4];
    }
    Ok((start[0], payload))
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}
