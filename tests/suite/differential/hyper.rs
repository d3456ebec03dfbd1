//! What hyper's client, as it is without options, makes of a response.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Frame, Incoming},
    client::conn::http1,
    ext::ReasonPhrase,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::timeout,
};

use super::End;
use super::{
    Fields, Outcome,
    corpus::{Ask, Case},
    end_to_end, in_order,
};
use crate::support::{DEADLINE, message::latin};

/// Bytes on their way: more than any case has.
const PIPE: usize = 1 << 20;

/// Shows it each case on a connection of its own.
pub(super) fn outcomes(cases: &[Case]) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let one = |case| async move {
        let outcome = timeout(DEADLINE, outcome(case)).await;
        outcome.unwrap_or_else(|_| panic!("{}: hyper waits for ever", case.id))
    };
    cases.iter().map(|case| runtime.block_on(one(case))).collect()
}

async fn outcome(case: &Case) -> Outcome {
    let (near, far) = tokio::io::duplex(PIPE);
    let app = tokio::spawn(answer(far, case.bytes.clone()));
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.expect("no I/O yet");
    let connection = tokio::spawn(connection);
    let interim = Arc::default();
    let response = sender.send_request(request(case.ask, &interim)).await;
    let mut outcome = match response {
        Ok(response) => read(response).await,
        Err(_) => Outcome::default(),
    };
    app.abort();
    connection.abort();
    outcome.interim = std::mem::take(&mut interim.lock().expect("no panic with it"));
    outcome
}

/// The app: says its bytes when the request's head is there, and ends its side.
async fn answer(mut far: DuplexStream, bytes: Vec<u8>) {
    let mut head = Vec::new();
    while memchr::memmem::find(&head, b"\r\n\r\n").is_none() {
        far.read_buf(&mut head).await.expect("a request");
    }
    // It may have read enough before the end.
    let _ = far.write_all(&bytes).await;
    let _ = far.shutdown().await;
    std::future::pending::<()>().await;
}

fn request(ask: Ask, interim: &Arc<Mutex<Vec<(u16, Fields)>>>) -> Request<Upload> {
    let mut request = Request::builder().method(ask.method()).uri("/");
    for (name, value) in [("Host", "example.com")].iter().chain(ask.fields()) {
        request = request.header(*name, *value);
    }
    let body = Upload {
        begun: Some(ask.body()).filter(|b| !b.is_empty()),
        open: ask == Ask::Early,
    };
    let mut request = request.body(body).expect("a request");
    let interim = Arc::clone(interim);
    hyper::ext::on_informational(&mut request, move |response| {
        let fields = end_to_end(&fields(response.headers()));
        let mut interim = interim.lock().expect("no panic with it");
        interim.push((response.status().as_u16(), fields));
    });
    request
}

async fn read(response: Response<Incoming>) -> Outcome {
    let (head, mut body) = response.into_parts();
    let reason = match head.extensions.get::<ReasonPhrase>() {
        Some(own) => latin(own.as_bytes()),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let mut outcome = Outcome {
        end: End::Whole,
        status: head.status.as_u16(),
        reason,
        fields: end_to_end(&fields(&head.headers)),
        ..Outcome::default()
    };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => outcome.body.extend_from_slice(&data),
            Ok(Err(frame)) => {
                let trailers = frame.into_trailers().expect("data or trailers");
                outcome.trailers = in_order(&fields(&trailers));
            }
            Err(_) => {
                outcome.end = End::Cut;
                break;
            }
        }
    }
    outcome
}

fn fields(map: &HeaderMap) -> Fields {
    map.iter()
        .map(|(name, value)| (name.to_string(), latin(value.as_bytes())))
        .collect()
}

/// A request's body: what there is of it, and then the end, or nothing for ever.
struct Upload {
    begun: Option<&'static [u8]>,
    open: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.begun.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes))))),
            None if self.open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_none() && !self.open
    }
}
