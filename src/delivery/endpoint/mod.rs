//! Plausible's event endpoint: the connections to it, and one attempt to deliver an event.

mod connect;
mod exchange;
mod fetch;
mod http1;
mod http2;
mod request;
mod tls;
mod tunnel;

use std::{
    cell::{Cell, RefCell},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use self::{
    connect::TcpConnector, exchange::SendError, http1::Http1Connection, http2::Http2Connection,
    tunnel::TunnelError,
};
use super::outcome::{Outcome, RetryReason};
use crate::{
    event::Event,
    timer::{TimedOut, Timer},
};

pub(super) use request::Destination;
pub(super) use tls::client_config;

pub use fetch::{FetchError, Fetched, Fetcher};
pub use request::AddressError;
pub use tls::TlsError;

#[cfg(test)]
pub(super) use tls::H2;

/// Where events go, and what all senders share of the way there.
pub(super) struct Endpoint {
    destination: Destination,
    tcp: TcpConnector,
    timeout: Duration,
    /// The one HTTP/2 connection, which all senders share.
    http2: RefCell<Option<Http2Connection>>,
    /// Locked while a TLS connection is made. Otherwise every sender would make one, only to learn that
    /// HTTP/2 needs no second one.
    connecting: tokio::sync::Mutex<()>,
    /// What the last TLS connection spoke; `None` before the first.
    protocol: Cell<Option<Protocol>>,
    /// Why the last attempt to connect failed.
    connect_error: RefCell<Option<io::Error>>,
}

/// What ALPN chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// One sender's connection to Plausible.
pub(super) enum Link {
    /// A connection of its own.
    Http1(Http1Connection),
    /// The shared connection.
    Http2(Http2Connection),
}

impl Endpoint {
    pub(super) fn new(destination: Destination, timeout: Duration) -> Self {
        Endpoint {
            tcp: TcpConnector::new(&destination.connect_to),
            destination,
            timeout,
            http2: RefCell::new(None),
            connecting: tokio::sync::Mutex::new(()),
            protocol: Cell::new(None),
            connect_error: RefCell::new(None),
        }
    }

    /// Whether one connection carries all requests at once.
    pub(super) fn multiplexed(&self) -> bool {
        self.protocol.get() == Some(Protocol::Http2)
    }

    /// Describes a failure to an operator. The text names our configuration and no part of an event.
    pub(super) fn describe(&self, reason: RetryReason) -> String {
        let destination = &self.destination;
        match (reason, self.connect_error.borrow().as_ref(), &destination.proxy) {
            (RetryReason::Connect, Some(error), _) => format!("{destination}: {reason}: {error}"),
            (RetryReason::Misconfigured(407), _, Some(proxy)) => {
                let why = TunnelError::unauthorized(proxy.authorization.is_some());
                format!("{destination}: {why}")
            }
            _ => format!("{destination}: {reason}"),
        }
    }

    /// Whether an attempt failed for this reason because the proxy opened no tunnel.
    pub(super) fn is_refused_by_proxy(&self, reason: RetryReason) -> bool {
        let error = self.connect_error.borrow();
        let source = error.as_ref().and_then(io::Error::get_ref);
        reason == RetryReason::Connect
            && source.is_some_and(<dyn std::error::Error + Send + Sync>::is::<TunnelError>)
    }

    /// Closes the shared connection, once no sender uses it or a request on it has failed.
    pub(super) fn close_shared(&self) {
        self.http2.borrow_mut().take();
    }

    /// Sends one stored event and waits for its outcome. `timeout` runs from `begun` and covers connecting
    /// and the response's body. `link` keeps the connection if another request may follow on it.
    pub(super) async fn attempt(
        &self,
        link: &mut Option<Link>,
        timer: &mut Timer,
        stored: &[u8],
        begun: Instant,
    ) -> Outcome {
        // A panic over the bytes of one event ends that event and no other.
        let Ok(Some(event)) = catch_unwind(AssertUnwindSafe(|| Event::decode(stored))) else {
            return Outcome::Unreadable;
        };
        let deadline = begun + self.timeout;
        loop {
            let reused = match link {
                Some(Link::Http1(connection)) => connection.is_open().await,
                Some(Link::Http2(connection)) => connection.is_open(),
                None => false,
            };
            if !reused {
                *link = None;
                match timer.within(deadline, self.connect(deadline)).await {
                    Ok(Ok(fresh)) => *link = Some(fresh),
                    Ok(Err(error)) => {
                        self.connect_error.replace(Some(error));
                        return Outcome::Retry(RetryReason::Connect, None);
                    }
                    // No event can be the cause.
                    Err(TimedOut) => {
                        let error = io::Error::new(io::ErrorKind::TimedOut, "none was made in time");
                        self.connect_error.replace(Some(error));
                        return Outcome::Retry(RetryReason::Connect, None);
                    }
                }
            }
            let destination = &self.destination;
            let sent = match link {
                Some(Link::Http1(connection)) => {
                    connection.exchange(destination, &event, timer, deadline).await
                }
                Some(Link::Http2(connection)) => {
                    connection.exchange(destination, &event, timer, deadline).await
                }
                None => Err(SendError::Unsent),
            };
            let error = match sent {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            // A connection on which a request failed is not used again, by this sender or by others.
            if let Some(Link::Http2(_)) = link.take() {
                self.close_shared();
            }
            match error {
                SendError::Unsent if reused => {}
                SendError::Unsent | SendError::Lost => return Outcome::Retry(RetryReason::Broken, None),
                SendError::TimedOut => return Outcome::Retry(RetryReason::Timeout, None),
            }
        }
    }

    /// A TCP connection on which TLS with Plausible can begin.
    async fn reach_host(&self, deadline: Instant) -> io::Result<TcpStream> {
        let stream = self.reach(deadline).await?;
        match &self.destination.tunnel {
            Some(tunnel) => tunnel.open(stream).await.map_err(io::Error::other),
            None => Ok(stream),
        }
    }

    async fn reach(&self, deadline: Instant) -> io::Result<TcpStream> {
        self.tcp.connect(deadline).await.map_err(io::Error::other)
    }

    async fn connect(&self, deadline: Instant) -> io::Result<Link> {
        let Some((config, name)) = &self.destination.tls else {
            return Ok(Link::Http1(Http1Connection::new(self.reach(deadline).await?)));
        };
        let _one_at_a_time = match self.protocol.get() {
            Some(Protocol::Http1) => None,
            Some(Protocol::Http2) | None => Some(self.connecting.lock().await),
        };
        if let Some(open) = self.http2.borrow().as_ref().filter(|shared| shared.is_open()) {
            return Ok(Link::Http2(open.clone()));
        }
        let connector = TlsConnector::from(config.clone());
        let stream = connector
            .connect(name.clone(), self.reach_host(deadline).await?)
            .await
            .map_err(tls::handshake_in_words)?;
        if stream.get_ref().1.alpn_protocol() != Some(tls::H2) {
            self.protocol.set(Some(Protocol::Http1));
            return Ok(Link::Http1(Http1Connection::new(stream)));
        }
        self.protocol.set(Some(Protocol::Http2));
        let connection = Http2Connection::open(stream).await?;
        self.http2.replace(Some(connection.clone()));
        Ok(Link::Http2(connection))
    }
}
