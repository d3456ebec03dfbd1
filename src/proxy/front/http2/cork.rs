//! Holds back what h2 writes until the connection has been polled, so that the responses of many streams leave
//! with one write.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::context::Context;

/// Bytes that are held back at most: about one TLS record.
const LIMIT: usize = 16 * 1024;

/// A stream that sends when it is told to. Copies share it.
pub(super) struct Corked<S>(Rc<RefCell<Held<S>>>);

struct Held<S> {
    context: Rc<Context>,
    stream: S,
    /// What was read before this took the stream over, and how much of it was read again.
    early: Vec<u8>,
    early_at: usize,
    /// What is held back, and how much of it was sent.
    out: Vec<u8>,
    out_at: usize,
}

impl<S> Clone for Corked<S> {
    fn clone(&self) -> Self {
        Corked(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Corked<S> {
    /// `early` was read from the stream already, and is read again first.
    pub(super) fn new(context: &Rc<Context>, stream: S, early: Vec<u8>) -> Self {
        Corked(Rc::new(RefCell::new(Held {
            context: Rc::clone(context),
            stream,
            early,
            early_at: 0,
            out: Vec::new(),
            out_at: 0,
        })))
    }

    /// Sends what was held back.
    pub(super) fn poll_send(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_send(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Held<S> {
    fn poll_send(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        while self.out_at < self.out.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.out_at..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.out_at += n,
            }
        }
        self.out_at = 0;
        self.context.give_back(std::mem::take(&mut self.out));
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn hold_back(&mut self, parts: &[IoSlice<'_>]) {
        if self.out.capacity() == 0 {
            self.out = self.context.buffer();
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held = &mut *self.0.borrow_mut();
        if held.early.is_empty() {
            return Pin::new(&mut held.stream).poll_read(cx, into);
        }
        let rest = &held.early[held.early_at..];
        let take = rest.len().min(into.remaining());
        into.put_slice(&rest[..take]);
        held.early_at += take;
        if held.early_at == held.early.len() {
            held.early = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let held = &mut *self.0.borrow_mut();
        let size: usize = parts.iter().map(|part| part.len()).sum();
        if held.out.len() + size > LIMIT {
            ready!(held.poll_send(cx))?;
            if size > LIMIT {
                return Pin::new(&mut held.stream).poll_write_vectored(cx, parts);
            }
        }
        held.hold_back(parts);
        Poll::Ready(Ok(size))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection sends what is held back once it was polled ([`Corked::poll_send`]).
    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let held = &mut *self.0.borrow_mut();
        ready!(held.poll_send(cx))?;
        Pin::new(&mut held.stream).poll_shutdown(cx)
    }
}
