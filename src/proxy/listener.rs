//! Sockets that listen, one for each worker, and the loop that accepts.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::net::UnixListener as StdUnixListener,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{context::Context, front, settings::Listen, stream::Stream};
use crate::client::Peer;

/// Connections that the kernel holds for a worker which can't take them at the moment.
const BACKLOG: i32 = 4096;
/// How long to wait when no connection can be accepted, as when descriptors run out.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How long a listener that is about to close goes on to accept, for handshakes that are under way: a round
/// trip within a data centre. A client that begins in this time waits a second before it is told that the
/// port is closed.
const LAST_ACCEPTS: Duration = Duration::from_millis(10);
/// How often a worker at the limit looks for connections that could make room.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// Drops segments that would open a connection (`SYN`, RFC 9293 §3.1: the second bit of the 14th byte),
/// passes all others.
#[cfg(target_os = "linux")]
const REFUSE_NEW: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),       // load the byte at 13
    SockFilter::new(0x45, 0, 1, 0x02),     // is the bit set?
    SockFilter::new(0x06, 0, 0, 0),        // yes: keep nothing
    SockFilter::new(0x06, 0, 0, u32::MAX), // no: keep all
];

/// A bound socket, not yet part of a runtime.
#[derive(Debug)]
pub enum Listener {
    /// Of TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(StdUnixListener),
}

/// A listener in its worker's runtime.
#[derive(Debug)]
pub(super) struct Accepting {
    socket: AcceptingSocket,
    /// Whether another process has the socket too, which goes on to listen.
    is_shared: bool,
}

#[derive(Debug)]
enum AcceptingSocket {
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
            let (all, _) = share(Listener::Unix(unix(path)?), workers)?;
            Ok((all, Bound::Unix(path.clone())))
        }
    }
}

/// Makes a listener for each worker of one that is bound already. They share its queue in the kernel, in which
/// connections wait for the next process when this one has ended.
///
/// # Errors
/// The operating system's.
pub(super) fn share(passed: Listener, workers: usize) -> io::Result<(Vec<Listener>, Bound)> {
    let bound = passed.bound()?;
    let mut all = Vec::with_capacity(workers);
    for _ in 1..workers {
        all.push(passed.another()?);
    }
    all.push(passed);
    Ok((all, bound))
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
    /// Takes it into the runtime of the current thread. `is_shared` says whether another process has the
    /// socket too, which goes on to listen.
    pub(super) fn into_tokio(self, is_shared: bool) -> io::Result<Accepting> {
        let socket = match self {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                AcceptingSocket::Tcp(TcpListener::from_std(listener)?)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                AcceptingSocket::Unix(UnixListener::from_std(listener)?)
            }
        };
        Ok(Accepting { socket, is_shared })
    }

    /// Where it listens.
    fn bound(&self) -> io::Result<Bound> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Bound::Tcp),
            Listener::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or(Path::new("@"));
                Ok(Bound::Unix(path.to_owned()))
            }
        }
    }

    /// Another descriptor of the same socket.
    fn another(&self) -> io::Result<Listener> {
        match self {
            Listener::Tcp(listener) => listener.try_clone().map(Listener::Tcp),
            Listener::Unix(listener) => listener.try_clone().map(Listener::Unix),
        }
    }
}

impl Accepting {
    /// Lets no new connection into the queue. A client whose first segment is dropped sends it again after a
    /// second, when the listener is closed, and is told so. (A Unix socket's path is gone by now.)
    fn refuse_new(&self) {
        #[cfg(target_os = "linux")]
        if let AcceptingSocket::Tcp(listener) = &self.socket
            && let Err(error) = SockRef::from(listener).attach_filter(&REFUSE_NEW)
        {
            tracing::debug!(%error, "the listener closes without a filter before it");
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            AcceptingSocket::Tcp(l) => {
                let (stream, peer) = l.accept().await?;
                stream.set_nodelay(true)?;
                // A client that vanished without a word must not hold a tunnel for ever.
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_mins(1))
                    .with_interval(Duration::from_secs(15));
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok((Stream::Tcp(stream), Peer::from(peer)))
            }
            AcceptingSocket::Unix(l) => {
                let (stream, _) = l.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Accepts until it is told to close, and starts a task for each connection. Then it takes what is in the
/// kernel's queue before the listener closes: a connection there may have a request on its way, which the
/// close would reset. A socket that another process has too is not closed by this one's end, and its queue is
/// left to the next process.
pub(super) async fn accept(context: Rc<Context>, listener: Accepting, mut close: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            // An error means that the sender is gone, which is the same.
            _ = &mut close => break,
            accepted = listener.accept() => settle(&context, accepted).await,
        }
    }
    if listener.is_shared {
        return;
    }
    listener.refuse_new();
    let last = Instant::now() + LAST_ACCEPTS;
    // The queue is looked at before the time is.
    while let Ok(accepted) = timeout_at(last, listener.accept()).await {
        settle(&context, accepted).await;
    }
}

/// Serves what was accepted, or waits a moment where nothing can be.
async fn settle(context: &Rc<Context>, accepted: io::Result<(Stream, Peer)>) {
    match accepted {
        Ok((stream, peer)) => {
            // Taken behind the accept: a worker that waits for a client holds none that another could use.
            if let Some(permit) = permit(context).await {
                tokio::task::spawn_local(front::serve(Rc::clone(context), stream, peer, permit));
            }
        }
        Err(error) => {
            context.metrics.accept_errors.inc();
            if is_peers_doing(&error) {
                return;
            }
            if let Some(occurrences) = context.throttles.accept() {
                tracing::error!(%error, occurrences, "connections can't be accepted; trying on");
            }
            sleep(BACK_OFF).await;
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

/// A place for a client. At the limit, connections that wait for a request make room; where none does, the
/// client waits, and the rest wait in the kernel's queue.
async fn permit(context: &Context) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(&context.permits).try_acquire_owned() {
        return Some(permit);
    }
    if let Some(occurrences) = context.throttles.full() {
        tracing::warn!(
            occurrences,
            max_connections = context.settings.max_connections,
            "as many clients are connected as may be; those that have waited longest for a request make room"
        );
    }
    loop {
        context.make_room();
        let freed = timeout(FULL_PAUSE, Arc::clone(&context.permits).acquire_owned());
        if let Ok(permit) = freed.await {
            return permit.ok();
        }
    }
}
