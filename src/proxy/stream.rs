//! A TCP or Unix socket, and the bytes that wait for it.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Something that takes bytes without waiting.
pub(super) trait TryWrite {
    /// Takes as many bytes of `parts`, in their order, as it has room for.
    ///
    /// # Errors
    /// `WouldBlock` where it takes none at the moment; else the socket's.
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Stream {
    /// Reads what is there into `into`; 0 is the peer's end. After a short read the reactor knows that
    /// nothing is left, which saves a system call.
    pub(super) fn poll_read(&mut self, cx: &mut TaskContext<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        let read = match self {
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, &mut buf),
            Stream::Unix(s) => Pin::new(s).poll_read(cx, &mut buf),
        };
        read.map_ok(|()| buf.filled().len())
    }

    /// Whether the peer has sent nothing that waits to be read, not even its end. This asks the socket
    /// itself: the runtime learns of bytes only at its next look at all sockets.
    pub(super) fn is_silent(&self) -> bool {
        let socket = match self {
            Stream::Tcp(s) => SockRef::from(s),
            Stream::Unix(s) => SockRef::from(s),
        };
        let peeked = socket.peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ready when a write may take bytes again.
    pub(super) fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(s) => s.poll_write_ready(cx),
            Stream::Unix(s) => s.poll_write_ready(cx),
        }
    }

    /// Whether the peer is known to read no more: it has reset the connection, or closed a Unix socket.
    pub(super) fn is_gone(&self) -> bool {
        let written = match self {
            Stream::Tcp(s) => s.try_write(&[]),
            Stream::Unix(s) => s.try_write(&[]),
        };
        would_block_is_zero(written).is_err()
    }

    /// Waits until the peer resets the connection.
    pub(super) async fn reset(&self) {
        let error = match self {
            Stream::Tcp(s) => s.ready(Interest::ERROR).await,
            Stream::Unix(s) => s.ready(Interest::ERROR).await,
        };
        // A runtime that shuts down watches no sockets.
        drop(error);
    }

    /// Says that nothing more will be written.
    pub(super) async fn shutdown(&mut self) {
        // The peer may be gone already; then there is nobody to tell.
        let _ = match self {
            Stream::Tcp(s) => s.shutdown().await,
            Stream::Unix(s) => s.shutdown().await,
        };
    }
}

impl TryWrite for Stream {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, parts) {
            (Stream::Tcp(s), [one]) => s.try_write(one),
            (Stream::Unix(s), [one]) => s.try_write(one),
            (Stream::Tcp(s), parts) => s.try_write_vectored(parts),
            (Stream::Unix(s), parts) => s.try_write_vectored(parts),
        }
    }
}

/// Small writes are flattened into one `send`, which is cheaper than a `writev` up to about this size, in
/// bytes.
const FLATTEN: usize = 8 * 1024;
/// Slices written by one call at most.
const SLICES: usize = 4;

/// Bytes that a socket has not taken yet. When empty it holds no memory, so an idle connection costs none.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    at: usize,
}

impl Unsent {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Writes `parts` in order, after what is unsent already; keeps what the stream does not take.
    ///
    /// # Errors
    /// The stream's, other than that it is full.
    #[inline]
    pub(super) fn send(&mut self, stream: &mut impl TryWrite, parts: &[&[u8]]) -> io::Result<()> {
        let mut sent = 0;
        if self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slot, part) in slices.iter_mut().zip(parts) {
                *slot = IoSlice::new(part);
            }
            sent = would_block_is_zero(stream.try_write(&slices[..parts.len().min(SLICES)]))?;
        }
        for part in parts {
            let skip = sent.min(part.len());
            sent -= skip;
            self.bytes.extend_from_slice(&part[skip..]);
        }
        Ok(())
    }

    /// Writes what is unsent, as far as the stream takes it.
    ///
    /// # Errors
    /// The stream's, other than that it is full.
    pub(super) fn flush(&mut self, stream: &mut impl TryWrite) -> io::Result<()> {
        while self.at < self.bytes.len() {
            match would_block_is_zero(stream.try_write(&[IoSlice::new(&self.bytes[self.at..])]))? {
                0 => return Ok(()),
                n => self.at += n,
            }
        }
        *self = Unsent::default();
        Ok(())
    }
}

/// Whether a body's piece is worth flattening behind `before` bytes.
pub(super) fn is_small(before: usize, piece: usize) -> bool {
    before + piece <= FLATTEN
}

fn would_block_is_zero(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// For libraries that do the waiting themselves.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, into),
            Stream::Unix(s) => Pin::new(s).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_write(cx, bytes),
            Stream::Unix(s) => Pin::new(s).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_write_vectored(cx, parts),
            Stream::Unix(s) => Pin::new(s).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
