//! A connection from its accept to its end: what stands before the first request, and which protocol it speaks.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    client::Client,
    http1, http2, preamble,
    tls::accept::{AcceptError, accept},
    transport::Transport,
};
use crate::{
    client::Peer,
    proxy::{
        context::{Context, Seat},
        errors::Fault,
        metrics::Handshake,
        stream::Stream,
    },
};

/// What an HTTP/2 client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end.
pub(in crate::proxy) async fn serve(
    context: Rc<Context>,
    mut stream: Stream,
    peer: Peer,
    permit: OwnedSemaphorePermit,
) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let seat = context.enter(waker, permit);
    let mut inbuf = Vec::new();
    let preamble = preamble::read(&context, &mut stream, peer, &mut inbuf);
    let peer = match unless_unwanted(&seat, preamble).await {
        Some(Ok(Some(peer))) => peer,
        // It came and went, as a balancer's health check does.
        None | Some(Ok(None)) => return,
        Some(Err(fault)) => return context.report(&fault, None),
    };
    let tls = context
        .live
        .borrow()
        .tls
        .as_ref()
        .map(|tls| Arc::clone(&tls.config));
    if let Some(config) = tls {
        return serve_tls(context, stream, peer, seat, &inbuf, config).await;
    }
    let mut client = Client::new(context, Transport::Plain(stream), peer, seat);
    client.inbuf = inbuf;
    if client.context.settings.http2 && begins_with_preface(&mut client).await {
        serve_http2(client).await;
    } else {
        http1::serve(client).await;
    }
}

/// Does the handshake, and serves the protocol that ALPN chose.
async fn serve_tls(
    context: Rc<Context>,
    stream: Stream,
    peer: Peer,
    seat: Seat,
    early: &[u8],
    config: Arc<ServerConfig>,
) {
    let accepted = accept(stream, early, config, &context.turns);
    let accepted = timeout(context.settings.header_timeout, accepted);
    let Some(accepted) = unless_unwanted(&seat, accepted).await else {
        return;
    };
    let error = match accepted {
        Err(_) => return context.metrics.handshake(Handshake::TimedOut),
        Ok(Err(error)) => error,
        Ok(Ok(stream)) => {
            context.metrics.handshake(if stream.is_resumed() {
                Handshake::Resumed
            } else {
                Handshake::Full
            });
            tracing::debug!(
                server_name = stream.server_name(),
                resumed = stream.is_resumed(),
                client_certificate = stream.has_client_certificate(),
                "TLS handshake"
            );
            let is_h2 = stream.is_h2();
            let mut client = Client::new(context, Transport::Tls(stream), peer, seat);
            client.https = true;
            return if is_h2 {
                serve_http2(client).await;
            } else {
                http1::serve(client).await;
            };
        }
    };
    let (handshake, stream) = match error {
        AcceptError::Closed => return context.metrics.handshake(Handshake::Closed),
        AcceptError::PlainHttp(stream) => {
            context.metrics.handshake(Handshake::PlainHttp);
            let client = Client::new(context, Transport::Plain(stream), peer, seat);
            return http1::refuse_and_close(client, &Fault::PlainHttp).await;
        }
        AcceptError::Io(_) => return context.metrics.handshake(Handshake::Failed),
        AcceptError::Refused(_) => {
            context.metrics.handshake(Handshake::Failed);
            return context.report_handshake(&error);
        }
        AcceptError::NoCertificate(stream) => (Handshake::NoCertificate, stream),
        AcceptError::Handshake { ref source, .. } => {
            context.report_handshake(source);
            let AcceptError::Handshake { stream, .. } = error else {
                return;
            };
            (Handshake::Failed, stream)
        }
    };
    context.metrics.handshake(handshake);
    // Reads on for a moment, so that no reset overtakes the alert.
    Client::new(context, Transport::Plain(stream), peer, seat)
        .linger()
        .await;
}

/// Does what comes before the first request, unless the connection is asked to make room for another one.
async fn unless_unwanted<T>(seat: &Seat, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if seat.is_unwanted() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

async fn serve_http2(client: Client) {
    let Client {
        context,
        stream,
        peer,
        seat,
        https,
        inbuf,
        ..
    } = client;
    http2::serve(context, Rewound::new(inbuf, stream), peer, &seat, https).await;
}

/// Whether the client speaks HTTP/2 without having been asked (RFC 9113 §3.3). What was read stays for whoever serves it.
async fn begins_with_preface(client: &mut Client) -> bool {
    let context = Rc::clone(&client.context);
    client.timer.set(Instant::now() + context.settings.header_timeout);
    while client.inbuf.len() < PREFACE.len() && PREFACE.starts_with(&client.inbuf) {
        let read = poll_fn(|cx| {
            let mut scratch = context.scratch.borrow_mut();
            if let Poll::Ready(read) = client.poll_read(cx, &mut scratch) {
                return Poll::Ready(read.unwrap_or(0));
            }
            if client.should_close(true) {
                return Poll::Ready(0);
            }
            client.timer.poll(cx).map(|()| 0)
        })
        .await;
        if read == 0 {
            return false;
        }
        client.inbuf.extend_from_slice(&context.scratch.borrow()[..read]);
    }
    client.inbuf.starts_with(PREFACE)
}

/// A stream some of whose bytes were read already, and are read again.
struct Rewound<S> {
    early: Vec<u8>,
    at: usize,
    stream: S,
}

impl<S> Rewound<S> {
    fn new(early: Vec<u8>, stream: S) -> Self {
        Rewound { early, at: 0, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, into);
        }
        let rest = &this.early[this.at..];
        let take = rest.len().min(into.remaining());
        into.put_slice(&rest[..take]);
        this.at += take;
        if this.at == this.early.len() {
            this.early = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
