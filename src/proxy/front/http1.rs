//! An HTTP/1.x client: request after request over one connection, until somebody closes it.

use std::{future::poll_fn, io, rc::Rc, task::Poll};

use tokio::time::Instant;

use super::{
    client::{After, Client},
    own::{self, OwnRequest},
    relay::{self, Request},
};
use crate::{
    http1::{self, Body, Refusal, RequestHead, Version, field_slots},
    proxy::{
        asked::{Asked, Framing},
        errors::Fault,
        plan::{self, Route},
    },
};

/// What the client's bytes are.
enum Next {
    /// A request for the app.
    Request,
    /// A request that gatecount answers itself.
    Own(Box<OwnRequest>),
    /// What was no request.
    Refuse(Fault),
    Close,
}

/// What came of waiting for the client's bytes.
enum Waited {
    Read(io::Result<usize>),
    TimedOut,
    /// The connection is to close though nothing is wrong with it.
    Unwanted,
}

/// Serves a connection to its end.
///
/// Each request stays where it was read until it is over: one slot, so that it is not moved through the
/// futures that work on it, and a connection's task has room for it once.
pub(super) async fn serve(client: &mut Client) {
    let mut first = true;
    let mut request = None;
    loop {
        let next = next(client, first, &mut request).await;
        client.seat.work();
        let after = match (next, &mut request) {
            (Next::Request, Some(request)) => relay::carry(client, request).await,
            (Next::Own(request), _) => Box::pin(own::answer(client, *request)).await,
            (Next::Refuse(fault), _) => own::refuse(client, None, &fault),
            (Next::Request | Next::Close, _) => After::Close,
        };
        first = false;
        request = None;
        match after {
            After::KeepAlive => {}
            After::Linger => return Box::pin(client.linger()).await,
            After::Discard => return Box::pin(client.discard()).await,
            After::Close => return,
        }
    }
}

/// Waits for the next request, and puts one that is for the app into `request`. The time for a head starts
/// with its first byte; before that the connection is idle.
async fn next(client: &mut Client, first: bool, request: &mut Option<Request>) -> Next {
    let header_timeout = client.context.settings.header_timeout;
    let mut scanned = 0;
    if !client.inbuf.is_empty()
        && let Some(next) = read_buffered(client, &mut scanned, request)
    {
        return next;
    }
    let idle = client.inbuf.is_empty() && !first;
    let wait = if idle {
        client.context.settings.idle_timeout
    } else {
        header_timeout
    };
    let now = Instant::now();
    client.timer.set(now + wait);
    client.seat.wait(now);
    loop {
        let read = poll_fn(|cx| {
            let context = Rc::clone(&client.context);
            if let Poll::Ready(read) = client.poll_read(cx, &mut context.scratch.borrow_mut()) {
                return Poll::Ready(Waited::Read(read));
            }
            if client.should_close(first) {
                return Poll::Ready(Waited::Unwanted);
            }
            client.timer.poll(cx).map(|()| Waited::TimedOut)
        })
        .await;
        match read {
            Waited::Read(Ok(0) | Err(_)) | Waited::Unwanted => return Next::Close,
            Waited::Read(Ok(n)) => {
                if let Some(next) = read_fresh(client, n, &mut scanned, request) {
                    return next;
                }
                if idle && scanned == client.inbuf.len() && scanned == n {
                    client.timer.set(Instant::now() + header_timeout);
                }
            }
            Waited::TimedOut if client.inbuf.is_empty() => return Next::Close,
            Waited::TimedOut => return Next::Refuse(Fault::SlowHead),
        }
    }
}

/// Takes the `n` bytes that were read into the scratch. A head that came in one piece is parsed there,
/// without a copy.
fn read_fresh(
    client: &mut Client,
    n: usize,
    scanned: &mut usize,
    request: &mut Option<Request>,
) -> Option<Next> {
    let context = Rc::clone(&client.context);
    let scratch = context.scratch.borrow();
    let bytes = &scratch[..n];
    if !client.inbuf.is_empty() {
        client.inbuf.extend_from_slice(bytes);
        return read_buffered(client, scanned, request);
    }
    match read_head(client, bytes, request) {
        Ok(Some((next, len))) => {
            client.inbuf.extend_from_slice(&bytes[len..]);
            Some(next)
        }
        Ok(None) => {
            client.inbuf.extend_from_slice(bytes);
            *scanned = n;
            too_large(client)
        }
        Err(fault) => Some(Next::Refuse(fault)),
    }
}

/// Parses the kept bytes once they hold a complete head.
fn read_buffered(client: &mut Client, scanned: &mut usize, request: &mut Option<Request>) -> Option<Next> {
    let from = std::mem::replace(scanned, client.inbuf.len());
    if http1::head_end(&client.inbuf, from).is_none() {
        return too_large(client);
    }
    match read_head(client, &client.inbuf, request) {
        Ok(Some((next, len))) => {
            client.inbuf.drain(..len);
            if client.inbuf.is_empty() {
                client.inbuf = Vec::new();
            }
            Some(next)
        }
        Ok(None) => too_large(client),
        Err(fault) => Some(Next::Refuse(fault)),
    }
}

fn too_large(client: &Client) -> Option<Next> {
    let limit = client.context.settings.max_head_bytes;
    (client.inbuf.len() > limit).then_some(Next::Refuse(Refusal::TooLarge.into()))
}

/// Reads a head off the start of `bytes` and plans its request. Returns the head's length too. `Ok(None)`:
/// more bytes are needed.
fn read_head(
    client: &Client,
    bytes: &[u8],
    request: &mut Option<Request>,
) -> Result<Option<(Next, usize)>, Fault> {
    let mut slots = field_slots();
    let Some(head) = http1::parse_request(bytes, &mut slots)? else {
        return Ok(None);
    };
    if head.len > client.context.settings.max_head_bytes {
        return Err(Refusal::TooLarge.into());
    }
    let next = match plan::plan(&client.context, client.peer, &asked(&head, client.https)) {
        Route::App(plan) => {
            *request = Some(Request {
                plan,
                body: head.body,
                version: head.version,
            });
            Next::Request
        }
        Route::Answer(plan) => Next::Own(Box::new(OwnRequest {
            plan: *plan,
            body: head.body,
            version: head.version,
        })),
    };
    Ok(Some((next, head.len)))
}

fn asked<'a>(head: &RequestHead<'a, 'a>, https: bool) -> Asked<'a> {
    Asked {
        method: head.method,
        target: head.target,
        host: head.host,
        https,
        version: match head.version {
            Version::Http10 => http::Version::HTTP_10,
            Version::Http11 => http::Version::HTTP_11,
        },
        fields: head.fields,
        framing: match head.body {
            Body::Length(n) => Framing::Length(n),
            Body::Chunked(_) => Framing::Chunked,
            Body::Done | Body::UntilClose => Framing::None,
        },
        expects_continue: head.expects_continue,
        websocket: false,
    }
}
