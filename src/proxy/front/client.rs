//! A client's connection, as HTTP/1.x uses it: what was read ahead, what waits to be written, its timer.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::timeout;

use super::transport::Transport;
use crate::{
    client::Peer,
    proxy::{context::Context, stream::Unsent},
    timer::Timer,
};

/// How long, and for how many bytes, a connection is read on while it closes, so that the client gets the
/// last response before a reset reaches it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// See the module.
pub(in crate::proxy) struct Client {
    pub(super) context: Rc<Context>,
    pub(super) stream: Transport,
    pub(super) peer: Peer,
    /// The connection is over TLS.
    pub(super) https: bool,
    /// Bytes that were read and belong to what comes next.
    pub(super) inbuf: Vec<u8>,
    /// Bytes for the client that its socket has not taken.
    pub(super) unsent: Unsent,
    pub(super) timer: Timer,
}

/// What becomes of the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    KeepAlive,
    /// Close, but read on for a moment so that the response arrives.
    Linger,
    /// Close at once.
    Close,
}

impl Client {
    pub(super) fn new(context: Rc<Context>, stream: Transport, peer: Peer) -> Self {
        Client {
            context,
            stream,
            peer,
            https: false,
            inbuf: Vec::new(),
            unsent: Unsent::default(),
            timer: Timer::new(),
        }
    }

    /// Reads what the client sent into the worker's scratch.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        let (stream, context) = (&mut self.stream, &self.context);
        poll_fn(|cx| stream.poll_read(cx, &mut context.scratch.borrow_mut())).await
    }

    pub(super) fn poll_read(&mut self, cx: &mut TaskContext<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, into)
    }

    /// Ready when the client's socket may take bytes again.
    pub(super) fn poll_write_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
    }

    /// Sends `parts` in order; what the socket does not take waits.
    ///
    /// # Errors
    /// The socket's: the client is gone.
    #[inline]
    pub(super) fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.unsent.send(&mut self.stream, parts)
    }

    /// Whether the socket has taken all that was sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty() && !self.stream.holds_back()
    }

    /// Sends what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(super) fn flush(&mut self, ready: io::Result<()>) -> io::Result<()> {
        ready?;
        self.stream.flush()?;
        self.unsent.flush(&mut self.stream)
    }

    /// Sends what waits, ends our side, and reads on for a moment.
    pub(super) async fn linger(mut self) {
        let end = async {
            while !self.is_flushed() {
                let ready = poll_fn(|cx| self.poll_write_ready(cx)).await;
                if self.flush(ready).is_err() {
                    return;
                }
            }
            self.stream.shutdown().await;
            let mut read = 0;
            while read < LINGER_BYTES {
                match self.read().await {
                    Ok(n) if n > 0 => read += n,
                    _ => return,
                }
            }
        };
        // On timeout we close anyway: the client has had the response for `LINGER`.
        let _ = timeout(LINGER, end).await;
    }
}
