//! Plausible's event endpoint: the ways there, and one attempt.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    connection::Connection,
    http2::Share,
    outcome::{Outcome, Trouble},
    request::Target,
    tls,
};
use crate::{
    event::Event,
    timer::{TimedOut, Timer},
};

/// The most of a response's body that is read to keep its connection, in bytes; Plausible's has two.
pub(super) const LONGEST_BODY: usize = 64 * 1_024;
/// How long one of several addresses may take to connect before the next is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Where events go, and the ways there that are open.
pub(super) struct Endpoint {
    target: Target,
    timeout: Duration,
    /// The one connection of HTTP/2, which all senders share.
    shared: RefCell<Option<Share>>,
    /// Held while a TLS connection is made, so that not every sender makes one only to learn that HTTP/2 needs none.
    connecting: tokio::sync::Mutex<()>,
    /// What the last TLS connection spoke; nothing before the first.
    multiplexed: Cell<Option<bool>>,
    /// The address that answered last.
    good: Cell<Option<SocketAddr>>,
    /// Why the last connection could not be made.
    why: RefCell<Option<io::Error>>,
}

/// One sender's way to Plausible.
pub(super) enum Link {
    /// A connection of its own.
    Http1(Connection),
    /// A share in the one connection.
    Http2(Share),
}

/// Why no response came.
#[derive(Debug, Clone, Copy)]
pub(super) enum SendError {
    /// The connection had ended before the request was written: a new one is as good as the first.
    Unsent,
    /// The connection ended, or what came over it was no HTTP.
    Lost,
    /// The time was up.
    TimedOut,
}

impl Endpoint {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Endpoint {
            target,
            timeout,
            shared: RefCell::new(None),
            connecting: tokio::sync::Mutex::new(()),
            multiplexed: Cell::new(None),
            good: Cell::new(None),
            why: RefCell::new(None),
        }
    }

    /// Whether one connection carries all requests at once.
    pub(super) fn multiplexed(&self) -> bool {
        self.multiplexed.get() == Some(true)
    }

    /// A failure in words, for an operator; it names our configuration and nothing of an event.
    pub(super) fn describe(&self, trouble: Trouble) -> String {
        match (trouble, self.why.borrow().as_ref()) {
            (Trouble::Connect, Some(why)) => format!("{}: {trouble}: {why}", self.target),
            _ => format!("{}: {trouble}", self.target),
        }
    }

    /// Gives up the shared connection, once no sender has use for it or it has failed one.
    pub(super) fn hang_up(&self) {
        self.shared.borrow_mut().take();
    }

    /// Sends one stored event and waits for its outcome, for as long after `begun` as the settings say, connect and body
    /// included. The link stays where another request may follow.
    pub(super) async fn attempt(
        &self,
        link: &mut Option<Link>,
        timer: &mut Timer,
        stored: &[u8],
        begun: Instant,
    ) -> Outcome {
        // A panic over one event's bytes is that event's end, and nobody else's.
        let Ok(Some(event)) = catch_unwind(AssertUnwindSafe(|| Event::decode(stored))) else {
            return Outcome::Unreadable;
        };
        let deadline = begun + self.timeout;
        loop {
            let reused = match link {
                Some(Link::Http1(connection)) => connection.is_open().await,
                Some(Link::Http2(share)) => share.is_open(),
                None => false,
            };
            if !reused {
                *link = None;
                match timer.within(deadline, self.connect()).await {
                    Ok(Ok(fresh)) => *link = Some(fresh),
                    Ok(Err(error)) => {
                        self.why.replace(Some(error));
                        return Outcome::Retry(Trouble::Connect, None);
                    }
                    Err(TimedOut) => return Outcome::Retry(Trouble::Timeout, None),
                }
            }
            let sent = match link {
                Some(Link::Http1(connection)) => {
                    connection.exchange(&self.target, &event, timer, deadline).await
                }
                Some(Link::Http2(share)) => share.exchange(&self.target, &event, timer, deadline).await,
                None => Err(SendError::Unsent),
            };
            let error = match sent {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            // A link that failed is not used again, and neither is the connection that it shares.
            if let Some(Link::Http2(_)) = link.take() {
                self.hang_up();
            }
            match error {
                SendError::Unsent if reused => {}
                SendError::Unsent | SendError::Lost => return Outcome::Retry(Trouble::Broken, None),
                SendError::TimedOut => return Outcome::Retry(Trouble::Timeout, None),
            }
        }
    }

    async fn connect(&self) -> io::Result<Link> {
        let Some((config, name)) = &self.target.tls else {
            return Ok(Link::Http1(Connection::new(self.connect_tcp().await?)));
        };
        let _one_at_a_time = match self.multiplexed.get() {
            Some(false) => None,
            Some(true) | None => Some(self.connecting.lock().await),
        };
        if let Some(open) = self.shared.borrow().as_ref().filter(|share| share.is_open()) {
            return Ok(Link::Http2(open.clone()));
        }
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name.clone(), self.connect_tcp().await?).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
        self.multiplexed.set(Some(http2));
        if !http2 {
            return Ok(Link::Http1(Connection::new(stream)));
        }
        let share = Share::open(stream).await?;
        self.shared.replace(Some(share.clone()));
        Ok(Link::Http2(share))
    }

    /// Connects to the first address that answers, beginning with the one that did so last.
    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let name = (self.target.host.as_str(), self.target.port);
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host(name).await?.collect();
        if let Some(good) = self.good.get() {
            addresses.sort_by_key(|address| *address != good);
        }
        let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    self.good.set(Some(address));
                    return Ok(stream);
                }
                Ok(Err(failed)) => error = failed,
                Err(elapsed) => error = elapsed.into(),
            }
        }
        Err(error)
    }
}
