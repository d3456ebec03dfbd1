//! A connection from its accept to its end: what stands before the first request, and which protocol it speaks.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::Instant,
};

use super::{client::Client, http1, http2, preamble};
use crate::{
    client::Peer,
    proxy::{
        context::{Context, Phase},
        stream::Stream,
    },
};

/// What an HTTP/2 client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end.
pub(in crate::proxy) async fn serve(
    context: Rc<Context>,
    stream: Stream,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let _entered = context.enter(waker);
    let mut client = Client::new(context, stream, peer);
    if let Err(fault) = preamble::read(&mut client).await {
        client.context.report(&fault, None);
        return;
    }
    if client.context.settings.http2 && begins_with_preface(&mut client).await {
        let Client {
            context,
            stream,
            peer,
            https,
            inbuf,
            ..
        } = client;
        http2::serve(context, Rewound::new(inbuf, stream), peer, https).await;
    } else {
        http1::serve(client).await;
    }
}

/// Whether the client speaks HTTP/2 without having been asked (RFC 9113 §3.3). What was read stays for whoever serves it.
async fn begins_with_preface(client: &mut Client) -> bool {
    let context = Rc::clone(&client.context);
    client
        .timer
        .set(Instant::now() + context.settings.header_timeout);
    while client.inbuf.len() < PREFACE.len() && PREFACE.starts_with(&client.inbuf) {
        let read = poll_fn(|cx| {
            let mut scratch = context.scratch.borrow_mut();
            if let Poll::Ready(read) = client.poll_read(cx, &mut scratch) {
                return Poll::Ready(read.unwrap_or(0));
            }
            if client.inbuf.is_empty() && context.phase.get() == Phase::Closing {
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
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
