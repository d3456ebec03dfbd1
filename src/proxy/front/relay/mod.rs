//! One request of an HTTP/1.x client to the app and its response back, bodies streaming both ways.
//!
//! A single task moves the bytes of both connections. It waits for whichever can make progress, and reads
//! from one side only when the other has taken all that was read before: a slow reader slows its writer, and
//! nothing piles up.

mod response;
#[cfg(test)]
mod tests;

use std::{future::poll_fn, io, rc::Rc, task::Poll, time::Duration};

use tokio::time::Instant;

use super::{
    client::{After, Client},
    pace::BodyPace,
    tunnel,
};
use crate::{
    headers,
    http1::{self, Body, Version},
    proxy::{
        app::exchange::{self, Exchange, Failure},
        context::{Phase, SlowReader},
        errors::Fault,
        heads::ResponseFraming,
        inject::Rewriting,
        plan::Plan,
    },
};

/// Bytes of pipelined requests that are read while a response is on its way. Reading on is how we see that
/// the client leaves.
const PIPELINED: usize = 16 * 1024;

/// How long a client may pause in a request's body once it has the response.
const ANSWERED: Duration = Duration::from_secs(5);

/// A request for the app.
pub(super) struct Request {
    pub(super) plan: Plan,
    /// What is left to read of its body.
    pub(super) body: Body,
    pub(super) version: Version,
}

/// Carries a request to the app and the response to the client.
pub(super) async fn carry(client: &mut Client, request: &mut Request) -> After {
    let context = Rc::clone(&client.context);
    let app = &context.settings.app;
    let mut relay = Relay {
        request,
        trailers: Vec::new(),
        response: None,
        rewriting: Rewriting::default(),
        slow: None,
        pace: BodyPace::default(),
        client_ended: false,
    };
    let mut exchange = match exchange::open(&context.pool, app, &relay.request.plan).await {
        Ok(exchange) => exchange,
        Err(fault) => return relay.fail(client, &fault),
    };
    loop {
        match relay.run(client, &mut exchange).await {
            Ok(End::Response) => {
                let now = Instant::now();
                exchange.finish(&context.pool, now);
                if relay.client_ended {
                    return Box::pin(relay.after_end(client)).await;
                }
                relay.request.plan.record.end(now);
                return relay.after();
            }
            Ok(End::Switched) => {
                let (app, unsent, _place) = exchange.into_tunnel();
                relay.request.plan.record.end(Instant::now());
                return Box::pin(tunnel::run(client, app, unsent)).await;
            }
            Err(Broken::Gone) => return After::Close,
            Err(Broken::App(Failure::Repeat)) => {
                exchange = match exchange::reopen(&context.pool, app, &relay.request.plan).await {
                    Ok(exchange) => exchange,
                    Err(fault) => return relay.fail(client, &fault),
                };
            }
            Err(Broken::App(Failure::Fault(fault))) => return relay.fail(client, &fault),
        }
    }
}

struct Relay<'r> {
    request: &'r mut Request,
    /// Those of the request's body.
    trailers: Vec<u8>,
    /// How the response goes to the client. `None` until its head was sent.
    response: Option<Response>,
    /// What becomes of a page on its way.
    rewriting: Rewriting,
    /// The client has not taken all that was read for it at once.
    slow: Option<SlowReader>,
    pace: BodyPace,
    /// The client sends no more; it may still read (RFC 9112 §9.6).
    client_ended: bool,
}

/// How a response goes to the client.
#[derive(Debug, Clone, Copy)]
struct Response {
    framing: ResponseFraming,
    /// The client's connection ends with it.
    close: bool,
}

/// How an exchange ends well.
enum End {
    /// The client's socket has taken the response.
    Response,
    /// The app has agreed to switch protocols, and the client was told.
    Switched,
}

/// Why an exchange fails.
enum Broken {
    /// The client left.
    Gone,
    App(Failure),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Broken::App(Failure::Fault(fault))
    }
}

/// The side that can make progress. What was read lies in the worker's scratch.
enum Ready {
    AppRead(io::Result<usize>),
    AppTakes(io::Result<()>),
    ClientRead(io::Result<usize>),
    ClientTakes(io::Result<()>),
    Due,
}

