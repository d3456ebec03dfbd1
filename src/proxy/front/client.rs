//! A client's connection, as HTTP/1.x uses it: what was read ahead, what waits to be written, its timer.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::transport::Transport;
use crate::{
    client::Peer,
    proxy::{
        context::{Context, Phase, Seat},
        stream::Unsent,
    },
    timer::Timer,
};

/// How long, and for how many bytes, a connection is read on while it closes, so that the client gets the
/// last response before a reset reaches it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;
/// How long a reset takes at most to come back from a client that is gone.
const ROUND_TRIP: Duration = Duration::from_millis(300);
/// How long a client that is still sending a request's body may go on with it, and how long it may pause:
/// some read the response only then.
const DISCARD: Duration = Duration::from_secs(30);
const DISCARD_PAUSE: Duration = Duration::from_secs(5);
/// How long a stop waits for the request of a connection that was just made, or that has bytes on their way.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// See the module.
pub(in crate::proxy) struct Client {
    pub(super) context: Rc<Context>,
    pub(super) stream: Transport,
    pub(super) peer: Peer,
    pub(super) seat: Seat,
    /// The connection is over TLS.
    pub(super) https: bool,
    /// Bytes that were read and belong to what comes next.
    pub(super) inbuf: Vec<u8>,
    /// Bytes for the client that its socket has not taken.
    pub(super) unsent: Unsent,
    pub(super) timer: Timer,
    /// A stop closes the connection then, if no request comes.
    last_chance: Option<Instant>,
}

/// What becomes of the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    KeepAlive,
    /// Close, but read on for a moment so that the response arrives.
    Linger,
    /// As above, and the client is sending a body that nobody reads any more.
    Discard,
    /// Nothing is left to say or to hear.
    Close,
}

impl Client {
    pub(super) fn new(context: Rc<Context>, stream: Transport, peer: Peer, seat: Seat) -> Self {
        Client {
            context,
            stream,
            peer,
            seat,
            https: false,
            inbuf: Vec::new(),
            unsent: Unsent::default(),
            timer: Timer::new(),
            last_chance: None,
        }
    }

    /// Whether the connection is to close, though it has waited for a request without a mistake: a stop
    /// closes it, or it makes room for another one. Not where bytes have come. In a stop a new connection
    /// (`first`) gets a moment for its request, which is probably on its way.
    pub(super) fn should_close(&mut self, first: bool) -> bool {
        if self.seat.is_unwanted() {
            // What has come of a head counts for nothing: it may be all that ever comes.
            return self.stream.is_silent();
        }
        if self.context.phase.get() != Phase::Closing || !self.inbuf.is_empty() {
            return false;
        }
        if self.last_chance.is_none() {
            if !first && self.stream.is_silent() {
                return true;
            }
            let end = Instant::now() + LAST_CHANCE;
            self.last_chance = Some(end);
            self.timer.set(end);
        }
        false
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

    /// Sends what waits, says that it was all, and reads on for a moment.
    pub(super) async fn linger(&mut self) {
        self.read_on(LINGER, LINGER, LINGER_BYTES).await;
    }

    /// As [`linger`](Self::linger), for as long as the client sends the rest of a body.
    pub(super) async fn discard(&mut self) {
        self.read_on(DISCARD, DISCARD_PAUSE, usize::MAX).await;
    }

    /// After the response to a client that has ended its side: whether it was there to read it. Of a client
    /// that is gone, the system answers what we send with a reset.
    pub(super) async fn took_response(&mut self) -> bool {
        self.stream.shutdown().await;
        timeout(ROUND_TRIP, self.stream.socket().reset()).await.is_err()
    }

    async fn read_on(&mut self, longest: Duration, pause: Duration, most: usize) {
        let end = async {
            while !self.is_flushed() {
                let ready = poll_fn(|cx| self.poll_write_ready(cx)).await;
                if self.flush(ready).is_err() {
                    return;
                }
            }
            self.stream.shutdown().await;
            let mut read = 0;
            while read < most {
                match timeout(pause, self.read()).await {
                    Ok(Ok(n)) if n > 0 => read += n,
                    _ => return,
                }
            }
        };
        // On timeout we close anyway: the client has had the response for as long.
        let _ = timeout(longest, end).await;
    }
}
