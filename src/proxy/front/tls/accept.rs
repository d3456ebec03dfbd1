//! The handshake.
//!
//! It is CPU work of the worker: about 100 µs each with ECDSA, a millisecond with RSA-2048. A thousand
//! clients that begin at once would hold up every other connection of the worker for as long as all of that
//! takes. So a worker's handshakes share [`Turns`]: between two looks at all of its other connections, only a
//! few of them do a step. Measured with 1,000 at once, on a machine that was busy besides: other connections
//! were answered within 10 ms, without turns within 250.

use std::{
    future::poll_fn,
    io::{self, Read},
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{AlertDescription, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::{sync::Semaphore, task};

use super::stream::{TlsStream, send};
use crate::proxy::stream::Stream;

/// Handshake steps of a worker between two looks at its other connections. With ECDSA they take half a
/// millisecond; more would make others wait longer, and fewer would starve handshakes on a worker that is
/// busy with requests.
const STEPS: usize = 4;

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum AcceptError {
    /// The client speaks HTTP, or another protocol of text, in plain. It can be answered in plain; what it
    /// sent so far is read and gone.
    #[error("plain text instead of TLS")]
    PlainHttp(Stream),
    /// The client closed before the handshake was over. Port scanners, load balancers' checks and browsers
    /// that prepare a connection do so all day.
    #[error("the client closed during the handshake")]
    Closed,
    /// The socket failed during the handshake, as when the client reset it.
    #[error("the connection failed during the handshake")]
    Io(#[source] io::Error),
    /// The client ended the handshake with an alert: it does not trust the certificate, or finds no common
    /// version.
    #[error("the client refused the handshake: {0:?}")]
    Refused(AlertDescription),
    /// `client_ca` is set and the client showed no certificate. It was sent an alert; read on for a moment,
    /// so that a reset does not overtake it.
    #[error("the client showed no certificate")]
    NoCertificate(Stream),
    /// The client's side of the handshake can't be accepted. It was sent an alert; read on for a moment, so
    /// that a reset does not overtake it.
    #[error("the handshake failed")]
    Handshake {
        /// Why.
        source: rustls::Error,
        /// For reading on.
        stream: Stream,
    },
}

/// A worker's handshakes in turn: see the module's description.
#[derive(Debug)]
pub(in crate::proxy) struct Turns(Semaphore);

impl Turns {
    pub(in crate::proxy) fn new() -> Self {
        Turns(Semaphore::new(STEPS))
    }

    /// Does a piece of work when it is this connection's turn. The turn lasts until the runtime has looked at
    /// its sockets and everybody else who is ready has run.
    pub(super) async fn step<T>(&self, work: impl FnOnce() -> T) -> T {
        // The semaphore is never closed; without a permit the work would be done out of turn.
        let _turn = self.0.acquire().await;
        let done = work();
        task::yield_now().await;
        done
    }
}

/// Does the server's side of the handshake. `already` is what was read from the client before, as behind a
/// PROXY protocol header. The caller bounds the time.
///
/// A client that sends its handshake in drips makes us hold no more than rustls' limit, 64 KiB. The session
/// tickets of TLS 1.3 are left for the first response to take along.
///
/// # Errors
/// [`AcceptError`]
pub(in crate::proxy) async fn accept(
    mut stream: Stream,
    mut already: &[u8],
    config: Arc<ServerConfig>,
    turns: &Turns,
) -> Result<TlsStream, AcceptError> {
    let mut tls = match ServerConnection::new(config) {
        Ok(tls) => Box::new(tls),
        Err(source) => return Err(AcceptError::Handshake { source, stream }),
    };
    let mut first = already.first().copied();
    while tls.is_handshaking() {
        let received = if already.is_empty() {
            poll_fn(|cx| poll_receive(&mut stream, &mut tls, &mut first, cx)).await
        } else {
            tls.read_tls(&mut already)
        };
        // A record of a handshake begins with 0x16.
        if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Err(AcceptError::PlainHttp(stream));
        }
        if received.map_err(of_socket)? == 0 {
            return Err(AcceptError::Closed);
        }
        if let Err(source) = turns.step(|| tls.process_new_packets()).await {
            // The alert is a last word: nobody waits until there is room for it.
            let _ = send(&stream, &mut tls);
            return Err(of_handshake(source, stream));
        }
        // In TLS 1.3 the client's flight is the last. What rustls has to send after it can wait for a
        // response.
        if tls.is_handshaking() || tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            poll_fn(|cx| poll_send(&stream, &mut tls, cx))
                .await
                .map_err(of_socket)?;
        }
    }
    Ok(TlsStream::new(stream, tls))
}

fn poll_receive(
    stream: &mut Stream,
    tls: &mut ServerConnection,
    first: &mut Option<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    match tls.read_tls(&mut Source { stream, first, cx }) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        other => Poll::Ready(other),
    }
}

fn poll_send(stream: &Stream, tls: &mut ServerConnection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !send(stream, tls)? {
        ready!(stream.poll_write_ready(cx))?;
    }
    Poll::Ready(Ok(()))
}

fn of_socket(error: io::Error) -> AcceptError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected => AcceptError::Closed,
        _ => AcceptError::Io(error),
    }
}

fn of_handshake(source: rustls::Error, stream: Stream) -> AcceptError {
    use AlertDescription::{CloseNotify, UserCanceled};
    match source {
        rustls::Error::AlertReceived(CloseNotify | UserCanceled) => AcceptError::Closed,
        rustls::Error::AlertReceived(alert) => AcceptError::Refused(alert),
        rustls::Error::NoCertificatesPresented => AcceptError::NoCertificate(stream),
        source => AcceptError::Handshake { source, stream },
    }
}

/// A socket as rustls reads from it. Keeps the first byte of all.
struct Source<'s, 'c, 'w> {
    stream: &'s mut Stream,
    first: &'s mut Option<u8>,
    cx: &'c mut Context<'w>,
}

impl Read for Source<'_, '_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Poll::Ready(read) = self.stream.poll_read(self.cx, into) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let read = read?;
        if read > 0 {
            self.first.get_or_insert(into[0]);
        }
        Ok(read)
    }
}
