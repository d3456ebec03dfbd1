//! One client connection: the PROXY preamble where it is asked for, then request after request until somebody closes.

use std::{future::poll_fn, io, rc::Rc, task::Poll, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    errors::Fault,
    relay,
    service::{self, Plan},
    stream::{Stream, Unsent},
    worker::{Phase, Worker},
};
use crate::{
    client::{self, Peer, proxy_protocol},
    http1,
    timer::Timer,
};

/// How long a PROXY protocol header may take to arrive.
const PREAMBLE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long, and for how many bytes, a closing connection is read on, so that the client reads the last response before
/// a reset reaches it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// A client's connection between and during its requests.
pub(super) struct Connection {
    pub(super) worker: Rc<Worker>,
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    /// Bytes that were read and belong to what comes next.
    pub(super) inbuf: Vec<u8>,
    /// Bytes for the client that its socket has not taken.
    pub(super) unsent: Unsent,
    pub(super) timer: Timer,
}

/// What is to become of the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    KeepAlive,
    /// Close, reading on for a moment so that the response arrives.
    Linger,
    /// Nothing is left to say or to hear.
    Close,
}

enum Next {
    Request(Plan),
    Refuse(Fault),
    Close,
}

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, stream: Stream, peer: Peer, _permit: OwnedSemaphorePermit) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let _entered = worker.enter(waker);
    let mut c = Connection {
        worker,
        stream,
        peer,
        inbuf: Vec::new(),
        unsent: Unsent::default(),
        timer: Timer::new(),
    };
    if let Err(fault) = c.preamble().await {
        c.worker.reporter.report(&fault, None, &c.worker.metrics);
        return;
    }
    let mut first = true;
    loop {
        let after = match c.next(first).await {
            Next::Request(plan) => relay::exchange(&mut c, plan).await,
            Next::Refuse(fault) => c.refuse(&fault),
            Next::Close => After::Close,
        };
        first = false;
        match after {
            After::KeepAlive => {}
            After::Linger => return c.linger().await,
            After::Close => return,
        }
    }
}

impl Connection {
    /// Reads the PROXY protocol header that a trusted peer must send.
    async fn preamble(&mut self) -> Result<(), Fault> {
        let asked = self.worker.settings.proxy_protocol && {
            let live = self.worker.live.borrow();
            client::resolve(&live.client, self.peer, &[]).peer_trusted
        };
        if !asked {
            return Ok(());
        }
        let Ok(source) = timeout(PREAMBLE_TIMEOUT, self.read_preamble()).await else {
            return Err(Fault::Preamble);
        };
        if let Some(source) = source? {
            self.peer = Peer::proxied(source);
        }
        Ok(())
    }

