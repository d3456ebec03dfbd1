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

use http::{Method, Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http2::Builder,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
    time::Instant,
};

use super::{
    body::ResponseBody,
    io::ClientIo,
    own, request,
    streams::{OpenStream, Streams},
    transfer::{Answer, NoAnswer, Transfer},
    tunnel,
    upload::Upload,
};
use crate::{
    client::Peer,
    http1::Refusal,
    proxy::{
        app::exchange::Failure,
        asked::Framing,
        context::{Context, Phase, Seat},
        plan::{self, OwnPlan, Route},
    },
    timer::Timer,
};

/// What all request bodies of a connection together may have on their way to the app, in bytes; and one of
/// them.
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 128 * 1024;
/// What h2 may keep of one stream's response, in bytes, while the client's window is open.
const SEND_BUFFER: usize = 16 * 1024;
/// Streams that were reset before they were taken: more than so many at once are a flood.
const RESET_STREAMS: usize = 32;
/// How long a connection that was asked to close may take for it.
const CLOSING: Duration = Duration::from_secs(2);
/// How long an idle one may take that makes room for another connection.
const MAKING_ROOM: Duration = Duration::from_millis(50);
/// The times of waiting streams are looked at so often at most, and at least.
const TICK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How a connection ended.
enum Ended {
    /// By the protocol.
    Closed(hyper::Result<()>),
    /// The client reset too many of its requests.
    Flooded,
    /// The client has left, or does not take what it asked for, or did not close when it was asked to.
    Left,
}

/// Serves a connection to its end. `early` was read from the stream already.
pub(in crate::proxy::front) async fn serve<S>(
    context: Rc<Context>,
    stream: S,
    early: Vec<u8>,
    peer: Peer,
    seat: &Seat,
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
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .auto_date_header(false)
        .enable_connect_protocol();
    // What needs no waiting is done here and not in the stream's own task: the timer below is set right after
    // it.
    let service = service_fn(|request| {
        let begun = begin(streams.enter(), request);
        // Boxed, so that what the request needed goes when the response begins, and not when it ends.
        Box::pin(async move { Ok::<_, Infallible>(answer(begun).await) })
    });
    let io = ClientIo::new(&context, early, stream);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io.clone()), service));
    let tick = (settings.header_timeout.min(settings.idle_timeout))
        .min(settings.app.response_timeout)
        .div_f64(4.0)
        .clamp(TICK.0, TICK.1);
    let (mut timer, mut closing, mut look_at) = (Timer::new(), None, Instant::now() + tick);
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Ended::Closed(ended));
            }
            if let Poll::Ready(Err(_)) = io.poll_send(cx) {
                return Poll::Ready(Ended::Left);
            }
            if streams.is_flooded() {
                return Poll::Ready(Ended::Flooded);
            }
            let idle_since = streams.idle_since();
            match idle_since {
                Some(since) => seat.wait(since),
                None => seat.work(),
            }
            let asked_to_stop = match context.phase.get() {
                Phase::Serving => seat.is_unwanted(),
                // A new connection is served once, for its client does not know yet.
                Phase::Draining => streams.served() > 0,
                Phase::Closing => true,
            };
            if asked_to_stop && closing.is_none() {
                closing = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let idle_for = if streams.are_given_up() {
                // They have had their time.
                CLOSING
            } else if streams.served() == 0 {
                settings.header_timeout
            } else {
                settings.idle_timeout
            };
            let patience = if seat.is_unwanted() { MAKING_ROOM } else { CLOSING };
            timer.set(match (closing, idle_since) {
                (_, None) => look_at,
                (None, Some(since)) => since + idle_for,
                (Some(asked), Some(since)) => asked.max(since) + patience,
            });
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match (closing, idle_since) {
                (_, None) => {
                    streams.end_waits(now);
                    look_at = now + tick;
                }
                (None, Some(_)) => {
                    closing = Some(now);
                    connection.as_mut().graceful_shutdown();
                }
                // The client does not close: we do.
                (Some(_), Some(_)) => return Poll::Ready(Ended::Left),
            }
        }
    })
    .await;
    match ended {
        Ended::Closed(Err(error)) if !is_end_of_client(&error) => {
            context.metrics.http2_errors.inc();
            tracing::debug!(%error, "an HTTP/2 connection ended");
        }
        Ended::Flooded => {
            context.metrics.http2_errors.inc();
            tracing::debug!("an HTTP/2 client reset too many of its requests");
        }
        Ended::Closed(_) | Ended::Left => {}
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

/// A request that was read and decided.
#[allow(clippy::large_enum_variant)] // the large one is the usual one
enum Begun {
    App(Transfer, OnUpgrade),
    /// A request for a dedicated path, with its body.
    Own(Rc<OpenStream>, Box<OwnPlan>, Incoming),
    Answered(Response<ResponseBody>),
}

/// Reads a request and has it decided.
fn begin(open: OpenStream, mut request: Request<Incoming>) -> Begun {
    let streams = Rc::clone(&open.streams);
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
    let to_head = parts.method == Method::HEAD;
    let (record, fault) = match route {
        Ok(Route::App(plan)) if open.hold_head(plan.record.head().len()) => {
            let upload = (framing != Framing::None).then(|| Upload::new(body, framing));
            return Begun::App(Transfer::new(open, plan, upload), upgrade);
        }
        Ok(Route::App(plan)) => (Some(plan.record), Refusal::TooLarge.into()),
        Ok(Route::Answer(plan)) if open.hold_head(plan.record.head().len()) => {
            return Begun::Own(Rc::new(open), plan, body);
        }
        Ok(Route::Answer(plan)) => (Some(plan.record), Refusal::TooLarge.into()),
        Err(refusal) => (None, refusal.into()),
    };
    Begun::Answered(own::answer_fault(Rc::new(open), record, &fault, to_head))
}

/// Carries a request out.
async fn answer(begun: Begun) -> Response<ResponseBody> {
    let (mut transfer, upgrade) = match begun {
        Begun::App(transfer, upgrade) => (transfer, upgrade),
        Begun::Own(open, plan, body) => {
            // Boxed, so that a stream to the app has no room for it.
            return Box::pin(own::answer(open, *plan, body)).await;
        }
        Begun::Answered(response) => return response,
    };
    match transfer.answer().await {
        Ok(Answer::Response(head)) => head.map(|()| ResponseBody::App(transfer)),
        Ok(Answer::Switched {
            response,
            app,
            unsent,
            place,
            early,
        }) => {
            let open = transfer.into_open();
            spawn_local(tunnel::run(
                (Rc::clone(&open), place),
                upgrade,
                app,
                unsent,
                early,
            ));
            response.map(|()| ResponseBody::Own {
                piece: None,
                _open: open,
            })
        }
        Err(NoAnswer::App(Failure::Fault(fault))) => {
            let (open, plan) = transfer.into_parts();
            own::answer_fault(open, Some(plan.record), &fault, plan.to_head)
        }
        // Nobody reads this; the record, dropped here, counts as aborted.
        Err(NoAnswer::Gone | NoAnswer::App(Failure::Repeat)) => own::nothing(transfer.into_open()),
    }
}

/// Runs a connection's streams on its worker's thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
