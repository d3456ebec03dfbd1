//! One request over one connection to the app. The head is sent, the body is pushed as it comes, and the
//! response is read in parts: interim heads, the head, data, the end. An open exchange never waits: its
//! carrier, which is an HTTP/1.x client's relay or an HTTP/2 stream's transfer, polls its socket and hands it
//! what came.
//!
//! # When a request may be sent again
//!
//! Only if the connection had been used before and died without a byte of a response: the app may close an
//! idle connection while a request is on its way (RFC 9112 §9.3.1). Then the request goes over another
//! connection if the app got nothing of it ([`open`]), or if it is idempotent (RFC 9110 §9.2.2) and its body
//! was not started ([`Exchange::end_of_app`]).

use std::{
    io,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    pool::{self, Place, Pool},
    reach::AskedFor,
};
use crate::{
    headers,
    http1::{self, BadResponse, Body, FieldSlots, ResponseHead, Version},
    proxy::{
        asked::Framing,
        errors::Fault,
        plan::{Plan, Upgrade},
        settings::App,
        stream::{Stream, Unsent},
    },
};

/// The longest response head that is put together from several reads, in bytes.
const MAX_HEAD: usize = 256 * 1024;

/// See the module.
pub(in crate::proxy) struct Exchange {
    stream: Stream,
    place: Place,
    to_head: bool,
    /// The connection was used before, and the request is idempotent.
    repeatable: bool,
    /// The request asks to switch protocols.
    upgrade: bool,
    /// Of a length, what is left to send.
    framing: Framing,
    keep_alive: Duration,
    sent: Sent,
    received: Received,
    /// What the app's socket has not taken of the request.
    unsent: Unsent,
    /// The start of a head that did not come in one piece.
    partial: Vec<u8>,
}

/// How far the request has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The head, and its body is still to come.
    Head,
    /// A part of the body.
    Body,
    /// All of it.
    Everything,
    /// The app reads no more. It may have answered before that (as with 413), so its response is waited for.
    Refused,
}

/// How far the response has come.
#[derive(Debug)]
enum Received {
    Nothing,
    /// A 1xx, which was passed on.
    Interim,
    Response {
        body: Body,
        trailers: Vec<u8>,
        /// How long the connection may be kept after it. `None`: it ends with this response.
        keep: Option<Duration>,
    },
}

/// Why an exchange ends before its response does.
#[derive(Debug)]
pub(in crate::proxy) enum Failure {
    /// The connection was dead already: the request may go over another one.
    Repeat,
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

/// A response head from the app.
#[derive(Debug)]
pub(in crate::proxy) enum Head<'h, 'b> {
    /// A 1xx: the response is still to come (RFC 9110 §15.2).
    Interim(ResponseHead<'h, 'b>),
    /// The app switches protocols, as it was asked to. What follows is the new protocol's.
    Switch(ResponseHead<'h, 'b>),
    /// The response.
    Final(ResponseHead<'h, 'b>),
}

/// Sends a request's head over an idle connection from the pool, or else over a new one.
///
/// # Errors
/// Those of [`Pool::connect`], and [`Fault::Closed`] where a new connection was closed at once.
pub(in crate::proxy) async fn open(pool: &Pool, app: &App, plan: &Plan) -> Result<Exchange, Fault> {
    if let Some(connection) = pool::take(pool, plan.record.started()).await {
        let mut exchange = Exchange::new(connection, true, app, plan);
        if exchange.send_head(plan.record.head()).is_ok() {
            return Ok(exchange);
        }
    }
    reopen(pool, app, plan).await
}

/// Sends a request's head over a new connection.
///
/// # Errors
/// As [`open`].
pub(in crate::proxy) async fn reopen(pool: &Pool, app: &App, plan: &Plan) -> Result<Exchange, Fault> {
    // Boxed, so that its state makes no connection's task larger while it is not needed.
    let connection = Box::pin(pool.connect(app, AskedFor::Request)).await?;
    let mut exchange = Exchange::new(connection, false, app, plan);
    exchange
        .send_head(plan.record.head())
        .map_err(|_| Fault::Closed)?;
    Ok(exchange)
}

impl Exchange {
    fn new((stream, place): (Stream, Place), reused: bool, app: &App, plan: &Plan) -> Self {
        Exchange {
            stream,
            place,
            to_head: plan.to_head,
            repeatable: reused && plan.idempotent,
            upgrade: plan.upgrade != Upgrade::No,
            framing: plan.framing,
            keep_alive: app.keep_alive,
            sent: match plan.framing {
                Framing::None => Sent::Everything,
                Framing::Length(_) | Framing::Chunked => Sent::Head,
            },
            received: Received::Nothing,
            unsent: Unsent::default(),
            partial: Vec::new(),
        }
    }

