//! A stream's request body on its way to the app.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use http::HeaderMap;
use hyper::body::{Body as _, Frame, Incoming};

use crate::{
    headers, http1,
    proxy::{app::exchange::Exchange, asked::Framing, context::Context, front::pace::BodyPace},
};

/// See the module.
pub(super) struct Upload {
    body: Incoming,
    framing: Framing,
    pub(super) pace: BodyPace,
}

/// The client has left or reset the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientGone;

impl Upload {
    pub(super) fn new(body: Incoming, framing: Framing) -> Self {
        Upload {
            body,
            framing,
            pace: BodyPace::default(),
        }
    }

    /// Passes on what the client has sent, as far as the app takes it. Returns whether anything moved.
    ///
    /// # Errors
    /// [`ClientGone`]
    pub(super) fn push(
        &mut self,
        context: &Context,
        exchange: &mut Exchange,
        cx: &mut TaskContext<'_>,
    ) -> Result<bool, ClientGone> {
        let mut moved = false;
        loop {
            if exchange.has_unsent() {
                self.pace.stop();
                let Poll::Ready(ready) = exchange.poll_write_ready(cx) else {
                    return Ok(moved);
                };
                exchange.flush(ready);
                moved = true;
                continue;
            }
            if !exchange.wants_body() {
                return Ok(moved);
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return Ok(moved);
            };
            moved = true;
            let mut trailers = HeaderMap::new();
            match frame.transpose().map_err(|_| ClientGone)?.map(Frame::into_data) {
                Some(Ok(data)) => {
                    self.pace.received(data.len());
                    self.push_data(context, exchange, &data);
                    continue;
                }
                Some(Err(frame)) => trailers = frame.into_trailers().unwrap_or_default(),
                // hyper ends the body of a stream that was reset with NO_ERROR as if it were complete.
                None if !self.body.is_end_stream() => return Err(ClientGone),
                None => {}
            }
            self.end(context, exchange, &trailers);
        }
    }

    fn push_data(&self, context: &Context, exchange: &mut Exchange, data: &[u8]) {
        if self.framing == Framing::Chunked {
            let mut out = context.assembly.borrow_mut();
            out.clear();
            http1::write_chunk(data, &mut out);
            exchange.push(&out);
        } else {
            exchange.push(data);
        }
    }

    fn end(&self, context: &Context, exchange: &mut Exchange, trailers: &HeaderMap) {
        if self.framing == Framing::Chunked {
            let mut lines = context.buffer();
            for (name, value) in trailers {
                for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                    lines.extend_from_slice(part);
                }
            }
            let mut out = context.assembly.borrow_mut();
            out.clear();
            http1::write_last_chunk(&lines, headers::may_be_trailer, &mut out);
            exchange.push(&out);
            context.give_back(lines);
        }
        exchange.end_request();
    }
}
