//! Answers: whole ones and streams of server-sent events, with the headers that keep them private.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::body::{Frame, SizeHint};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How many events may wait for a slow reader before the sender waits too.
const WAITING: usize = 16;
/// A comment goes out when nothing else did for this long: a reader that is gone is noticed, and proxies keep the
/// stream.
const BEAT: Duration = Duration::from_secs(15);

/// What follows a head.
pub(crate) enum Body {
    /// All of it; none once it was sent.
    Whole(Option<Bytes>),
    /// As it comes.
    Stream(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take()),
            Body::Stream(events) => events.poll_recv(cx),
        };
        next.map(|bytes| bytes.map(|b| Ok(Frame::data(b))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}

/// An answer with all of its body.
pub(crate) fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body: Bytes = body.into();
    let mut response = Response::new(Body::Whole(Some(body).filter(|b| !b.is_empty())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

/// A line of plain text.
pub(crate) fn text(status: StatusCode, line: &str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// A JSON value.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    whole(status, "application/json", format!("{value}\n"))
}

/// There is nothing at this path.
pub(crate) fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "not found")
}

/// The path does not take this method (RFC 9110 §15.5.6); `allow` lists those it does.
pub(crate) fn not_allowed(allow: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// The sending end of a stream of server-sent events.
pub(crate) struct Events(mpsc::Sender<Bytes>);

/// A stream of server-sent events and its sending end; the stream ends when that is dropped.
pub(crate) fn events() -> (Events, Response<Body>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut response = whole(StatusCode::OK, "text/event-stream", "");
    *response.body_mut() = Body::Stream(receiver);
    (Events(sender), response)
}

impl Events {
    /// Sends one event. `data` is a line; false once the reader is gone.
    pub(crate) async fn send(&self, id: &str, data: &str) -> bool {
        debug_assert!(!data.contains(['\r', '\n']), "an event's data is one line");
        self.0
            .send(format!("id: {id}\ndata: {data}\n\n").into())
            .await
            .is_ok()
    }

    /// Sends a comment, which readers ignore; false once the reader is gone.
    pub(crate) async fn beat(&self) -> bool {
        self.0.send(Bytes::from_static(b":\n\n")).await.is_ok()
    }

    /// Ends when the reader is gone.
    pub(crate) async fn gone(&self) {
        self.0.closed().await;
    }

    /// Waits for `next`, sending beats meanwhile; none once the reader is gone.
    pub(crate) async fn while_waiting<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        let mut next = std::pin::pin!(next);
        loop {
            tokio::select! {
                () = self.gone() => return None,
                done = timeout(BEAT, next.as_mut()) => match done {
                    Ok(value) => return Some(value),
                    Err(_) if self.beat().await => {}
                    Err(_) => return None,
                }
            }
        }
    }
}

/// Whether the reader asks for server-sent events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|line| {
        line.as_bytes().split(|b| *b == b',').any(|range| {
            let kind = range
                .split(|b| *b == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            kind.eq_ignore_ascii_case(b"text/event-stream")
        })
    })
}
