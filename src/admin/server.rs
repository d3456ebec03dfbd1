//! An HTTP/1.1 server for a handful of readers: bounded in connections, heads and lifetimes, ended gracefully.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::Body;

/// More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 100;
/// For a head to arrive, and of an idle kept-alive connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection is ended after this long, so that readers that stall free their place; browsers and scrapers
/// connect again by themselves.
const LIFETIME: Duration = Duration::from_mins(5);
/// What an answer under way gets at an end.
const GRACE: Duration = Duration::from_secs(1);
/// After a failed accept: descriptors have run out, and trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a handler knows of the connection.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Who asks.
    pub(crate) peer: IpAddr,
    closing: watch::Receiver<bool>,
}

impl Connection {
    /// Ends when the server stops: a stream must end then too.
    pub(crate) async fn closing(&mut self) {
        // An error means that the server itself is gone, which is an end as well.
        let _ = self.closing.wait_for(|closing| *closing).await;
    }
}

/// Serves until `shutdown` ends. Handlers never fail: trouble is an answer.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H, shutdown: impl Future<Output = ()>)
where
    H: Fn(Request<Incoming>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (close, closing) = watch::channel(false);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);

    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let connection = Connection { peer: peer.ip().to_canonical(), closing: closing.clone() };
                    let handler = handler.clone();
                    connections.spawn(async move {
                        let _place = place;
                        run(stream, handler, connection).await;
                    });
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    drop(listener);
    close.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Those that are left after twice the grace are dropped with the set.
    let _ = timeout(2 * GRACE, ended).await;
}

/// One connection, from its first byte to its end.
async fn run<H, F>(stream: TcpStream, handler: H, mut connection: Connection)
where
    H: Fn(Request<Incoming>, Connection) -> F,
    F: Future<Output = Response<Body>>,
{
    let known = connection.clone();
    let service = service_fn(|request| {
        let answer = handler(request, known.clone());
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // An error is a reader that went away or spoke no HTTP: hyper has answered it where that was possible.
        _ = served.as_mut() => return,
        () = connection.closing() => {}
        () = sleep(LIFETIME) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, served).await;
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(ACCEPT_PAUSE).await;
}
