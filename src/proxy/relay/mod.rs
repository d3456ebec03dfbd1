//! One request to the app and its response back, bodies streaming both ways.
//!
//! A single task moves the bytes of both connections. It waits for whichever of them can go on, and reads from one side
//! only while the other has taken all that was read before, so that a slow reader slows its writer and nothing piles up.

mod response;

use std::{future::poll_fn, io, task::Poll, time::Duration};

use tokio::time::Instant;

use crate::proxy::{
    connection::{After, Connection},
    errors::Fault,
    pool,
    service::{Down, Plan},
    stream::{Stream, Unsent},
    upgrade,
    worker::Phase,
};
use crate::{
    facts, headers,
    http1::{self, Body, Version},
};

/// Bytes of following requests that are read while a response is on its way. Reading them tells when a client leaves.
const PIPELINED: usize = 16 * 1024;
/// Bytes read at once for a client that is slow to take them, for what it does not take is kept.
const SLOW: usize = 16 * 1024;

/// Carries out a plan.
pub(super) async fn exchange(c: &mut Connection, plan: Plan) -> After {
    let mut relay = Relay::new(plan);
    let after = relay.run(c).await;
    relay.plan.done(&c.worker);
    c.worker.give_back(relay.received);
    after
}

#[allow(clippy::struct_excessive_bools)] // facts that are independent of each other
struct Relay {
    plan: Plan,
    upload: Body,
    /// Bytes of the request's body were read: it can't be sent a second time.
    upload_started: bool,
    /// The app takes no more of the request; its response may be there all the same.
    app_deaf: bool,
    to_app: Unsent,
    trailers: Vec<u8>,
    /// A response's head as far as it came, where it did not come whole.
    received: Vec<u8>,
    /// An interim response was passed on, so the request can't be sent again as if nothing had come.
    interim: bool,
    /// The client did not take all that was sent at once; less is read for it from then on.
    slow_client: bool,
    down: Option<Response>,
}

/// A response whose head was passed on.
struct Response {
    body: Body,
    to: Down,
    trailers: Vec<u8>,
    /// How long the app's connection may be kept; none: it ends with this response.
    keep: Option<Duration>,
}

/// Why an attempt did not end in a response.
enum Failure {
    /// The client left.
    Gone,
    /// The app's connection ended before a byte of a response. `untouched`: it took no byte of the request either.
    Lost {
        untouched: bool,
    },
    Fault(Fault),
    /// The app agreed to switch protocols; the head is sent.
    Switched,
}

enum Event {
    App(io::Result<usize>),
    Client(io::Result<usize>),
    AppTakes(io::Result<()>),
    ClientTakes(io::Result<()>),
    Due,
}

impl Relay {
    fn new(mut plan: Plan) -> Self {
        let upload = std::mem::replace(&mut plan.body, Body::Done);
        Relay {
            plan,
            upload,
            upload_started: false,
            app_deaf: false,
            to_app: Unsent::default(),
            trailers: Vec::new(),
            received: Vec::new(),
            interim: false,
            slow_client: false,
            down: None,
        }
    }

    async fn run(&mut self, c: &mut Connection) -> After {
        let mut pooled = pool::take(&c.worker.pool, self.plan.started).await;
        loop {
            let reused = pooled.is_some();
            let mut app = match pooled.take() {
                Some(app) => app,
                None => match pool::connect(&c.worker.settings.app).await {
                    Ok(app) => app,
                    Err(fault) => return self.fail(c, &fault),
                },
            };
            match self.attempt(c, &mut app).await {
                Ok(()) => return self.finish(c, app),
                Err(Failure::Switched) => {
                    return upgrade::tunnel(c, app, std::mem::take(&mut self.to_app)).await;
                }
                Err(Failure::Gone) => {
                    if self.down.is_none() {
                        self.plan.abort(&c.worker);
                    }
                    return After::Close;
                }
                // The app had closed the connection while the request was on its way (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
                Err(Failure::Lost { untouched })
                    if reused && !self.upload_started && (untouched || self.plan.idempotent) =>
                {
                    self.to_app = Unsent::default();
                    self.app_deaf = false;
                }
                Err(Failure::Lost { .. }) => return self.fail(c, &Fault::Closed),
                Err(Failure::Fault(fault)) => return self.fail(c, &fault),
            }
        }
    }

