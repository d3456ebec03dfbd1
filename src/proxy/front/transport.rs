//! A client's socket, in plain text or over TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::stream::TlsStream;
use crate::proxy::stream::{Stream, TryWrite};

/// See the module.
pub(super) enum Transport {
    Plain(Stream),
    Tls(TlsStream),
}

impl Transport {
    /// Reads what is there into `into`; 0 is the client's end. A client that ends without `close_notify` (RFC
    /// 8446 §6.1) has ended as well: no request ends with its connection.
    #[inline]
    pub(super) fn poll_read(&mut self, cx: &mut TaskContext<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Transport::Plain(stream) => stream.poll_read(cx, into),
            Transport::Tls(stream) => stream.poll_read(cx, into),
        }
    }

    /// Whether the client has sent nothing that waits to be read.
    pub(super) fn is_silent(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.is_silent(),
            Transport::Tls(stream) => stream.is_silent(),
        }
    }

    /// Ready when a write, or a flush, may bring bytes on again.
    pub(super) fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(stream) => stream.poll_write_ready(cx),
            Transport::Tls(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Whether TLS holds ciphertext that the socket has not taken yet.
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(stream) => stream.wants_write(),
        }
    }

    /// Gives the socket what TLS holds, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket's, other than that it is full.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(stream) => stream.flush(),
        }
    }

    /// What carries the bytes in the end.
    pub(super) fn socket(&self) -> &Stream {
        match self {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.socket(),
        }
    }

    /// Says that nothing more will be written.
    pub(super) async fn shutdown(&mut self) {
        match self {
            Transport::Plain(stream) => stream.shutdown().await,
            Transport::Tls(stream) => stream.shutdown().await,
        }
    }
}

impl TryWrite for Transport {
    #[inline]
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.try_write(parts),
            Transport::Tls(stream) => stream.try_write(parts),
        }
    }
}

/// For libraries that do the waiting themselves.
impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => AsyncRead::poll_read(Pin::new(stream), cx, into),
            Transport::Tls(stream) => AsyncRead::poll_read(Pin::new(stream), cx, into),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => AsyncWrite::poll_flush(Pin::new(stream), cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
