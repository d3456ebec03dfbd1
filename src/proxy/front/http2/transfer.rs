//! One stream's request to the app and the response back: what `relay` is to HTTP/1.x. The stream's task
//! polls it first for the response's head, then for its data; the request's body goes on beside both.

use std::{
    cell::RefMut,
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::Frame;
use tokio::time::timeout;

use super::{
    budget::{OfStream, Piece},
    streams::{OpenStream, Waiting},
    upload::{ClientGone, Upload},
};
use crate::{
    facts, headers,
    http1::{self, ResponseHead, field_slots},
    proxy::{
        app::exchange::{self, Exchange, Failure, Head},
        context::Context,
        errors::Fault,
        plan::Plan,
        stream::{Stream, Unsent},
    },
};

/// See the module.
pub(super) struct Transfer {
    open: OpenStream,
    plan: Plan,
    /// What is left of the request's body.
    upload: Option<Upload>,
    /// What the client has not taken of the response.
    untaken: OfStream,
    /// Data that came with the response's head.
    first: Option<Piece>,
    /// hyper has got all of the response, except for `first`.
    over: bool,
}

/// What the app answers.
pub(super) enum Answer {
    /// A response, whose data [`Transfer::poll_data`] gives.
    Response(http::Response<()>),
    /// The app has switched protocols.
    Switched {
        response: http::Response<()>,
        app: Stream,
        /// What the app has not taken of the request.
        unsent: Unsent,
        /// The first bytes of the new protocol.
        early: Vec<u8>,
    },
}

/// Why there is no answer from the app.
pub(super) enum NoAnswer {
    /// The client has left or reset the stream.
    Gone,
    App(Failure),
}

impl From<Fault> for NoAnswer {
    fn from(fault: Fault) -> Self {
        NoAnswer::App(Failure::Fault(fault))
    }
}

impl From<ClientGone> for NoAnswer {
    fn from(_: ClientGone) -> Self {
        NoAnswer::Gone
    }
}

impl Transfer {
    pub(super) fn new(open: OpenStream, plan: Plan, upload: Option<Upload>) -> Self {
        Transfer {
            open,
            plan,
            upload,
            untaken: OfStream::default(),
            first: None,
            over: false,
        }
    }

    pub(super) fn into_plan(self) -> Plan {
        self.plan
    }

    /// The place among the open streams, for a tunnel. Drops the settled record.
    pub(super) fn into_open(self) -> OpenStream {
        self.open
    }

    fn context(&self) -> Rc<Context> {
        Rc::clone(&self.open.streams.context)
    }

    /// Sends the request and waits for the response's head, which settles the request.
    ///
    /// # Errors
    /// [`NoAnswer`]; the request is not settled then.
    pub(super) async fn answer(&mut self) -> Result<Answer, NoAnswer> {
        let context = self.context();
        let app = &context.settings.app;
        let mut exchange = exchange::open(&context.pool, app, &self.plan).await?;
        loop {
            *self.open.state.exchange.borrow_mut() = Some(exchange);
            match poll_fn(|cx| self.poll_answer(cx)).await {
                Err(NoAnswer::App(Failure::Repeat)) => exchange = exchange::reopen(app, &self.plan).await?,
                other => return other,
            }
        }
    }

    fn poll_answer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Answer, NoAnswer>> {
        let (context, state) = (self.context(), Rc::clone(&self.open.state));
        let mut slot = state.exchange.borrow_mut();
        let Some(exchange) = slot.as_mut() else {
            return Poll::Ready(Err(NoAnswer::Gone));
        };
        let mut moved = match &mut self.upload {
            Some(upload) => upload.push(&context, exchange, cx)?,
            None => false,
        };
        // Data that comes with the head waits for the client as well. Nothing of this stream waits yet, so
        // there is room.
        let Poll::Ready(room) = self.open.streams.budget.poll_room(&self.untaken, cx) else {
            return Poll::Pending;
        };
        let mut scratch = context.scratch.borrow_mut();
        while let Poll::Ready(read) = exchange.poll_read(cx, &mut scratch[..room]) {
            moved = true;
            let Some(n) = read.as_ref().ok().copied().filter(|n| *n > 0) else {
                // Before the response's head, every end is a failure.
                let failure = exchange.end_of_app(&read).err();
                return Poll::Ready(Err(failure.map_or(NoAnswer::Gone, NoAnswer::App)));
            };
            let joined = exchange.join(&scratch[..n]);
            let mut bytes = joined.as_deref().unwrap_or(&scratch[..n]);
            while !bytes.is_empty() {
                let mut slots = field_slots();
                match exchange.next_head(&mut bytes, &mut slots)? {
                    Some(Head::Interim(_)) => context.metrics.http2_interim_dropped.inc(),
                    Some(Head::Switch(head)) => {
                        let response = self.settle(&head, StatusCode::OK);
                        let early = bytes.to_vec();
                        state.stop_waiting();
                        return Poll::Ready(switched(slot, response, early));
                    }
                    Some(Head::Final(head)) => {
                        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
                        let response = self.settle(&head, status);
                        state.stop_waiting();
                        let data = read_data(&context, exchange, bytes);
                        let data = data.map_err(|fault| context.report(&fault, None));
                        self.first = self.piece(data.unwrap_or_default());
                        self.end_if_over(slot);
                        return Poll::Ready(Ok(Answer::Response(response)));
                    }
                    None => {
                        exchange.keep_partial(bytes)?;
                        break;
                    }
                }
            }
        }
        let (waiting, time) = if exchange.wants_body() && !exchange.has_unsent() {
            (Waiting::RequestBody, context.settings.idle_timeout)
        } else {
            (Waiting::App, context.settings.app.response_timeout)
        };
        match state.overdue().filter(|_| !moved) {
            Some(Waiting::App) => return Poll::Ready(Err(Fault::ResponseTimeout.into())),
            Some(_) => return Poll::Ready(Err(Fault::SlowBody.into())),
            None => state.wait(waiting, time, moved, cx.waker()),
        }
        Poll::Pending
    }

    /// Settles the request, and builds the head for the client.
    fn settle(&mut self, head: &ResponseHead<'_, '_>, status: StatusCode) -> http::Response<()> {
        self.plan
            .record
            .settle(&facts::ResponseFacts::read(head.status, head.fields));
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        let fields = response.headers_mut();
        let connection = headers::ConnectionOptions::read(head.fields);
        for line in headers::for_client(head.fields, &connection) {
            // Over HTTP/2 a WebSocket has no key, and so no answer to it (RFC 8441 §5).
            let is_key = head.status == 101 && line.name.eq_ignore_ascii_case("sec-websocket-accept");
            if !is_key {
                append(fields, line);
            }
        }
        if let Some(length) = head.content_length {
            fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }

    /// The response's data, and its trailers.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, io::Error>>> {
        let (context, state) = (self.context(), Rc::clone(&self.open.state));
        if let Some(first) = self.first.take() {
            self.wait_for_window(cx);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.over {
            return Poll::Ready(None);
        }
        state.stop_waiting();
        let mut slot = state.exchange.borrow_mut();
        let Some(exchange) = slot.as_mut() else {
            return Poll::Ready(Some(Err(cut())));
        };
        if let Some(upload) = &mut self.upload
            && upload.push(&context, exchange, cx).is_err()
        {
            slot.take();
            return Poll::Ready(Some(Err(cut())));
        }
        loop {
            if exchange.is_over() {
                let trailers = trailers(exchange.trailers());
                self.over = true;
                self.finish(slot);
                return Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))));
            }
            let Poll::Ready(room) = self.open.streams.budget.poll_room(&self.untaken, cx) else {
                self.wait_for_window(cx);
                return Poll::Pending;
            };
            let mut scratch = context.scratch.borrow_mut();
            let Poll::Ready(read) = exchange.poll_read(cx, &mut scratch[..room]) else {
                return Poll::Pending;
            };
            let failure = match &read {
                Ok(n) if *n > 0 => match read_data(&context, exchange, &scratch[..*n]) {
                    Ok(data) => {
                        let Some(piece) = self.piece(data) else { continue };
                        self.wait_for_window(cx);
                        self.end_if_over(slot);
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                    Err(fault) => Failure::Fault(fault),
                },
                end => match exchange.end_of_app(end) {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
            };
            if let Failure::Fault(fault) = failure {
                context.report(&fault, None);
            }
            slot.take();
            return Poll::Ready(Some(Err(cut())));
        }
    }

    /// Whether hyper has all of the response.
    pub(super) fn is_over(&self) -> bool {
        self.over && self.first.is_none()
    }

    fn piece(&self, data: Vec<u8>) -> Option<Piece> {
        if data.is_empty() {
            self.open.streams.context.give_back(data);
            return None;
        }
        Some(self.open.streams.budget.piece(&self.untaken, data))
    }

    fn wait_for_window(&self, cx: &mut TaskContext<'_>) {
        let time = self.open.streams.context.settings.idle_timeout;
        self.open.state.wait(Waiting::Window, time, true, cx.waker());
    }

    /// Ends the response with the data just read where that was all, which saves hyper an empty frame.
    fn end_if_over(&mut self, slot: RefMut<'_, Option<Exchange>>) {
        if slot
            .as_ref()
            .is_some_and(|exchange| exchange.is_over() && trailers(exchange.trailers()).is_empty())
        {
            self.over = true;
            self.finish(slot);
        }
    }

    /// The response is complete. Where the app still reads the request, it gets the rest.
    fn finish(&mut self, mut slot: RefMut<'_, Option<Exchange>>) {
        let Some(exchange) = slot.take() else { return };
        self.open.state.stop_waiting();
        let context = self.context();
        match self.upload.take() {
            Some(upload) if exchange.wants_body() || exchange.has_unsent() => {
                tokio::task::spawn_local(upload_rest(context, exchange, upload));
            }
            _ => exchange.finish(&context.pool),
        }
    }
}