    /// Sends the request over one connection and passes the response on, to its last byte.
    async fn attempt(&mut self, c: &mut Connection, app: &mut Stream) -> Result<(), Failure> {
        if self.to_app.send(app, &[&self.plan.request]).is_err() {
            return Err(Failure::Lost { untouched: true });
        }
        if !self.upload.is_done() && !c.inbuf.is_empty() {
            let bytes = std::mem::take(&mut c.inbuf);
            self.read_upload(c, app, &bytes)?;
        }
        self.arm(c);
        loop {
            if let Some(down) = &self.down
                && down.body.is_done()
                && c.unsent.is_empty()
            {
                return Ok(());
            }
            match self.event(c, app).await {
                // A reset ends no body: what a close delimits would look whole.
                Event::App(Err(_)) if self.down.is_some() => return Err(Failure::Fault(Fault::Cut)),
                Event::App(Ok(0) | Err(_)) => self.app_ended(c)?,
                Event::App(Ok(n)) => self.read_response(c, n)?,
                Event::Client(Ok(0) | Err(_)) => return Err(Failure::Gone),
                Event::Client(Ok(n)) => self.read_client(c, app, n)?,
                Event::AppTakes(ready) => {
                    if ready.and_then(|()| self.to_app.flush(app)).is_err() {
                        self.deafen();
                    }
                    self.arm(c);
                }
                Event::ClientTakes(ready) => {
                    ready
                        .and_then(|()| c.unsent.flush(&c.stream))
                        .map_err(|_| Failure::Gone)?;
                    self.arm(c);
                }
                Event::Due => return Err(self.overdue()),
            }
        }
    }

    /// Waits until one side can go on. What was read lies in the worker's scratch.
    async fn event(&mut self, c: &mut Connection, app: &mut Stream) -> Event {
        let wants_response = c.unsent.is_empty() && self.down.as_ref().is_none_or(|d| !d.body.is_done());
        let reads_client = self.reads_client(c);
        let from_client = if self.uploads() {
            usize::MAX
        } else {
            PIPELINED.saturating_sub(c.inbuf.len())
        };
        let from_app = if self.slow_client { SLOW } else { usize::MAX };
        let Connection {
            worker,
            stream,
            unsent,
            timer,
            ..
        } = c;
        poll_fn(|cx| {
            let scratch = &mut worker.scratch.borrow_mut();
            if wants_response && let Poll::Ready(read) = app.poll_read(cx, first(scratch, from_app)) {
                return Poll::Ready(Event::App(read));
            }
            if !self.to_app.is_empty()
                && let Poll::Ready(ready) = app.poll_write_ready(cx)
            {
                return Poll::Ready(Event::AppTakes(ready));
            }
            if reads_client && let Poll::Ready(read) = stream.poll_read(cx, first(scratch, from_client)) {
                return Poll::Ready(Event::Client(read));
            }
            if !unsent.is_empty()
                && let Poll::Ready(ready) = stream.poll_write_ready(cx)
            {
                return Poll::Ready(Event::ClientTakes(ready));
            }
            timer.poll(cx).map(|()| Event::Due)
        })
        .await
    }

    /// Whether the client's side is looked at. While it is not, its end is not seen either, so a time-out stands for it.
    fn reads_client(&self, c: &Connection) -> bool {
        if self.uploads() {
            self.to_app.is_empty()
        } else {
            c.inbuf.len() < PIPELINED
        }
    }

    fn uploads(&self) -> bool {
        !self.upload.is_done() && !self.app_deaf
    }

    /// Sets the time that the side we wait for has.
    fn arm(&self, c: &mut Connection) {
        let settings = &c.worker.settings;
        let wait = match &self.down {
            // A response may take its time (server-sent events), as long as the client's end would be seen; a client that
            // takes nothing of it, or stops in the middle of its body, may not.
            Some(_) if c.unsent.is_empty() && !self.uploads() && self.reads_client(c) => {
                return c.timer.clear();
            }
            Some(_) => settings.idle_timeout,
            None if self.waits_for_client() => settings.idle_timeout,
            None => settings.app.response_timeout,
        };
        c.timer.set(Instant::now() + wait);
    }