    async fn read_preamble(&mut self) -> Result<Option<std::net::SocketAddr>, Fault> {
        loop {
            match proxy_protocol::parse(&self.inbuf) {
                Ok(proxy_protocol::ProxyHeader::Complete { source, len }) => {
                    self.inbuf.drain(..len);
                    return Ok(source);
                }
                Ok(proxy_protocol::ProxyHeader::Incomplete) => {}
                Err(_) => return Err(Fault::Preamble),
            }
            match self.read().await {
                Ok(n) if n > 0 => {
                    let scratch = self.worker.scratch.borrow();
                    self.inbuf.extend_from_slice(&scratch[..n]);
                }
                _ => return Err(Fault::Preamble),
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        let (stream, worker) = (&mut self.stream, &self.worker);
        poll_fn(|cx| stream.poll_read(cx, &mut worker.scratch.borrow_mut())).await
    }

    /// Waits for the next request. The time for a head starts with its first byte; before that the connection is idle.
    async fn next(&mut self, first: bool) -> Next {
        let header_timeout = self.worker.settings.header_timeout;
        let mut scanned = 0;
        if !self.inbuf.is_empty()
            && let Some(next) = self.plan_buffered(&mut scanned)
        {
            return next;
        }
        let idle = self.inbuf.is_empty() && !first;
        let wait = if idle {
            self.worker.settings.idle_timeout
        } else {
            header_timeout
        };
        self.timer.set(Instant::now() + wait);
        loop {
            let event = {
                let (stream, worker, timer) = (&mut self.stream, &self.worker, &mut self.timer);
                let idle = self.inbuf.is_empty();
                poll_fn(|cx| {
                    if let Poll::Ready(read) = stream.poll_read(cx, &mut worker.scratch.borrow_mut()) {
                        return Poll::Ready(Some(read));
                    }
                    if idle && worker.phase.get() == Phase::Closing {
                        return Poll::Ready(None);
                    }
                    timer.poll(cx).map(|()| None)
                })
                .await
            };
            match event {
                Some(Ok(0) | Err(_)) => return Next::Close,
                Some(Ok(n)) => {
                    if let Some(next) = self.plan_read(n, &mut scanned) {
                        return next;
                    }
                    if idle && scanned == self.inbuf.len() && scanned == n {
                        self.timer.set(Instant::now() + header_timeout);
                    }
                }
                None if self.inbuf.is_empty() => return Next::Close,
                None => return Next::Refuse(Fault::SlowHead),
            }
        }
    }

    /// Takes `n` fresh bytes. A head that came whole is read where it lies, without a copy.
    fn plan_read(&mut self, n: usize, scanned: &mut usize) -> Option<Next> {
        if !self.inbuf.is_empty() {
            self.inbuf.extend_from_slice(&self.worker.scratch.borrow()[..n]);
            return self.plan_buffered(scanned);
        }
        let scratch = self.worker.scratch.borrow();
        let bytes = &scratch[..n];
        match service::plan(&self.worker, self.peer, bytes, Instant::now()) {
            Ok(Some(plan)) => {
                self.inbuf.extend_from_slice(&bytes[plan.len..]);
                Some(Next::Request(plan))
            }
            Ok(None) => {
                self.inbuf.extend_from_slice(bytes);
                *scanned = n;
                self.too_large()
            }
            Err(fault) => Some(Next::Refuse(fault)),
        }
    }

    /// Looks for a whole head among the kept bytes; only then is it parsed.
    fn plan_buffered(&mut self, scanned: &mut usize) -> Option<Next> {
        let from = std::mem::replace(scanned, self.inbuf.len());
        if http1::head_end(&self.inbuf, from).is_none() {
            return self.too_large();
        }
        match service::plan(&self.worker, self.peer, &self.inbuf, Instant::now()) {
            Ok(Some(plan)) => {
                self.inbuf.drain(..plan.len);
                if self.inbuf.is_empty() {
                    self.inbuf = Vec::new();
                }
                Some(Next::Request(plan))
            }
            Ok(None) => self.too_large(),
            Err(fault) => Some(Next::Refuse(fault)),
        }
    }

    fn too_large(&self) -> Option<Next> {
        let limit = self.worker.settings.max_head_bytes;
        (self.inbuf.len() > limit).then_some(Next::Refuse(http1::Refusal::TooLarge.into()))
    }

    /// Answers what was no request that could go on; nothing more can be read after it.
    fn refuse(&mut self, fault: &Fault) -> After {
        let response = fault.response(false, true);
        let sent = self.unsent.send(&self.stream, &[&response]).is_ok();
        if sent {
            self.worker.metrics.response(fault.status());
        }
        self.worker
            .reporter
            .report(fault, sent.then(|| fault.status()), &self.worker.metrics);
        if sent { After::Linger } else { After::Close }
    }

    /// Sends what is unsent, says that it was all, and reads on for a moment.
    async fn linger(mut self) {
        let end = async {
            while !self.unsent.is_empty() {
                let stream = &self.stream;
                if poll_fn(|cx| stream.poll_write_ready(cx)).await.is_err()
                    || self.unsent.flush(&self.stream).is_err()
                {
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
        // Whoever does not close in time has had the response in its socket for as long.
        let _ = timeout(LINGER, end).await;
    }
}