    fn send_head(&mut self, head: &[u8]) -> io::Result<()> {
        self.unsent.send(&mut self.stream, &[head])
    }

    /// Sends a piece of the request's body, framed as the request's head says: plain data, or chunks
    /// ([`http1::write_chunk`]).
    pub(in crate::proxy) fn push(&mut self, bytes: &[u8]) {
        if matches!(self.sent, Sent::Head | Sent::Body) {
            self.sent = Sent::Body;
            if let Framing::Length(left) = &mut self.framing {
                *left = left.saturating_sub(bytes.len() as u64);
            }
            if self.unsent.send(&mut self.stream, &[bytes]).is_err() {
                self.refuse();
            }
        }
    }

    /// The request's body has been pushed to its end. Where it is shorter than its length, the app would take
    /// the next request for the rest: the connection carries no other one then.
    pub(in crate::proxy) fn end_request(&mut self) {
        self.sent = match (self.sent, self.framing) {
            (Sent::Refused, _) | (_, Framing::Length(1..)) => Sent::Refused,
            (_, Framing::None | Framing::Chunked | Framing::Length(0)) => Sent::Everything,
        };
    }

    /// The app has ended its side: it reads no more of the request's body.
    pub(in crate::proxy) fn end_upload(&mut self) {
        self.unsent = Unsent::default();
        self.sent = Sent::Refused;
    }

    /// Whether the app takes more of the request's body, and there is more.
    pub(in crate::proxy) fn wants_body(&self) -> bool {
        matches!(self.sent, Sent::Head | Sent::Body)
    }

    /// Whether bytes wait for the app's socket.
    pub(in crate::proxy) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends what waits, as far as the app's socket takes it.
    pub(in crate::proxy) fn flush(&mut self, ready: io::Result<()>) {
        if ready.and_then(|()| self.unsent.flush(&mut self.stream)).is_err() {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        self.unsent = Unsent::default();
        // After a head that broke off, nothing more is to be sent anyway; reading tells how the connection
        // ended.
        if self.sent == Sent::Body {
            self.sent = Sent::Refused;
        }
    }

    /// Reads what the app sent.
    pub(in crate::proxy) fn poll_read(
        &mut self,
        cx: &mut TaskContext<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, into)
    }

    /// Ready when the app's socket may take bytes again.
    pub(in crate::proxy) fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
    }

    /// Whether the response's head came.
    pub(in crate::proxy) fn has_head(&self) -> bool {
        matches!(self.received, Received::Response { .. })
    }

