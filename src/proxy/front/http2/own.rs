//! What gatecount answers itself over HTTP/2: refusals, and the dedicated paths.

use std::{future::poll_fn, pin::Pin, rc::Rc};

use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use super::{
    body::ResponseBody,
    budget::{Piece, StreamBytes},
    streams::OpenStream,
};
use crate::{
    facts,
    proxy::{
        errors::Fault,
        front::pace::BodyPace,
        plan::{OwnAnswer, OwnPlan},
        record::RequestRecord,
    },
    tracker::{Answering, DedicatedAnswer, Receiving, Reply},
};

/// Why a request's body does not come to its end.
enum NoBody {
    /// The client has left or reset the stream.
    Gone,
    Fault(Fault),
}

/// Answers a request. Only a client that is still there sees to it that this is polled.
pub(super) async fn answer(open: Rc<OpenStream>, plan: OwnPlan, body: Incoming) -> Response<ResponseBody> {
    let OwnPlan {
        record,
        answer,
        to_head,
        ..
    } = plan;
    let reply = match answer {
        OwnAnswer::Fault(fault) => return answer_fault(open, Some(record), &fault, to_head),
        OwnAnswer::Dedicated(reply) => reply,
    };
    let answering = match reply {
        Reply::Answer(answering) => answering,
        Reply::Body(receiving) => match receive(&open, body, receiving).await {
            Ok(answering) => answering,
            Err(NoBody::Gone) => return nothing(open),
            Err(NoBody::Fault(fault)) => return answer_fault(open, Some(record), &fault, to_head),
        },
    };
    let answer = match answering {
        Answering::Ready(answer) => answer,
        Answering::Later(answer) => answer.await,
    };
    send(open, record, answer, to_head)
}

/// Reads the request's body.
async fn receive(
    open: &OpenStream,
    mut body: Incoming,
    mut receiving: Box<Receiving>,
) -> Result<Answering, NoBody> {
    let context = &open.streams.context;
    let mut pace = BodyPace::default();
    loop {
        let until = pace.wait(&context.settings, Instant::now());
        let frame = timeout_at(until, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await;
        let Ok(frame) = frame else {
            return Err(NoBody::Fault(Fault::SlowBody));
        };
        match frame.transpose().map_err(|_| NoBody::Gone)? {
            Some(frame) => {
                // Trailers say nothing here.
                let Ok(data) = frame.into_data() else { continue };
                pace.received(data.len());
                if let Err(answer) = receiving.take(&data) {
                    return Ok(Answering::Ready(answer));
                }
            }
            // hyper ends the body of a stream that was reset with NO_ERROR as if it were complete.
            None if !body.is_end_stream() => return Err(NoBody::Gone),
            None => return Ok(receiving.finish(&context.live.borrow().sites)),
        }
    }
}

fn send(
    open: Rc<OpenStream>,
    mut record: RequestRecord,
    answer: DedicatedAnswer,
    to_head: bool,
) -> Response<ResponseBody> {
    record.settle(&facts::ResponseFacts::of_status(answer.status));
    let length = answer.length();
    let has_body = !to_head && !answer.body.is_empty();
    let fields = answer.fields.iter().map(|(name, value)| (*name, value.as_ref()));
    let head = head(answer.status, fields, length);
    let piece = has_body.then(|| open.streams.budget.share(answer.body));
    respond(open, head, piece)
}

/// Answers in the app's place.
pub(super) fn answer_fault(
    open: Rc<OpenStream>,
    record: Option<RequestRecord>,
    fault: &Fault,
    to_head: bool,
) -> Response<ResponseBody> {
    let streams = &open.streams;
    match record {
        Some(mut record) => record.settle_fault(fault),
        None => streams.context.metrics.response(fault.status()),
    }
    streams.context.report(fault, Some(fault.status()));
    let text = fault.body();
    let head = head(fault.status(), fault.fields(), Some(text.len()));
    let piece = (!to_head).then(|| streams.budget.charge(&StreamBytes::default(), text.into_bytes()));
    respond(open, head, piece)
}

/// A response that nobody reads, because the client is gone.
pub(super) fn nothing(open: Rc<OpenStream>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Own {
        piece: None,
        _open: open,
    });
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

fn head<'a>(
    status: u16,
    fields: impl Iterator<Item = (&'static str, &'a str)>,
    length: Option<usize>,
) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let map = response.headers_mut();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), HeaderValue::from_str(value)) {
            map.append(name, value);
        }
    }
    if let Some(length) = length {
        map.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn respond(open: Rc<OpenStream>, head: Response<()>, piece: Option<Piece>) -> Response<ResponseBody> {
    open.state.over.set(true);
    head.map(|()| ResponseBody::Own { piece, _open: open })
}
