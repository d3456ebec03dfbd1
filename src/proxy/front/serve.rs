//! A client's connection from its accept to its end: the PROXY protocol header, the TLS handshake, and the
//! choice of the protocol that serves it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use rustls::ServerConfig;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    client::Client,
    http1, http2, own, preamble,
    tls::{
        accept::{AcceptError, accept},
        stream::TlsStream,
    },
    transport::Transport,
};
use crate::{
    client::Peer,
    proxy::{
        context::{Context, Phase, Seat},
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
    let peer = match unless_unwanted(&context, &seat, preamble).await {
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
        return Box::pin(serve_tls(context, stream, peer, seat, &inbuf, config)).await;
    }
    let mut client = Client::new(context, Transport::Plain(stream), peer, seat);
    client.inbuf = inbuf;
    if !client.context.settings.http2 {
        return http1::serve(&mut client).await;
    }
    match read_preface(&mut client).await {
        Begins::Http2 => Box::pin(serve_http2(client)).await,
        Begins::Http1 => http1::serve(&mut client).await,
        Begins::Slowly => Box::pin(own::refuse_and_close(&mut client, &Fault::SlowHead)).await,
        Begins::Never => {}
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
    let error = match handshake(&context, &seat, stream, early, config).await {
        Err(ended) => return context.metrics.handshake(ended),
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
                http1::serve(&mut client).await;
            };
        }
    };
    let (handshake, stream) = match error {
        AcceptError::Closed => return context.metrics.handshake(Handshake::Closed),
        AcceptError::PlainHttp(stream) => {
            context.metrics.handshake(Handshake::PlainHttp);
            let mut client = Client::new(context, Transport::Plain(stream), peer, seat);
            return own::refuse_and_close(&mut client, &Fault::PlainHttp).await;
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

/// Does the handshake, within `header_timeout`.
async fn handshake(
    context: &Context,
    seat: &Seat,
    stream: Stream,
    early: &[u8],
    config: Arc<ServerConfig>,
) -> Result<Result<TlsStream, AcceptError>, Handshake> {
    let accepted = accept(stream, early, config, &context.turns);
    let accepted = timeout(context.settings.header_timeout, accepted);
    match unless_unwanted(context, seat, accepted).await {
        Some(accepted) => accepted.map_err(|_| Handshake::TimedOut),
        None => Err(Handshake::Closed),
    }
}

/// Does what comes before the first request, unless the connection is to close: in a stop, or to make room
/// for another one.
async fn unless_unwanted<T>(context: &Context, seat: &Seat, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if context.phase.get() == Phase::Closing || seat.is_unwanted() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
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
    http2::serve(context, stream, inbuf, peer, &seat, https).await;
}

/// What a client begins with.
enum Begins {
    Http1,
    /// HTTP/2 by prior knowledge (RFC 9113 §3.3).
    Http2,
    /// Part of HTTP/2's preface, and not the rest in time.
    Slowly,
    /// Nothing in time, or the end.
    Never,
}

/// Reads until it is clear which protocol the client speaks. What was read stays for whoever serves it.
async fn read_preface(client: &mut Client) -> Begins {
    let context = Rc::clone(&client.context);
    client.timer.set(Instant::now() + context.settings.header_timeout);
    while client.inbuf.len() < PREFACE.len() && PREFACE.starts_with(&client.inbuf) {
        let read = poll_fn(|cx| {
            let mut scratch = context.scratch.borrow_mut();
            if let Poll::Ready(read) = client.poll_read(cx, &mut scratch) {
                return Poll::Ready(Some(read.unwrap_or(0)));
            }
            if client.should_close(true) {
                return Poll::Ready(None);
            }
            client.timer.poll(cx).map(|()| None)
        })
        .await;
        match read {
            Some(0) => return Begins::Never,
            Some(n) => client.inbuf.extend_from_slice(&context.scratch.borrow()[..n]),
            None if client.inbuf.is_empty() => return Begins::Never,
            None => return Begins::Slowly,
        }
    }
    if client.inbuf.starts_with(PREFACE) {
        Begins::Http2
    } else {
        Begins::Http1
    }
}