    /// Whether the response has come to its end.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        matches!(&self.received, Received::Response { body, .. } if body.is_done())
    }

    /// Appends what was read to the start of a head that came before it. `None` if no such start was kept.
    pub(in crate::proxy) fn join(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        if self.partial.is_empty() {
            return None;
        }
        self.partial.extend_from_slice(read);
        Some(std::mem::take(&mut self.partial))
    }

    /// Keeps the start of a head for when the rest comes.
    ///
    /// # Errors
    /// [`BadResponse::TooLarge`]
    pub(in crate::proxy) fn keep_partial(&mut self, start: &[u8]) -> Result<(), Fault> {
        if start.len() > MAX_HEAD {
            return Err(BadResponse::TooLarge.into());
        }
        self.partial.extend_from_slice(start);
        Ok(())
    }

    /// Reads a head off the start of `bytes`. `None` if it is incomplete.
    ///
    /// # Errors
    /// [`Fault::Response`]. [`Fault::Unasked`] if the app switches protocols though nobody asked, or in the
    /// middle of a request's body: the rest of the body could not be told from the new protocol.
    pub(in crate::proxy) fn next_head<'h, 'b>(
        &mut self,
        bytes: &mut &'b [u8],
        slots: &'h mut FieldSlots<'b>,
    ) -> Result<Option<Head<'h, 'b>>, Fault> {
        let Some(head) = http1::parse_response(bytes, self.to_head, slots)? else {
            return Ok(None);
        };
        *bytes = &bytes[head.len..];
        Ok(Some(match head.status {
            101 if !self.upgrade || self.sent != Sent::Everything => return Err(Fault::Unasked),
            101 => Head::Switch(head),
            100..200 => {
                self.received = Received::Interim;
                Head::Interim(head)
            }
            _ => {
                self.received = Received::Response {
                    body: head.body.clone(),
                    trailers: Vec::new(),
                    keep: self.keep(&head),
                };
                Head::Final(head)
            }
        }))
    }

    /// Reads a piece of the response's data off the start of `bytes`; empty if the bytes were framing only.
    /// `None` if there are no more bytes, or the body has ended.
    ///
    /// # Errors
    /// [`Fault::ResponseBody`]
    pub(in crate::proxy) fn next_data<'b>(
        &mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<&'b [u8]>, Fault> {
        let Received::Response { body, trailers, keep } = &mut self.received else {
            return Ok(None);
        };
        if bytes.is_empty() || body.is_done() {
            if !bytes.is_empty() {
                // Bytes after the response: the app speaks out of turn.
                *keep = None;
            }
            return Ok(None);
        }
        let step = body.step(bytes, trailers).map_err(Fault::ResponseBody)?;
        *bytes = &bytes[step.used..];
        Ok(Some(step.data))
    }

    /// The trailer section as it came, each line ended by CRLF.
    pub(in crate::proxy) fn trailers(&self) -> &[u8] {
        match &self.received {
            Received::Response { trailers, .. } => trailers,
            Received::Nothing | Received::Interim => &[],
        }
    }

    /// The app's connection ended: at the end of a response, in the middle of one, or before any.
    ///
    /// # Errors
    /// Unless that was the response's end.
    pub(in crate::proxy) fn end_of_app(&mut self, how: &io::Result<usize>) -> Result<(), Failure> {
        let may_repeat = self.may_repeat();
        match &mut self.received {
            // Only an orderly end completes a body without a length. After a reset it would look complete and
            // be cut.
            Received::Response { body, .. } if how.is_ok() && *body == Body::UntilClose => {
                *body = Body::Done;
                Ok(())
            }
            Received::Response { .. } | Received::Interim => Err(Fault::Cut.into()),
            Received::Nothing if !self.partial.is_empty() => Err(Fault::Cut.into()),
            Received::Nothing if may_repeat => Err(Failure::Repeat),
            Received::Nothing => Err(Fault::Closed.into()),
        }
    }

    /// See the module.
    fn may_repeat(&self) -> bool {
        self.repeatable
            && match self.sent {
                Sent::Head => true,
                Sent::Everything => self.framing == Framing::None,
                Sent::Body | Sent::Refused => false,
            }
    }

    /// How long the connection may be kept after this response, if at all.
    fn keep(&self, head: &ResponseHead<'_, '_>) -> Option<Duration> {
        let connection = headers::ConnectionOptions::read(head.fields);
        let persists = match head.version {
            Version::Http11 => !connection.close(),
            Version::Http10 => connection.keep_alive() && !connection.close(),
        };
        if !persists || head.last || matches!(head.body, Body::UntilClose) {
            return None;
        }
        let hint = head
            .fields
            .iter()
            .find(|f| f.name.len() == 10 && f.name.eq_ignore_ascii_case("keep-alive"))
            .and_then(|f| pool::keep_alive_hint(f.value));
        Some(hint.map_or(self.keep_alive, |hint| hint.min(self.keep_alive)))
    }

    /// Ends the exchange. The connection goes back into the pool if both request and response are complete
    /// and the app keeps it open.
    #[inline]
    pub(in crate::proxy) fn finish(self, pool: &Pool, now: Instant) {
        if let Received::Response {
            body: Body::Done,
            keep: Some(keep),
            ..
        } = self.received
            && self.sent == Sent::Everything
            && self.unsent.is_empty()
        {
            pool.give(self.stream, self.place, now, keep);
        }
    }

    /// Takes the connection, which has switched protocols, what it has not taken of the request, and its
    /// place among the connections to the app, to be kept until the tunnel ends.
    pub(in crate::proxy) fn into_tunnel(self) -> (Stream, Unsent, Place) {
        (self.stream, self.unsent, self.place)
    }
}

#[cfg(test)]
mod tests;