impl Relay<'_> {
    /// Sends the request's body and passes the response on, to its last byte.
    async fn run(&mut self, client: &mut Client, exchange: &mut Exchange) -> Result<End, Broken> {
        if exchange.wants_body() && !client.inbuf.is_empty() {
            let bytes = std::mem::take(&mut client.inbuf);
            self.upload(client, exchange, &bytes)?;
        }
        self.arm(client, exchange);
        loop {
            // A response that came early ends no upload that the app goes on reading.
            if exchange.is_over() && client.is_flushed() && !exchange.wants_body() {
                return Ok(End::Response);
            }
            match self.ready(client, exchange).await {
                Ready::AppRead(Ok(n)) if n > 0 => {
                    if let Some(end) = self.read_app(client, exchange, n)? {
                        return Ok(end);
                    }
                }
                Ready::AppRead(_) if exchange.is_over() => exchange.end_upload(),
                Ready::AppRead(end) => {
                    exchange.end_of_app(&end).map_err(Broken::App)?;
                    self.end_response(client, exchange)?;
                }
                Ready::AppTakes(ready) => {
                    exchange.flush(ready);
                    self.arm(client, exchange);
                }
                Ready::ClientRead(Ok(0)) if !exchange.wants_body() && !client.stream.socket().is_gone() => {
                    self.client_ended = true;
                    self.arm(client, exchange);
                }
                Ready::ClientRead(Ok(0) | Err(_)) => return Err(Broken::Gone),
                Ready::ClientRead(Ok(n)) => self.read_client(client, exchange, n)?,
                Ready::ClientTakes(ready) => {
                    client.flush(ready).map_err(|_| Broken::Gone)?;
                    self.arm(client, exchange);
                }
                Ready::Due if exchange.is_over() && client.is_flushed() => return Ok(End::Response),
                Ready::Due => return Err(self.overdue(exchange)),
            }
        }
    }

    /// Waits until one side can make progress.
    async fn ready(&mut self, client: &mut Client, exchange: &mut Exchange) -> Ready {
        let reads_app = client.is_flushed();
        let reads_client = self.reads_client(client, exchange);
        let from_client = if exchange.wants_body() {
            usize::MAX
        } else {
            PIPELINED.saturating_sub(client.inbuf.len())
        };
        let context = Rc::clone(&client.context);
        let from_app = context.read_at_once(self.slow.as_ref());
        poll_fn(|cx| {
            let scratch = &mut context.scratch.borrow_mut();
            if reads_app && let Poll::Ready(read) = exchange.poll_read(cx, first(scratch, from_app)) {
                return Poll::Ready(Ready::AppRead(read));
            }
            if exchange.has_unsent()
                && let Poll::Ready(ready) = exchange.poll_write_ready(cx)
            {
                return Poll::Ready(Ready::AppTakes(ready));
            }
            if reads_client && let Poll::Ready(read) = client.poll_read(cx, first(scratch, from_client)) {
                return Poll::Ready(Ready::ClientRead(read));
            }
            if !client.is_flushed()
                && let Poll::Ready(ready) = client.poll_write_ready(cx)
            {
                return Poll::Ready(Ready::ClientTakes(ready));
            }
            client.timer.poll(cx).map(|()| Ready::Due)
        })
        .await
    }

    /// Sets the time that the side we wait for has.
    fn arm(&mut self, client: &mut Client, exchange: &Exchange) {
        let settings = &client.context.settings;
        if waits_for_client(exchange) {
            let now = Instant::now();
            let mut until = self.pace.wait(settings, now);
            if exchange.is_over() {
                // It has its answer, and may wait for us to close (RFC 9112 §9.6).
                until = until.min(now + ANSWERED);
            }
            return client.timer.set(until);
        }
        self.pace.stop();
        let wait = match &self.response {
            // A response may take its time (server-sent events), as long as the client's end would be seen; a
            // client that takes nothing of it, or stops in the middle of its body, may not.
            Some(_)
                if client.is_flushed() && !exchange.wants_body() && self.reads_client(client, exchange) =>
            {
                return client.timer.clear();
            }
            Some(_) => settings.idle_timeout,
            None => settings.app.response_timeout,
        };
        client.timer.set(Instant::now() + wait);
    }

    /// Whether the client's side is looked at. While it is not, its end is not seen either, so a time-out
    /// stands for it.
    fn reads_client(&self, client: &Client, exchange: &Exchange) -> bool {
        if exchange.wants_body() {
            !exchange.has_unsent()
        } else {
            !self.client_ended && client.inbuf.len() < PIPELINED
        }
    }

    fn overdue(&self, exchange: &Exchange) -> Broken {
        match &self.response {
            Some(_) => Broken::Gone,
            None if waits_for_client(exchange) => Fault::SlowBody.into(),
            None => Fault::ResponseTimeout.into(),
        }
    }

    /// Bytes from the client: the request's body, or what follows it.
    fn read_client(&mut self, client: &mut Client, exchange: &mut Exchange, n: usize) -> Result<(), Broken> {
        let context = Rc::clone(&client.context);
        let bytes = &context.scratch.borrow()[..n];
        if exchange.wants_body() {
            self.pace.received(n);
            self.upload(client, exchange, bytes)?;
            self.arm(client, exchange);
        } else {
            client.inbuf.extend_from_slice(bytes);
            if !self.reads_client(client, exchange) && self.response.is_some() {
                self.arm(client, exchange);
            }
        }
        Ok(())
    }

    /// Passes a piece of the request's body on.
    fn upload(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        mut bytes: &[u8],
    ) -> Result<(), Broken> {
        let chunked = matches!(self.request.body, Body::Chunked(_));
        let mut out = client.context.assembly.borrow_mut();
        out.clear();
        while !bytes.is_empty() && !self.request.body.is_done() {
            let step = self
                .request
                .body
                .step(bytes, &mut self.trailers)
                .map_err(Fault::RequestBody)?;
            bytes = &bytes[step.used..];
            if chunked {
                http1::write_chunk(step.data, &mut out);
            } else {
                exchange.push(step.data);
            }
        }
        if chunked {
            if self.request.body.is_done() {
                http1::write_last_chunk(&self.trailers, headers::may_be_trailer, &mut out);
            }
            exchange.push(&out);
        }
        if self.request.body.is_done() {
            exchange.end_request();
        }
        // What follows the body belongs to the next request.
        client.inbuf.extend_from_slice(bytes);
        Ok(())
    }

    /// What becomes of a connection whose client has ended its side: it ends too, once the response is there.
    async fn after_end(&mut self, client: &mut Client) -> After {
        if client.took_response().await {
            self.request.plan.record.settle_deferred();
        }
        After::Close
    }

    /// What becomes of the client's connection after a response.
    fn after(&self) -> After {
        match self.response {
            Some(Response { close: true, .. }) if !self.request.body.is_done() => After::Discard,
            Some(Response { close: false, .. }) => After::KeepAlive,
            Some(Response { close: true, .. }) => After::Linger,
            None => After::Close,
        }
    }

    /// Answers in the app's place. If its response had begun, ends the connection, so that the client sees
    /// that the response is cut.
    fn fail(&mut self, client: &mut Client, fault: &Fault) -> After {
        if self.response.is_some() {
            client.context.report(fault, None);
            return After::Close;
        }
        let close = !self.request.plan.keep_alive
            || !self.request.body.is_done()
            || self.request.version == Version::Http10
            || client.context.phase.get() != Phase::Serving;
        let response = fault.response(self.request.plan.to_head, close);
        let sent = client.send(&[&response]).is_ok();
        if sent {
            self.request.plan.record.settle_fault(fault);
        }
        client.context.report(fault, sent.then(|| fault.status()));
        match (sent, close) {
            (false, _) => After::Close,
            (true, true) if !self.request.body.is_done() => After::Discard,
            (true, false) if client.is_flushed() => After::KeepAlive,
            (true, _) => After::Linger,
        }
    }
}

fn waits_for_client(exchange: &Exchange) -> bool {
    exchange.wants_body() && !exchange.has_unsent()
}

/// The start of a buffer, at most `longest` bytes.
fn first(buffer: &mut [u8], longest: usize) -> &mut [u8] {
    let end = buffer.len().min(longest);
    &mut buffer[..end]
}
