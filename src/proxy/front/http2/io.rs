//! The connection as hyper reads and writes it: in turns, so that it holds up no other one, and written once
//! it has been polled, so that the responses of many streams leave together.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::context::Context;

/// Bytes that are read or written before the worker's other connections get their turn. hyper reads and
/// writes for as long as the socket is ready, so without this a few busy connections would hold up all
/// others. The read turn is shorter because handling many small frames costs more than reading them.
const READ_TURN: usize = 16 * 1024;
const WRITE_TURN: usize = 64 * 1024;
/// Bytes that wait for the connection to be polled at most: about one TLS record.
const CORKED: usize = 16 * 1024;

/// A stream some of whose bytes were read already, and are read again. Copies share it.
pub(super) struct ClientIo<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    context: Rc<Context>,
    stream: S,
    early: Vec<u8>,
    early_at: usize,
    reading: Turn,
    writing: Turn,
    /// What waits to be sent, and how much of it was sent.
    out: Vec<u8>,
    out_at: usize,
}

/// How far a turn has come.
struct Turn {
    /// Bytes moved since it began.
    moved: usize,
    limit: usize,
}

impl Turn {
    fn of(limit: usize) -> Self {
        Turn { moved: 0, limit }
    }

    /// Moves bytes by `work`, unless the turn is over. Then the task waits, woken already.
    fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        work: impl FnOnce(&mut TaskContext<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.moved >= self.limit {
            self.moved = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let done = work(cx);
        match &done {
            Poll::Ready(moved) => self.moved += moved.as_ref().copied().unwrap_or(0),
            Poll::Pending => self.moved = 0,
        }
        done
    }
}

impl<S> Clone for ClientIo<S> {
    fn clone(&self) -> Self {
        ClientIo(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientIo<S> {
    /// `early` was read from the stream already, and is read again first.
    pub(super) fn new(context: &Rc<Context>, early: Vec<u8>, stream: S) -> Self {
        ClientIo(Rc::new(RefCell::new(Inner {
            context: Rc::clone(context),
            stream,
            early,
            early_at: 0,
            reading: Turn::of(READ_TURN),
            writing: Turn::of(WRITE_TURN),
            out: Vec::new(),
            out_at: 0,
        })))
    }

    /// Sends what waits.
    pub(super) fn poll_send(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_send(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        while self.out_at < self.out.len() {
            let stream = Pin::new(&mut self.stream);
            let rest = &self.out[self.out_at..];
            match ready!(self.writing.poll(cx, |cx| stream.poll_write(cx, rest)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.out_at += n,
            }
        }
        self.out_at = 0;
        self.context.give_back(std::mem::take(&mut self.out));
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn cork(&mut self, parts: &[IoSlice<'_>]) {
        if self.out.capacity() == 0 {
            self.out = self.context.buffer();
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        if !inner.early.is_empty() {
            let rest = &inner.early[inner.early_at..];
            let take = rest.len().min(into.remaining());
            into.put_slice(&rest[..take]);
            inner.early_at += take;
            if inner.early_at == inner.early.len() {
                inner.early = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let stream = Pin::new(&mut inner.stream);
        let before = into.filled().len();
        let read = inner.reading.poll(cx, |cx| {
            stream
                .poll_read(cx, into)
                .map_ok(|()| into.filled().len() - before)
        });
        read.map_ok(|_| ())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        let size: usize = parts.iter().map(|part| part.len()).sum();
        if inner.out.len() + size > CORKED {
            ready!(inner.poll_send(cx))?;
            if size > CORKED {
                let stream = Pin::new(&mut inner.stream);
                return inner.writing.poll(cx, |cx| stream.poll_write_vectored(cx, parts));
            }
        }
        inner.cork(parts);
        Poll::Ready(Ok(size))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection sends what waits once it was polled ([`ClientIo::poll_send`]).
    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::proxy::tests::worker::Worker;

    #[tokio::test]
    async fn what_was_read_early_comes_first() {
        let worker = Worker::new();
        let mut io = ClientIo::new(
            &worker.context,
            b"PRI ".to_vec(),
            tokio::io::join(&b"* HTTP/2.0"[..], tokio::io::sink()),
        );
        let mut all = String::new();
        io.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "PRI * HTTP/2.0");
    }

    #[tokio::test]
    async fn a_stream_with_endless_bytes_ends_its_turn_and_asks_for_the_next() {
        let worker = Worker::new();
        let mut io = ClientIo::new(
            &worker.context,
            Vec::new(),
            tokio::io::join(tokio::io::repeat(b'x'), tokio::io::sink()),
        );
        let mut buffer = [0; 4096];
        for turn in 0..3 {
            let read = poll_fn(|cx| {
                let mut read = 0;
                loop {
                    let mut into = ReadBuf::new(&mut buffer);
                    match Pin::new(&mut io).poll_read(cx, &mut into) {
                        Poll::Ready(done) => done.unwrap(),
                        Poll::Pending => return Poll::Ready(read),
                    }
                    read += into.filled().len();
                }
            });
            assert_eq!(read.await, READ_TURN, "turn {turn}");
        }
        // Waiting for more than a turn's bytes comes to an end, so the task was woken.
        let mut much = vec![0; 4 * READ_TURN];
        io.read_exact(&mut much).await.unwrap();
    }

    #[tokio::test]
    async fn a_stream_that_takes_everything_is_written_in_turns() {
        let worker = Worker::new();
        let mut io = ClientIo::new(
            &worker.context,
            Vec::new(),
            tokio::io::join(tokio::io::empty(), tokio::io::sink()),
        );
        let piece = vec![0; 32 * 1024];
        for turn in 0..3 {
            let written = poll_fn(|cx| {
                let mut written = 0;
                while let Poll::Ready(done) = Pin::new(&mut io).poll_write(cx, &piece) {
                    written += done.unwrap();
                }
                Poll::Ready(written)
            });
            assert_eq!(written.await, WRITE_TURN, "turn {turn}");
        }
    }
}
