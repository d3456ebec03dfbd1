//! The connection after the handshake: plaintext in and out, without a task of its own.

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{HandshakeKind, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::config::H2;
use crate::proxy::stream::Stream;

/// The most that one write encrypts, in bytes: a body's piece of 64 KiB with its head, twice. It bounds what
/// a client that reads slowly makes us hold.
const WRITE_LIMIT: usize = 128 * 1024;

/// A client's connection over TLS.
///
/// It holds about 7 KiB while it is idle, the 4 KiB that rustls reads into among them.
pub(in crate::proxy) struct TlsStream {
    stream: Stream,
    tls: Box<ServerConnection>,
    /// The socket took less than all of the last write's ciphertext. Bytes that wait without this, such as
    /// session tickets, go with the next write.
    blocked: bool,
}

impl TlsStream {
    pub(super) fn new(stream: Stream, mut tls: Box<ServerConnection>) -> Self {
        tls.set_buffer_limit(Some(WRITE_LIMIT));
        TlsStream {
            stream,
            tls,
            blocked: false,
        }
    }

    /// Reads what is there into `into`: all of what the socket has, up to the size of `into`, in one call of
    /// the system. 0 is the client's `close_notify`: no more comes, and it may still read.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the connection ends without `close_notify`. Somebody else may
    /// have cut it (RFC 8446 §6.1), so a message that ends with the connection is not complete then; between
    /// two requests, and within a message that has a length, it is an end as any other.
    /// [`io::ErrorKind::InvalidData`] where the client breaks the protocol; the alert is sent, and nothing
    /// more can be read.
    pub(in crate::proxy) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.tls.reader().read(into) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
            let received = ready!(self.stream.poll_read(cx, into))?;
            if received == 0 {
                // rustls notes the end, and its reader tells it.
                self.tls.read_tls(&mut io::empty())?;
                continue;
            }
            // Without plaintext it was part of a record, or none that carries data.
            let plaintext = self.decrypt(into, received)?;
            if plaintext > 0 {
                return Poll::Ready(Ok(plaintext));
            }
        }
    }

    /// Whether the client has sent nothing that waits in the socket.
    pub(in crate::proxy) fn is_silent(&self) -> bool {
        self.stream.is_silent()
    }

    /// Decrypts the ciphertext at the start of `buffer` and puts the plaintext in its place, as far as rustls
    /// has taken the ciphertext out. What then does not fit stays with rustls, and is less than one record:
    /// of the plaintext no more came than ciphertext, except for the part of a record that rustls had before.
    fn decrypt(&mut self, buffer: &mut [u8], received: usize) -> io::Result<usize> {
        let (mut taken, mut plaintext) = (0, 0);
        while taken < received {
            let mut rest = &buffer[taken..received];
            if self.tls.read_tls(&mut rest)? == 0 {
                // What comes behind `close_notify` is ignored.
                break;
            }
            taken = received - rest.len();
            self.process()?;
            plaintext += self.take_plaintext(&mut buffer[plaintext..taken])?;
        }
        plaintext += self.take_plaintext(&mut buffer[plaintext..])?;
        Ok(plaintext)
    }

    fn process(&mut self) -> io::Result<()> {
        let waiting = self.tls.wants_write();
        let processed = self.tls.process_new_packets();
        // An alert, or the refusal of a renegotiation, is an answer that the client waits for.
        let answered = !waiting && self.tls.wants_write();
        let sent = if answered || processed.is_err() {
            self.send()
        } else {
            Ok(())
        };
        processed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        sent
    }

    fn take_plaintext(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut reader = self.tls.reader();
        match reader.read(into) {
            // `close_notify` and an end without it are told when there is nothing else to tell.
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::UnexpectedEof) => Ok(0),
            other => other,
        }
    }

    /// Encrypts `parts` and gives the socket what it takes; the rest of the ciphertext is kept, see
    /// [`TlsStream::wants_write`]. The number of plaintext bytes that were encrypted: all of up to 128 KiB.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where the socket has not taken an earlier write's ciphertext yet:
    /// nothing was encrypted. Else the socket's.
    pub(in crate::proxy) fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.blocked {
            self.send()?;
            if self.blocked {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let taken = self.tls.writer().write_vectored(parts)?;
        self.send()?;
        Ok(taken)
    }

    /// Whether ciphertext waits for room in the socket. A response counts as sent when this is false.
    pub(in crate::proxy) fn wants_write(&self) -> bool {
        self.blocked
    }

    /// Gives the socket what it did not take before, as far as it takes it now.
    ///
    /// # Errors
    /// The socket's, other than that it is full.
    pub(in crate::proxy) fn flush(&mut self) -> io::Result<()> {
        self.send()
    }

    /// Ready when the socket has all that was encrypted, session tickets too.
    pub(in crate::proxy) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.send()?;
            if !self.blocked {
                return Poll::Ready(Ok(()));
            }
            ready!(self.stream.poll_write_ready(cx))?;
        }
    }

    /// Ready when the socket may take bytes again.
    pub(in crate::proxy) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
    }

    /// Says that nothing more will be written, by `close_notify` and by TCP's own end. The client may still
    /// write.
    pub(in crate::proxy) async fn shutdown(&mut self) {
        let _ = poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await;
    }

    /// The socket below.
    pub(in crate::proxy) fn socket(&self) -> &Stream {
        &self.stream
    }

    /// Whether HTTP/2 was chosen by ALPN; else it is HTTP/1.1, also for a client without ALPN.
    pub(in crate::proxy) fn is_h2(&self) -> bool {
        self.tls.alpn_protocol() == Some(H2)
    }

    /// The name that the client asked for, in lower case.
    pub(in crate::proxy) fn server_name(&self) -> Option<&str> {
        self.tls.server_name()
    }

    /// Whether the handshake resumed an earlier session.
    pub(in crate::proxy) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the client has shown a certificate, in this session or in the one it resumed. With `client_ca`
    /// each has.
    pub(in crate::proxy) fn has_client_certificate(&self) -> bool {
        self.tls.peer_certificates().is_some()
    }

    /// Gives the socket what rustls has for it, and notes whether it took all.
    fn send(&mut self) -> io::Result<()> {
        self.blocked = !send(&self.stream, &mut self.tls)?;
        Ok(())
    }
}

/// Gives the socket what rustls has for it. Whether it took all.
pub(super) fn send(stream: &Stream, tls: &mut ServerConnection) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut Sink(stream)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// A socket as rustls writes to it.
struct Sink<'s>(&'s Stream);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0 {
            Stream::Tcp(s) => s.try_write(bytes),
            Stream::Unix(s) => s.try_write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match (parts, self.0) {
            // One `send` is cheaper than a `writev` of one part.
            ([one], _) => self.write(one),
            (_, Stream::Tcp(s)) => s.try_write_vectored(parts),
            (_, Stream::Unix(s)) => s.try_write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For hyper's server.
impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.get_mut().poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

/// For hyper's server.
impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match this.try_write(parts) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(this.poll_write_ready(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A second call sends nothing.
        this.tls.send_close_notify();
        // The client may be gone already; then there is nobody to tell.
        if ready!(this.poll_flush(cx)).is_ok() {
            let _ = ready!(match &mut this.stream {
                Stream::Tcp(s) => Pin::new(s).poll_shutdown(cx),
                Stream::Unix(s) => Pin::new(s).poll_shutdown(cx),
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