    fn waits_for_client(&self) -> bool {
        self.uploads() && self.to_app.is_empty()
    }

    fn overdue(&self) -> Failure {
        match &self.down {
            Some(_) => Failure::Gone,
            None if self.waits_for_client() => Failure::Fault(Fault::SlowBody),
            None => Failure::Fault(Fault::ResponseTimeout),
        }
    }

    /// Bytes from the client: the request's body, or what follows it.
    fn read_client(&mut self, c: &mut Connection, app: &Stream, n: usize) -> Result<(), Failure> {
        if !self.uploads() {
            c.inbuf.extend_from_slice(&c.worker.scratch.borrow()[..n]);
            if !self.reads_client(c) && self.down.is_some() {
                self.arm(c);
            }
            return Ok(());
        }
        let worker = std::rc::Rc::clone(&c.worker);
        self.read_upload(c, app, &worker.scratch.borrow()[..n])?;
        self.arm(c);
        Ok(())
    }

    /// Passes a piece of the request's body on.
    fn read_upload(&mut self, c: &mut Connection, app: &Stream, mut bytes: &[u8]) -> Result<(), Failure> {
        self.upload_started = true;
        let chunked = matches!(self.upload, Body::Chunked(_));
        let mut out = c.worker.assembly.borrow_mut();
        out.clear();
        while !bytes.is_empty() && !self.upload.is_done() {
            let step = self
                .upload
                .step(bytes, &mut self.trailers)
                .map_err(|e| Failure::Fault(Fault::RequestBody(e)))?;
            bytes = &bytes[step.used..];
            if chunked {
                http1::write_chunk(step.data, &mut out);
            } else if !self.app_deaf && self.to_app.send(app, &[step.data]).is_err() {
                self.deafen();
            }
        }
        if chunked && self.upload.is_done() {
            http1::write_last_chunk(&self.trailers, headers::may_be_trailer, &mut out);
        }
        if chunked && !self.app_deaf && self.to_app.send(app, &[&out]).is_err() {
            self.deafen();
        }
        // What follows the body is the next request's, whatever became of this one.
        c.inbuf.extend_from_slice(bytes);
        Ok(())
    }

    /// The app reads no more. It may have answered before that (as with 413), so its response is waited for.
    fn deafen(&mut self) {
        self.app_deaf = true;
        self.to_app = Unsent::default();
    }

    /// The response has reached the client's socket whole.
    fn finish(&mut self, c: &mut Connection, app: Stream) -> After {
        let Some(down) = &self.down else {
            return After::Close;
        };
        let uploaded = self.upload.is_done() && self.to_app.is_empty() && !self.app_deaf;
        if let Some(keep) = down.keep
            && uploaded
        {
            c.worker.pool.give(app, Instant::now(), keep);
        }
        if down.to.close {
            After::Linger
        } else {
            After::KeepAlive
        }
    }

    /// Answers in the app's place, or, where its response had begun, ends the connection so that the client sees that
    /// the response is cut.
    fn fail(&mut self, c: &mut Connection, fault: &Fault) -> After {
        if self.down.is_some() {
            c.worker.reporter.report(fault, None, &c.worker.metrics);
            return After::Close;
        }
        let close = !self.plan.keep_alive
            || !self.upload.is_done()
            || self.plan.version == Version::Http10
            || c.worker.phase.get() != Phase::Serving;
        let response = fault.response(self.plan.to_head, close);
        let sent = c.unsent.send(&c.stream, &[&response]).is_ok();
        if sent {
            let told = facts::ResponseFacts {
                status: fault.status(),
                ..facts::ResponseFacts::default()
            };
            self.plan.settle(&c.worker, &told);
            c.worker.metrics.response(fault.status());
        } else {
            self.plan.abort(&c.worker);
        }
        c.worker
            .reporter
            .report(fault, sent.then(|| fault.status()), &c.worker.metrics);
        match (sent, close) {
            (false, _) => After::Close,
            (true, false) if c.unsent.is_empty() => After::KeepAlive,
            (true, _) => After::Linger,
        }
    }
}

/// The start of a buffer, no longer than that.
fn first(buffer: &mut [u8], longest: usize) -> &mut [u8] {
    let end = buffer.len().min(longest);
    &mut buffer[..end]
}
