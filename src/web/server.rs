//! An HTTP/1.1 server for short requests: it bounds connections, heads and lifetimes, and drains gracefully.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::telemetry::LogThrottle;

use super::{
    connections::{ConnectionGuard, Connections},
    response::ResponseBody,
};

/// What a server grants its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections beyond this close the one that has been idle longest.
    pub(crate) connections: usize,
    /// How long a request's head may take to arrive, and how long a kept-alive connection may be idle.
    pub(crate) header_timeout: Duration,
    /// The longest request head, in bytes; 431 beyond.
    pub(crate) head_bytes: usize,
}

impl Limits {
    /// For a handful of readers.
    pub(crate) const FEW: Limits = Limits {
        connections: 100,
        header_timeout: Duration::from_secs(10),
        head_bytes: 64 << 10,
    };
}

/// A connection is closed after this long, so that stalled readers free their place. Browsers and scrapers
/// reconnect by themselves.
const MAX_LIFETIME: Duration = Duration::from_mins(5);
/// How long a response in progress may take once the server stops.
const GRACE: Duration = Duration::from_secs(1);
/// The pause after a failed accept, and between looks for an idle connection. When descriptors have run out,
/// trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// At most one line about failed accepts in this time.
const ACCEPT_LOG_SPAN: Duration = Duration::from_secs(10);

/// What a handler knows about the connection of its request.
#[derive(Clone)]
pub(crate) struct ConnectionInfo {
    /// The client's address.
    pub(crate) peer: IpAddr,
    closing: watch::Receiver<bool>,
}

impl ConnectionInfo {
    /// Waits until the server stops. A stream must end then too.
    pub(crate) async fn closing(&mut self) {
        // An error means that the server is gone, which is the same.
        let _ = self.closing.wait_for(|closing| *closing).await;
    }
}

/// A handler of whatever type: what hyper does for a connection is compiled once for all servers.
type Handler = Arc<dyn Fn(Request<Incoming>, ConnectionInfo) -> Responding + Send + Sync>;
type Responding = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

/// Serves until `shutdown` is ready. Handlers don't fail: an error is a response.
pub(crate) async fn serve<H, F>(
    listener: TcpListener,
    limits: Limits,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    H: Fn(Request<Incoming>, ConnectionInfo) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let handler: Handler = Arc::new(move |request, info| Box::pin(handler(request, info)));
    let (close, closing) = watch::channel(false);
    let connections = Connections::default();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut accept_log = LogThrottle::new(1, ACCEPT_LOG_SPAN);

    loop {
        let is_full = connections.len() >= limits.connections && !connections.evict_idle();
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = tasks.join_next() => {}
            // All are busy: look again soon.
            () = sleep(ACCEPT_PAUSE), if is_full => {}
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, peer)) => {
                    let info = ConnectionInfo { peer: canonical(peer), closing: closing.clone() };
                    let guard = connections.open();
                    tasks.spawn(serve_connection(stream, limits, Arc::clone(&handler), info, guard));
                }
                Err(error) => {
                    if let Some(times) = accept_log.pass(Instant::now(), 1) {
                        tracing::warn!(%error, times, "a connection could not be accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    drop(listener);
    close.send_replace(true);
    let drained = async { while tasks.join_next().await.is_some() {} };
    // Connections that are still open after this are dropped with the set.
    let _ = timeout(2 * GRACE, drained).await;
}

/// Serves one connection until it closes.
async fn serve_connection(
    stream: TcpStream,
    limits: Limits,
    handler: Handler,
    mut info: ConnectionInfo,
    guard: ConnectionGuard,
) {
    let shared = info.clone();
    let service = service_fn(|request| {
        let busy = guard.busy();
        let response = handler(request, shared.clone());
        async {
            let mut response = response.await;
            response.body_mut().hold(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.head_bytes)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // An error is a client that left or did not speak HTTP. hyper has answered it if that was possible.
        _ = connection.as_mut() => return,
        () = guard.evicted() => return,
        () = info.closing() => {}
        () = sleep(MAX_LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

/// The peer's address; an IPv4-mapped IPv6 address is that IPv4 address.
fn canonical(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}
