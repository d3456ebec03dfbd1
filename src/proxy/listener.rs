//! Sockets that listen, one for each worker, and the loop that accepts.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::net::UnixListener as StdUnixListener,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::{context::Context, front, settings::Listen, stream::Stream};
use crate::{client::Peer, telemetry::LogThrottle};

/// Connections that the kernel holds for a worker which can't take them at the moment.
const BACKLOG: i32 = 4096;
/// How long to wait when no connection can be accepted, as when descriptors run out.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A bound socket, not yet part of a runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(std::net::TcpListener),
    Unix(StdUnixListener),
}

/// A listener in its worker's runtime.
#[derive(Debug)]
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where the listeners are, ports filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(address) => address.fmt(f),
            Bound::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Binds a listener for each worker. Each TCP listener has its own queue in the kernel (`SO_REUSEPORT`), so
/// the workers share nothing. A first bind without that option finds out whether another process has the
/// port.
///
/// # Errors
/// The operating system's, as when the address is in use.
pub(super) fn bind(listen: &Listen, workers: usize) -> io::Result<(Vec<Listener>, Bound)> {
    match listen {
        Listen::Tcp(address) if workers == 1 => {
            let one = tcp(*address, false)?;
            let bound = one.local_addr()?;
            Ok((vec![Listener::Tcp(one)], Bound::Tcp(bound)))
        }
        Listen::Tcp(address) => {
            if address.port() != 0 {
                drop(tcp_socket(*address, false)?);
            }
            let first = tcp(*address, true)?;
            let bound = first.local_addr()?;
            let mut all = vec![Listener::Tcp(first)];
            for _ in 1..workers {
                all.push(Listener::Tcp(tcp(bound, true)?));
            }
            Ok((all, Bound::Tcp(bound)))
        }
        Listen::Unix(path) => {
            let first = unix(path)?;
            let mut all = Vec::with_capacity(workers);
            for _ in 1..workers {
                all.push(Listener::Unix(first.try_clone()?));
            }
            all.push(Listener::Unix(first));
            Ok((all, Bound::Unix(path.clone())))
        }
    }
}

fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn tcp(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = tcp_socket(address, shared)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds a Unix socket. Replaces a socket file that nobody listens on any more.
fn unix(path: &Path) -> io::Result<StdUnixListener> {
    let listener = match StdUnixListener::bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(e);
            }
            fs::remove_file(path)?;
            StdUnixListener::bind(path)?
        }
        other => other?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Listener {
    /// Takes it into the runtime of the current thread.
    pub(super) fn into_tokio(self) -> io::Result<Accepting> {
        match self {
            Listener::Tcp(l) => TcpListener::from_std(l).map(Accepting::Tcp),
            Listener::Unix(l) => UnixListener::from_std(l).map(Accepting::Unix),
        }
    }
}

impl Accepting {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Accepting::Tcp(l) => {
                let (stream, peer) = l.accept().await?;
                stream.set_nodelay(true)?;
                // A client that vanished without a word must not hold a tunnel for ever.
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_mins(1))
                    .with_interval(Duration::from_secs(15));
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok((Stream::Tcp(stream), Peer::from(peer)))
            }
            Accepting::Unix(l) => {
                let (stream, _) = l.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Accepts for as long as the worker runs, and starts a task for each connection. At `max_connections` it
/// waits, and new connections wait in the kernel's queue.
pub(super) async fn accept(context: Rc<Context>, listener: Accepting) {
    let mut throttle = LogThrottle::new(1, Duration::from_mins(1));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Taken after the accept: a worker that waits for clients holds no permit that another could
                // use.
                let Some(permit) = permit(&context.permits).await else {
                    return;
                };
                tokio::task::spawn_local(front::serve(Rc::clone(&context), stream, peer, permit));
            }
            Err(error) => {
                context.metrics.accept_errors.inc();
                if is_peers_doing(&error) {
                    continue;
                }
                if let Some(occurrences) = throttle.pass(Instant::now(), 1) {
                    tracing::error!(%error, occurrences, "connections can't be accepted; trying on");
                }
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// The peer was gone before it was accepted: nothing to wait for.
fn is_peers_doing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::InvalidInput
    )
}

async fn permit(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(permits).acquire_owned().await.ok()
}
