//! A client's connection from its accept to its end: the PROXY protocol header, the TLS handshake, and the
//! choice of the protocol that serves it.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use rustls::ServerConfig;
use tokio::{
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
        context::{Context, Phase},
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
    _permit: OwnedSemaphorePermit,
) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let _entered = context.enter(waker);
    let mut inbuf = Vec::new();
    let peer = match preamble::read(&context, &mut stream, peer, &mut inbuf).await {
        Ok(peer) => peer,
        Err(fault) => return context.report(&fault, None),
    };
    let tls = context
        .live
        .borrow()
        .tls
        .as_ref()
        .map(|tls| Arc::clone(&tls.config));
    if let Some(config) = tls {
        return serve_tls(context, stream, peer, &inbuf, config).await;
    }
    let mut client = Client::new(context, Transport::Plain(stream), peer);
    client.inbuf = inbuf;
    if !client.context.settings.http2 {
        return http1::serve(client).await;
    }
    match read_preface(&mut client).await {
        Begins::Http2 => serve_http2(client).await,
        Begins::Http1 => http1::serve(client).await,
        Begins::Slowly => http1::refuse_and_close(client, &Fault::SlowHead).await,
        Begins::Never => {}
    }
}

/// Does the handshake, and serves the protocol that ALPN chose.
async fn serve_tls(
    context: Rc<Context>,
    stream: Stream,
    peer: Peer,
    early: &[u8],
    config: Arc<ServerConfig>,
) {
    let accepted = accept(stream, early, config, &context.turns);
    let error = match timeout(context.settings.header_timeout, accepted).await {
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
            let mut client = Client::new(context, Transport::Tls(stream), peer);
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
            let client = Client::new(context, Transport::Plain(stream), peer);
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
    Client::new(context, Transport::Plain(stream), peer)
        .linger()
        .await;
}

async fn serve_http2(client: Client) {
    let Client {
        context,
        stream,
        peer,
        https,
        inbuf,
        ..
    } = client;
    http2::serve(context, stream, inbuf, peer, https).await;
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
            if client.inbuf.is_empty() && context.phase.get() == Phase::Closing {
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
