//! Plausible's event endpoint: its connections and the request.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    outcome::{Outcome, Trouble, judge},
    request::Target,
    tls,
};

/// The most of a response's body that is read to keep its connection; Plausible's has two bytes.
const LONGEST_BODY: u64 = 64 * 1_024;
/// The most of a response's head that is read, in bytes.
const LONGEST_HEAD: usize = 16 * 1_024;
/// What all responses of one HTTP/2 connection may have under way.
const WINDOW: u32 = 1 << 20;
/// How long one of several addresses may take to connect before the next is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Where events go, and the ways there that are open.
pub(super) struct Endpoint {
    target: Target,
    timeout: Duration,
    /// The one connection of HTTP/2, which all senders share.
    shared: RefCell<Option<http2::SendRequest<Full<Bytes>>>>,
    /// Held while a TLS connection is made, so that not every sender makes one only to learn that HTTP/2 needs none.
    connecting: tokio::sync::Mutex<()>,
    /// What the last TLS connection spoke; nothing before the first.
    multiplexed: Cell<Option<bool>>,
    /// The address that answered last.
    good: Cell<Option<SocketAddr>>,
    /// Why the last connection could not be made.
    why: RefCell<Option<io::Error>>,
}

/// A connection, or a share in one.
#[derive(Debug)]
pub(super) enum Link {
    /// A connection of its own.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// A share in the one connection.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Why no response came.
enum SendError {
    /// The connection had ended before the request was written: a new one is as good as the first.
    Unsent,
    Lost,
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

    /// Sends one stored event and waits for its outcome, for as long as the settings say, connect and body included. The
    /// link stays where another request may follow.
    pub(super) async fn attempt(&self, link: &mut Option<Link>, stored: &Bytes) -> Outcome {
        let deadline = Instant::now() + self.timeout;
        let response = match timeout_at(deadline, self.exchange(link, stored)).await {
            Ok(Ok(response)) => response,
            Ok(Err(Outcome::Unreadable)) => return Outcome::Unreadable,
            Ok(Err(outcome)) => {
                self.drop_link(link);
                return outcome;
            }
            Err(_) => {
                self.drop_link(link);
                return Outcome::Retry(Trouble::Timeout, None);
            }
        };
        // The head tells all. Whatever becomes of the body, the event is not sent again for it.
        let outcome = judge(response.status(), response.headers(), SystemTime::now());
        let drained = timeout_at(deadline, drained(response.into_body())).await;
        if !drained.unwrap_or(false) {
            *link = None;
        }
        outcome
    }

    /// Sends the request, over a new connection if there is none, and waits for the response's head.
    async fn exchange(&self, link: &mut Option<Link>, stored: &Bytes) -> Result<Response<Incoming>, Outcome> {
        loop {
            let reused = link.as_ref().is_some_and(Link::is_open);
            let open = if reused { link.take() } else { None };
            let open = match open {
                Some(open) => open,
                None => self.connect().await.map_err(|error| {
                    self.why.replace(Some(error));
                    Outcome::Retry(Trouble::Connect, None)
                })?,
            };
            let open = link.insert(open);
            // A panic over one event's bytes is that event's end, and nobody else's.
            let request = catch_unwind(AssertUnwindSafe(|| self.target.request(open.is_http2(), stored)));
            let Ok(Some(request)) = request else {
                return Err(Outcome::Unreadable);
            };
            match open.send(request).await {
                Ok(response) => return Ok(response),
                Err(SendError::Unsent) if reused => self.drop_link(link),
                Err(_) => return Err(Outcome::Retry(Trouble::Broken, None)),
            }
        }
    }

    async fn connect(&self) -> io::Result<Link> {
        let Some((config, name)) = &self.target.tls else {
            return Ok(Link::Http1(http1_over(self.connect_tcp().await?).await?));
        };
        let _one_at_a_time = match self.multiplexed.get() {
            Some(false) => None,
            Some(true) | None => Some(self.connecting.lock().await),
        };
        if let Some(open) = self.shared.borrow().as_ref().filter(|link| !link.is_closed()) {
            return Ok(Link::Http2(open.clone()));
        }
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name.clone(), self.connect_tcp().await?).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
        self.multiplexed.set(Some(http2));
        if !http2 {
            return Ok(Link::Http1(http1_over(stream).await?));
        }
        let (link, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(LONGEST_BODY as u32)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        spawn_local(async move {
            // Its end shows at the link.
            let _ = connection.await;
        });
        *self.shared.borrow_mut() = Some(link.clone());
        Ok(Link::Http2(link))
    }

    /// Connects to the first address that answers, beginning with the one that did so last.
    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let mut addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((self.target.host.as_str(), self.target.port))
                .await?
                .collect();
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

    /// A link that failed is not used again, and neither is the connection that it shares.
    fn drop_link(&self, link: &mut Option<Link>) {
        if let Some(Link::Http2(_)) = link.take() {
            self.hang_up();
        }
    }
}

impl Link {
    fn is_open(&self) -> bool {
        match self {
            Link::Http1(link) => !link.is_closed(),
            Link::Http2(link) => !link.is_closed(),
        }
    }

    fn is_http2(&self) -> bool {
        matches!(self, Link::Http2(_))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SendError> {
        let sent = match self {
            Link::Http1(link) => {
                link.ready().await.map_err(|_| SendError::Unsent)?;
                link.try_send_request(request).await
            }
            Link::Http2(link) => {
                link.ready().await.map_err(|_| SendError::Unsent)?;
                link.try_send_request(request).await
            }
        };
        sent.map_err(|error| match error.message() {
            Some(_) => SendError::Unsent,
            None => SendError::Lost,
        })
    }
}

async fn http1_over<S>(stream: S) -> io::Result<http1::SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (link, connection) = http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    spawn_local(async move {
        // Its end shows at the link.
        let _ = connection.await;
    });
    Ok(link)
}

/// Reads a body to its end; false if it is too long or breaks off, and its connection cannot be used again.
async fn drained(mut body: Incoming) -> bool {
    let mut read = 0;
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return false,
            None => return true,
        }
        if read > LONGEST_BODY {
            return false;
        }
    }
    true
}

/// Runs HTTP/2's own tasks on the delivery thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
