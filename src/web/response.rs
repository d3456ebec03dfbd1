//! Responses: whole ones and streams of server-sent events, with headers that keep them out of caches.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{
    HeaderMap, Response, StatusCode,
    body::{Body, Frame, SizeHint},
};
use tokio::{sync::mpsc, time::timeout};

use super::connections::BusyGuard;

/// How many events may wait for a slow reader before the sender waits too.
const EVENT_BUFFER: usize = 16;
/// A comment is sent when nothing else was for this long. It shows whether the reader is still there, and
/// keeps proxies from closing the stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A response's body.
pub(crate) struct ResponseBody {
    content: BodyContent,
    /// Keeps the connection marked as busy until the body is sent.
    busy: Option<BusyGuard>,
}

enum BodyContent {
    /// All of it; `None` once it is sent.
    Whole(Option<Bytes>),
    /// Chunks as they come.
    Stream(mpsc::Receiver<Bytes>),
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        BodyContent::Whole(None).into()
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        BodyContent::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())).into()
    }

    /// Holds `busy` until this body is dropped.
    pub(super) fn hold(&mut self, busy: BusyGuard) {
        self.busy = Some(busy);
    }
}

impl From<BodyContent> for ResponseBody {
    fn from(content: BodyContent) -> Self {
        ResponseBody { content, busy: None }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.get_mut().content {
            BodyContent::Whole(bytes) => Poll::Ready(bytes.take()),
            BodyContent::Stream(chunks) => chunks.poll_recv(cx),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, BodyContent::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            BodyContent::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            BodyContent::Stream(_) => SizeHint::default(),
        }
    }
}

/// A whole response that no cache stores and no other origin's page is told the address of.
pub(crate) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

/// One line of plain text.
pub(crate) fn text(status: StatusCode, line: &str) -> Response<ResponseBody> {
    whole(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// A value as JSON. One that can't be serialized is a 500.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<ResponseBody> {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            whole(status, "application/json", body)
        }
        Err(error) => {
            tracing::error!(%error, "a response can't be written as JSON");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the response can't be written")
        }
    }
}

pub(crate) fn not_found() -> Response<ResponseBody> {
    text(StatusCode::NOT_FOUND, "not found")
}

/// 405 with the methods that the path takes (RFC 9110 §15.5.6).
pub(crate) fn method_not_allowed(allow: &'static str) -> Response<ResponseBody> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Whether the reader asks for server-sent events.
pub(crate) fn wants_event_stream(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|line| {
        line.as_bytes().split(|b| *b == b',').any(|range| {
            let media_type = range.split(|b| *b == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        })
    })
}

/// The sending end of a stream of server-sent events.
pub(crate) struct EventSender(mpsc::Sender<Bytes>);

/// A stream of server-sent events. It ends when the sender is dropped.
pub(crate) fn event_stream() -> (EventSender, Response<ResponseBody>) {
    let (sender, receiver) = mpsc::channel(EVENT_BUFFER);
    let mut response = whole(StatusCode::OK, "text/event-stream", "");
    *response.body_mut() = BodyContent::Stream(receiver).into();
    (EventSender(sender), response)
}

impl EventSender {
    /// Sends one event; `data` has no line break. False once the reader is gone.
    pub(crate) async fn send(&self, id: &str, data: &str) -> bool {
        debug_assert!(!data.contains(['\r', '\n']), "an event's data is one line");
        self.0
            .send(format!("id: {id}\ndata: {data}\n\n").into())
            .await
            .is_ok()
    }

    /// Waits for `next` and sends heartbeats meanwhile. `None` once the reader is gone.
    pub(crate) async fn while_waiting<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        let mut next = std::pin::pin!(next);
        loop {
            tokio::select! {
                () = self.0.closed() => return None,
                done = timeout(HEARTBEAT, next.as_mut()) => match done {
                    Ok(value) => return Some(value),
                    Err(_) if self.heartbeat().await => {}
                    Err(_) => return None,
                }
            }
        }
    }

    /// Sends a comment, which readers ignore. False once the reader is gone.
    async fn heartbeat(&self) -> bool {
        self.0.send(Bytes::from_static(b":\n\n")).await.is_ok()
    }
}
