//! One connection from its preface to its end: hyper's server set up with our bounds, time-outs, the graceful
//! stop, and what each request becomes.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::{
    body::{Body, Incoming},
    server::conn::http2::Builder,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
    time::Instant,
};

use super::{
    body::ResponseBody,
    budget::OfStream,
    io::ClientIo,
    request,
    streams::Streams,
    transfer::{Answer, NoAnswer, Transfer},
    tunnel,
    upload::Upload,
};
use crate::{
    client::Peer,
    facts,
    proxy::{
        app::exchange::Failure,
        asked::Framing,
        context::{Context, Phase},
        errors::Fault,
        plan::{self, Route},
        record::RequestRecord,
    },
    timer::Timer,
};

/// The flow-control windows of a connection and of each stream: bytes of request bodies on their way to the
/// app.
const WINDOW: u32 = 256 * 1024;
/// What h2 may keep of one stream's response, in bytes, while the client's window is open.
const SEND_BUFFER: usize = 16 * 1024;
/// Streams that were reset before they were answered: more than so many at once are a flood (CVE-2023-44487).
const RESET_STREAMS: usize = 32;
/// How long a connection that was asked to close may take for it.
const CLOSING: Duration = Duration::from_secs(2);
/// The deadlines of waiting streams are checked at an interval between these two.
const TICK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Serves a connection to its end.
///
/// `early` is what was already read.
pub(in crate::proxy::front) async fn serve<S>(
    context: Rc<Context>,
    stream: S,
    early: Vec<u8>,
    peer: Peer,
    https: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let streams = Rc::new(Streams::new(Rc::clone(&context), peer, https));
    let settings = &context.settings;
    let mut builder = Builder::new(LocalExecutor);
    builder
        .max_concurrent_streams(settings.max_streams)
        .max_header_list_size(u32::try_from(settings.max_head_bytes).unwrap_or(u32::MAX))
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .auto_date_header(false)
        .enable_connect_protocol();
    let service = service_fn(|request| {
        let streams = Rc::clone(&streams);
        // Boxed, so that what the request needed goes when the response begins, and not when it ends.
        Box::pin(async move { Ok::<_, Infallible>(answer(streams, request).await) })
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(ClientIo::new(early, stream)), service));
    let tick = (settings.header_timeout.min(settings.idle_timeout))
        .min(settings.app.response_timeout)
        .div_f64(4.0)
        .clamp(TICK.0, TICK.1);
    let (mut timer, mut closing) = (Timer::new(), None);
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            let now = Instant::now();
            streams.end_waits(now);
            let idle_since = streams.idle_since();
            let idle_for = if streams.served() == 0 {
                settings.header_timeout
            } else {
                settings.idle_timeout
            };
            let asked_to_stop = match context.phase.get() {
                Phase::Serving => false,
                // A new connection gets one request served: its client can't know about the drain yet.
                Phase::Draining => streams.served() > 0,
                Phase::Closing => true,
            };
            if closing.is_none() && (asked_to_stop || idle_since.is_some_and(|since| now >= since + idle_for))
            {
                closing = Some(now);
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let due = match (closing, idle_since) {
                // The client did not close in time, so we do.
                (Some(asked), Some(since)) if now >= asked.max(since) + CLOSING => return Poll::Ready(None),
                (Some(asked), Some(since)) => asked.max(since) + CLOSING,
                (None, Some(since)) => since + idle_for,
                (_, None) => now + tick,
            };
            timer.set(due);
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
    if let Some(Err(error)) = ended
        && !is_end_of_client(&error)
    {
        context.metrics.http2_errors.inc();
        tracing::debug!(%error, "an HTTP/2 connection ended");
    }
}

/// The client's connection ended, which is no error of the protocol.
fn is_end_of_client(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Answers one request.
async fn answer(streams: Rc<Streams>, mut request: Request<Incoming>) -> Response<ResponseBody> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let framing = match (body.is_end_stream(), body.size_hint().exact()) {
        (true, _) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    };
    let context = Rc::clone(&streams.context);
    let mut cookies = context.buffer();
    let route = request::read(&parts, framing, streams.https, &mut cookies, |asked| {
        plan::plan(&context, streams.peer, asked)
    });
    context.give_back(cookies);
    drop(parts);
    let plan = match route {
        Ok(Route::App(plan)) => plan,
        Ok(Route::Answer(record, fault)) => return own(&streams, Some(record), &fault, false),
        Err(refusal) => return own(&streams, None, &refusal.into(), false),
    };
    let upload = (framing != Framing::None).then(|| Upload::new(body, framing));
    let mut transfer = Transfer::new(streams.enter(), plan, upload);
    match transfer.answer().await {
        Ok(Answer::Response(head)) => head.map(|()| ResponseBody::App(transfer)),
        Ok(Answer::Switched {
            response,
            app,
            unsent,
            early,
        }) => {
            spawn_local(tunnel::run(transfer.into_open(), upgrade, app, unsent, early));
            response.map(|()| ResponseBody::Own(None))
        }
        Err(NoAnswer::App(Failure::Fault(fault))) => {
            let plan = transfer.into_plan();
            own(&streams, Some(plan.record), &fault, plan.to_head)
        }
        // Nobody reads this response. The record is dropped unsettled, so the request counts as aborted.
        Err(NoAnswer::Gone | NoAnswer::App(Failure::Repeat)) => {
            let mut response = Response::new(ResponseBody::Own(None));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

/// Answers in the app's place.
fn own(
    streams: &Rc<Streams>,
    record: Option<RequestRecord>,
    fault: &Fault,
    to_head: bool,
) -> Response<ResponseBody> {
    match record {
        Some(mut record) => record.settle(&facts::ResponseFacts::of_status(fault.status())),
        None => streams.context.metrics.response(fault.status()),
    }
    streams.context.report(fault, Some(fault.status()));
    let text = fault.body();
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let fields = response.headers_mut();
    for (name, value) in fault.fields() {
        if let Ok(name) = name.parse::<http::HeaderName>() {
            fields.insert(name, HeaderValue::from_static(value));
        }
    }
    fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    let piece = (!to_head).then(|| streams.budget.piece(&OfStream::default(), text.into_bytes()));
    response.map(|()| ResponseBody::Own(piece))
}

/// Runs a connection's streams on its worker's thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
