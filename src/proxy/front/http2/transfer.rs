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
use hyper::body::{Bytes, Frame};
use tokio::time::{Instant, timeout};

use super::{
    budget::{PIECE, Piece, StreamBytes},
    streams::{OpenStream, Waiting},
    upload::{ClientGone, Upload},
};
use crate::{
    facts, field,
    headers::{self, FieldFate, HeadChange},
    http1::{self, ResponseHead, field_slots},
    proxy::{
        app::{
            exchange::{self, Exchange, Failure, Head},
            pool::Place,
        },
        context::Context,
        errors::Fault,
        inject::Rewriting,
        plan::{Plan, Upgrade},
        stream::{Stream, Unsent},
    },
};

/// See the module.
pub(super) struct Transfer {
    open: Rc<OpenStream>,
    plan: Plan,
    /// What is left of the request's body.
    upload: Option<Upload>,
    /// What the client has not taken of the response.
    untaken: StreamBytes,
    /// Data that came with the response's head.
    first: Option<Piece>,
    /// hyper has got all of the response, except for `first`.
    over: bool,
    /// What becomes of a page on its way.
    rewriting: Rewriting,
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
        /// The connection's place, to be kept for as long as it.
        place: Place,
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
            open: Rc::new(open),
            plan,
            upload,
            untaken: StreamBytes::default(),
            first: None,
            over: false,
            rewriting: Rewriting::default(),
        }
    }

    /// The plan, and the place among the open streams, for an answer of gatecount's own.
    pub(super) fn into_parts(self) -> (Rc<OpenStream>, Plan) {
        (self.open, self.plan)
    }

    /// The place among the open streams, for a tunnel; the request's story ends here.
    pub(super) fn into_open(self) -> Rc<OpenStream> {
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
                Err(NoAnswer::App(Failure::Repeat)) => {
                    exchange = exchange::reopen(&context.pool, app, &self.plan).await?;
                }
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
        let mut moved = self.push_upload(&context, exchange, cx)?;
        let mut scratch = context.scratch.borrow_mut();
        let room = self.open.streams.budget.first_room();
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
                let (mut slots, start) = (field_slots(), bytes);
                match exchange.next_head(&mut bytes, &mut slots)? {
                    Some(Head::Interim(_)) => context.metrics.http2_interim_dropped.inc(),
                    Some(Head::Switch(head)) => {
                        let response = self.settle(&head, start, StatusCode::OK);
                        state.over.set(true);
                        let early = bytes.to_vec();
                        state.stop_waiting();
                        return Poll::Ready(switched(slot, response, early));
                    }
                    // On an extended CONNECT a 2xx would say that the tunnel is open (RFC 8441 §5).
                    Some(Head::Final(head))
                        if self.plan.upgrade == Upgrade::WebSocket && (200..300).contains(&head.status) =>
                    {
                        return Poll::Ready(Err(Fault::NotSwitched.into()));
                    }
                    Some(Head::Final(head)) => {
                        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
                        let response = self.settle(&head, start, status);
                        state.stop_waiting();
                        match self.read_data(&context, exchange, bytes) {
                            Ok(data) => {
                                self.first = self.piece(data);
                                self.end_if_over(slot);
                            }
                            // Told once: without an exchange the stream is reset behind the head.
                            Err(fault) => {
                                context.report(&fault, None);
                                state.over.set(true);
                                slot.take();
                            }
                        }
                        return Poll::Ready(Ok(Answer::Response(response)));
                    }
                    None => {
                        exchange.keep_partial(bytes)?;
                        break;
                    }
                }
            }
        }
        let waiting = if exchange.wants_body() && !exchange.has_unsent() {
            Waiting::RequestBody
        } else {
            Waiting::App
        };
        match state.overdue().filter(|_| !moved) {
            Some(Waiting::App) => return Poll::Ready(Err(Fault::ResponseTimeout.into())),
            Some(_) => return Poll::Ready(Err(Fault::SlowBody.into())),
            None => state.wait(waiting, moved, cx.waker(), || {
                let (settings, now) = (&context.settings, Instant::now());
                match &mut self.upload {
                    Some(upload) if waiting == Waiting::RequestBody => upload.pace.wait(settings, now),
                    _ => now + settings.app.response_timeout,
                }
            }),
        }
        Poll::Pending
    }

    /// Passes on what the client has sent of the request's body; whether anything moved. What the app refuses
    /// is not asked for any more, so that it takes no room from the connection's other uploads.
    fn push_upload(
        &mut self,
        context: &Context,
        exchange: &mut Exchange,
        cx: &mut TaskContext<'_>,
    ) -> Result<bool, ClientGone> {
        let Some(upload) = &mut self.upload else {
            return Ok(false);
        };
        let moved = upload.push(context, exchange, cx)?;
        if !exchange.wants_body() && !exchange.has_unsent() {
            self.upload = None;
        }
        Ok(moved)
    }

    /// Settles the request, and builds the head for the client. `bytes` begin with the app's head. A client
    /// that resets the stream at this moment counts as one that has the head.
    fn settle(
        &mut self,
        head: &ResponseHead<'_, '_>,
        bytes: &[u8],
        status: StatusCode,
    ) -> http::Response<()> {
        let response = facts::ResponseFacts::read(head.status, head.fields);
        let start = || head.body.peek(bytes.get(head.len..).unwrap_or_default());
        self.plan.record.settle_with(&response, start);
        self.rewriting = Rewriting::begin(&self.open.streams.context, &self.plan, head);
        let change = self.rewriting.change;
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        let fields = response.headers_mut();
        fields.reserve(head.fields.len() + 1);
        // All values share one copy of the head.
        let copy = Bytes::copy_from_slice(&bytes[..head.len]);
        let connection = headers::ConnectionOptions::read(head.fields);
        for line in headers::for_client(head.fields, &connection) {
            // Over HTTP/2 a WebSocket has no key, and so no answer to it (RFC 8441 §5).
            let is_key = head.status == 101 && line.name.eq_ignore_ascii_case("sec-websocket-accept");
            let fate = change.fate(line);
            if !is_key
                && fate != FieldFate::Dropped
                && let Ok(name) = HeaderName::from_bytes(line.name.as_bytes())
            {
                let at = line.value.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
                let value = match at.checked_add(line.value.len()) {
                    _ if fate == FieldFate::Weakened => {
                        HeaderValue::from_bytes(&[b"W/", field::trim(line.value)].concat())
                    }
                    Some(end) if end <= copy.len() => HeaderValue::from_maybe_shared(copy.slice(at..end)),
                    _ => HeaderValue::from_bytes(line.value),
                };
                if let Ok(value) = value {
                    fields.append(name, value);
                }
            }
        }
        if let Some(length) = head.content_length.filter(|_| change == HeadChange::None) {
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
            self.wait_for_window(cx, true);
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
        if self.push_upload(&context, exchange, cx).is_err() {
            slot.take();
            return Poll::Ready(Some(Err(cut())));
        }
        loop {
            if exchange.is_over() {
                if self.rewriting.is_on() {
                    let mut data = Vec::new();
                    if let Err(fault) = self.rewriting.finish(&context, &mut data) {
                        context.report(&fault, None);
                        state.over.set(true);
                        slot.take();
                        return Poll::Ready(Some(Err(cut())));
                    }
                    if let Some(piece) = self.piece(data) {
                        self.wait_for_window(cx, true);
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                let trailers = self.trailers(exchange);
                self.finish(slot);
                return Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))));
            }
            let Poll::Ready(room) = self.open.streams.budget.poll_room(&self.untaken, cx) else {
                self.wait_for_window(cx, false);
                return Poll::Pending;
            };
            let mut scratch = context.scratch.borrow_mut();
            let Poll::Ready(read) = exchange.poll_read(cx, &mut scratch[..room]) else {
                return Poll::Pending;
            };
            let failure = match &read {
                Ok(n) if *n > 0 => match self.read_data(&context, exchange, &scratch[..*n]) {
                    Ok(data) => {
                        let Some(piece) = self.piece(data) else { continue };
                        self.end_if_over(slot);
                        self.wait_for_window(cx, true);
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
            state.over.set(true);
            slot.take();
            return Poll::Ready(Some(Err(cut())));
        }
    }

    /// The data among bytes of the app's, rewritten where it is to be.
    fn read_data(
        &mut self,
        context: &Context,
        exchange: &mut Exchange,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        if !self.rewriting.is_on() {
            let data = read_data(context, exchange, bytes)?;
            if self.plan.record.wants_body() {
                self.plan.record.see_body(&data);
            }
            return Ok(data);
        }
        let mut page = Vec::new();
        match self.rewriting.pass(context, exchange, bytes, &mut page) {
            // What came before the damage goes on first; the rewriter says it again after that.
            Err(Fault::DamagedPage(_)) if !page.is_empty() => Ok(page),
            passed => passed.map(|()| page),
        }
    }

    fn trailers(&self, exchange: &Exchange) -> HeaderMap {
        let change = self.rewriting.change;
        let may_pass = |name: &str| headers::may_be_trailer(name) && change.may_be_trailer(name);
        let mut trailers = HeaderMap::new();
        http1::for_each_trailer(exchange.trailers(), may_pass, |line| append(&mut trailers, line));
        trailers
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
        Some(self.open.streams.budget.charge(&self.untaken, data))
    }

    fn wait_for_window(&self, cx: &mut TaskContext<'_>, moved: bool) {
        let time = self.open.streams.context.settings.idle_timeout;
        self.open
            .state
            .wait(Waiting::Window, moved, cx.waker(), || Instant::now() + time);
    }

    /// Ends the response with the data just read where that was all, which saves hyper an empty frame.
    fn end_if_over(&mut self, slot: RefMut<'_, Option<Exchange>>) {
        if !self.rewriting.is_on()
            && slot
                .as_ref()
                .is_some_and(|exchange| exchange.is_over() && self.trailers(exchange).is_empty())
        {
            self.finish(slot);
        }
    }

    /// The response is complete. Where the app still reads the request, it gets the rest.
    fn finish(&mut self, mut slot: RefMut<'_, Option<Exchange>>) {
        self.over = true;
        self.open.state.over.set(true);
        self.open.state.stop_waiting();
        let Some(exchange) = slot.take() else { return };
        let context = self.context();
        match self.upload.take() {
            Some(upload) if exchange.wants_body() || exchange.has_unsent() => {
                tokio::task::spawn_local(upload_rest(Rc::clone(&self.open), exchange, upload));
            }
            _ => exchange.finish(&context.pool, Instant::now()),
        }
    }
}

/// Sends the rest of a request whose response came early (RFC 9110 §15.3.3: "accept, then process").
async fn upload_rest(open: Rc<OpenStream>, mut exchange: Exchange, mut upload: Upload) {
    let context = Rc::clone(&open.streams.context);
    while exchange.wants_body() || exchange.has_unsent() {
        let more = poll_fn(|cx| match upload.push(&context, &mut exchange, cx) {
            Ok(false) => Poll::Pending,
            other => Poll::Ready(other),
        });
        if !matches!(timeout(context.settings.idle_timeout, more).await, Ok(Ok(_))) {
            return;
        }
    }
    exchange.finish(&context.pool, Instant::now());
}

fn switched(
    mut slot: RefMut<'_, Option<Exchange>>,
    response: http::Response<()>,
    early: Vec<u8>,
) -> Result<Answer, NoAnswer> {
    let (app, unsent, place) = slot.take().ok_or(NoAnswer::Gone)?.into_tunnel();
    Ok(Answer::Switched {
        response,
        app,
        unsent,
        place,
        early,
    })
}

/// The data among bytes of the app's. It may wait for the client for long, so only what fills half of a large
/// buffer takes one of the worker's: the budget counts bytes, and memory must not be many times that.
fn read_data(context: &Context, exchange: &mut Exchange, mut bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut data = if bytes.len() > PIECE / 2 {
        context.buffer()
    } else {
        Vec::with_capacity(bytes.len())
    };
    while let Some(piece) = exchange.next_data(&mut bytes)? {
        data.extend_from_slice(piece);
    }
    Ok(data)
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
