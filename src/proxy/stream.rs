//! One connection's bytes, over TCP or a Unix socket.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Reads what is there into `into`; 0 is the peer's end. A short read tells the reactor that nothing is left, which
    /// saves the call that would say so.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        let read = match self {
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, &mut buf),
            Stream::Unix(s) => Pin::new(s).poll_read(cx, &mut buf),
        };
        read.map_ok(|()| buf.filled().len())
    }

    /// Ready when a write may take bytes again.
    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(s) => s.poll_write_ready(cx),
            Stream::Unix(s) => s.poll_write_ready(cx),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.try_write(bytes),
            Stream::Unix(s) => s.try_write(bytes),
        }
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.try_write_vectored(parts),
            Stream::Unix(s) => s.try_write_vectored(parts),
        }
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

/// Small writes are flattened into one `send`, which is cheaper than a `writev` up to about this size, in bytes.
const FLATTEN: usize = 8 * 1024;

/// Bytes that a socket has not taken yet. Empty it holds no memory, so that an idle connection costs none.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    at: usize,
}

impl Unsent {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes `parts` in order, after what is unsent already; keeps what the socket does not take.
    ///
    /// # Errors
    /// The socket's, other than that it is full.
    pub(super) fn send(&mut self, stream: &Stream, parts: &[&[u8]]) -> io::Result<()> {
        let mut sent = 0;
        if self.is_empty() {
            sent = match *parts {
                [one] => self.flush_one(stream, one)?,
                _ => self.write_parts(stream, parts)?,
            };
        }
        for part in parts {
            let skip = sent.min(part.len());
            sent -= skip;
            self.bytes.extend_from_slice(&part[skip..]);
        }
        Ok(())
    }

    fn flush_one(&self, stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
        debug_assert!(self.is_empty(), "order of bytes");
        would_block_is_zero(stream.try_write(bytes))
    }

    fn write_parts(&self, stream: &Stream, parts: &[&[u8]]) -> io::Result<usize> {
        debug_assert!(self.is_empty(), "order of bytes");
        let mut slices = [IoSlice::new(&[]); 4];
        for (slot, part) in slices.iter_mut().zip(parts) {
            *slot = IoSlice::new(part);
        }
        would_block_is_zero(stream.try_write_vectored(&slices[..parts.len().min(4)]))
    }

    /// Writes what is unsent, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket's, other than that it is full.
    pub(super) fn flush(&mut self, stream: &Stream) -> io::Result<()> {
        while self.at < self.bytes.len() {
            match would_block_is_zero(stream.try_write(&self.bytes[self.at..]))? {
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