/// Sends the rest of a request whose response came early (RFC 9110 §15.3.3: "accept, then process").
async fn upload_rest(context: Rc<Context>, mut exchange: Exchange, mut upload: Upload) {
    while exchange.wants_body() || exchange.has_unsent() {
        let more = poll_fn(|cx| match upload.push(&context, &mut exchange, cx) {
            Ok(false) => Poll::Pending,
            other => Poll::Ready(other),
        });
        if !matches!(timeout(context.settings.idle_timeout, more).await, Ok(Ok(_))) {
            return;
        }
    }
    exchange.finish(&context.pool);
}

fn switched(
    mut slot: RefMut<'_, Option<Exchange>>,
    response: http::Response<()>,
    early: Vec<u8>,
) -> Result<Answer, NoAnswer> {
    let (app, unsent) = slot.take().ok_or(NoAnswer::Gone)?.into_tunnel();
    Ok(Answer::Switched {
        response,
        app,
        unsent,
        early,
    })
}

/// The data among bytes of the app's, in a buffer of the worker's.
fn read_data(context: &Context, exchange: &mut Exchange, mut bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut data = context.buffer();
    while let Some(piece) = exchange.next_data(&mut bytes)? {
        data.extend_from_slice(piece);
    }
    Ok(data)
}

fn trailers(lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    http1::for_each_trailer(lines, headers::may_be_trailer, |line| append(&mut trailers, line));
    trailers
}

/// Adds a field line of the app's. The codec accepts none that `http` would refuse.
fn append(fields: &mut HeaderMap, line: &httparse::Header<'_>) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(line.name.as_bytes()),
        HeaderValue::from_bytes(line.value),
    ) {
        fields.append(name, value);
    }
}

/// Makes hyper reset the stream.
fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the response was cut")
}
