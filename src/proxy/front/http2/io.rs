//! The connection as hyper reads and writes it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read or written before the worker's other connections get their turn. hyper reads and
/// writes for as long as the socket is ready, so without this a few busy connections would hold up all
/// others. The read turn is shorter because handling many small frames costs more than reading them.
const READ_TURN: usize = 16 * 1024;
const WRITE_TURN: usize = 64 * 1024;

/// A stream whose first bytes were read already and are read again, and that is read and written in turns.
pub(super) struct ClientIo<S> {
    early: Vec<u8>,
    at: usize,
    reading: Turn,
    writing: Turn,
    stream: S,
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

impl<S> ClientIo<S> {
    pub(super) fn new(early: Vec<u8>, stream: S) -> Self {
        ClientIo {
            early,
            at: 0,
            reading: Turn::of(READ_TURN),
            writing: Turn::of(WRITE_TURN),
            stream,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            let rest = &this.early[this.at..];
            let take = rest.len().min(into.remaining());
            into.put_slice(&rest[..take]);
            this.at += take;
            if this.at == this.early.len() {
                this.early = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let stream = Pin::new(&mut this.stream);
        let before = into.filled().len();
        let read = this.reading.poll(cx, |cx| {
            stream
                .poll_read(cx, into)
                .map_ok(|()| into.filled().len() - before)
        });
        read.map_ok(|_| ())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        this.writing.poll(cx, |cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        this.writing.poll(cx, |cx| stream.poll_write_vectored(cx, parts))
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_was_read_early_comes_first() {
        let mut io = ClientIo::new(b"PRI ".to_vec(), &b"* HTTP/2.0"[..]);
        let mut all = String::new();
        io.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "PRI * HTTP/2.0");
    }

    #[tokio::test]
    async fn a_stream_with_endless_bytes_ends_its_turn_and_asks_for_the_next() {
        let mut io = ClientIo::new(Vec::new(), tokio::io::repeat(b'x'));
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
        let mut io = ClientIo::new(Vec::new(), tokio::io::sink());
        let piece = [0; 16 * 1024];
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
