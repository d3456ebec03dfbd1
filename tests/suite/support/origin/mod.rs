//! Apps with manners, good and bad: each answers by a script, over raw sockets, and keeps what it was asked.
//!
//! A manner is a function of one [`Visit`]; those that several tests need stand in `manners` by the name of
//! what they do wrong. A panic in one is raised again when the origin goes.

mod manners;
mod playground;

pub(crate) use manners::{
    answers_before_the_body, closes_idle_connections, closes_on_the_second_request, echoes, never_answers,
    on_command, pages, says, says_and_stays, upgrades_and_echoes,
};
pub(crate) use playground::{file_sum, playground};

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    message::{Framing, Head, latin},
    wire::{Body, Fault, Socket, Wire},
};

/// One request as the app saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The connection it came on, numbered from 0.
    pub(crate) connection: usize,
    /// Its head, byte for byte.
    pub(crate) head: Head,
    /// Its body, decoded, where the manner read it.
    pub(crate) body: Vec<u8>,
    /// The fields behind a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
    /// Why the head or the body could not be read to its end.
    pub(crate) fault: Option<Fault>,
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request is read.
    Keep,
    /// It is closed in order.
    Close,
    /// It is reset.
    Reset,
}

/// One request, about to be answered.
pub(crate) struct Visit<'a> {
    /// The request's head.
    pub(crate) head: Head,
    /// The request's number on its connection, from 0.
    pub(crate) nth: usize,
    wire: &'a mut Wire,
    record: Record,
    body_read: bool,
}

impl Visit<'_> {
    /// Reads the request's body to its end and keeps it in the record.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        if self.body_read {
            return self.record.with(|seen| seen.body.clone());
        }
        self.body_read = true;
        let body = match self.head.framing() {
            Ok(framing) => self.wire.body(framing),
            Err(reason) => Body {
                fault: Some(Fault::Malformed(reason)),
                ..Body::default()
            },
        };
        let bytes = body.bytes.clone();
        self.record.with(|seen| {
            seen.body = body.bytes;
            seen.trailers = body.trailers;
            seen.fault = seen.fault.take().or(body.fault);
        });
        bytes
    }

    /// Reads a body of known length and keeps none of it; gives its length.
    pub(crate) fn discard_body(&mut self) -> io::Result<u64> {
        self.body_read = true;
        match self.head.framing() {
            Ok(Framing::Length(length)) => self.wire.discard(length).map(|()| length),
            other => panic!("a body of known length was expected: {other:?}"),
        }
    }

    /// The fields behind the body, once it was read.
    pub(crate) fn trailers(&self) -> Vec<(String, String)> {
        self.record.with(|seen| seen.trailers.clone())
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes.as_ref())
    }

    /// Reads just so many bytes of what comes next on the connection.
    pub(crate) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.wire.exactly(length)
    }

    /// A 200 with a length, keep-alive.
    pub(crate) fn answer(&mut self, kind: &str, body: &[u8]) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut out = head.into_bytes();
        if self.head.method() != "HEAD" {
            out.extend_from_slice(body);
        }
        self.send(out)
    }

    /// Reads what comes next on the connection, at least a byte; empty at its end.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        self.wire.some()
    }

    /// Waits until the peer closes.
    pub(crate) fn until_left(&mut self) -> io::Result<()> {
        self.wire.patience(Duration::from_mins(5));
        self.wire.until_end().map(drop)
    }
}

/// A place in the list of what was seen.
#[derive(Clone)]
struct Record {
    seen: Arc<Mutex<Vec<Seen>>>,
    index: usize,
}

impl Record {
    fn with<T>(&self, f: impl FnOnce(&mut Seen) -> T) -> T {
        f(&mut lock(&self.seen)[self.index])
    }
}

/// A running app.
pub(crate) struct Origin {
    place: Place,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// Where an app listens.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A TCP port of loopback.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: AtomicUsize,
    open: Mutex<Vec<Socket>>,
    serving: Mutex<Vec<JoinHandle<()>>>,
    stopping: AtomicBool,
    /// Set where nobody will ask what was seen: a load of a million is not kept.
    forgetful: AtomicBool,
    manner: Box<Manner>,
    greeting: Then,
}

type Manner = dyn Fn(&mut Visit) -> io::Result<Then> + Send + Sync;

impl Origin {
    /// An app on a port of its own.
    pub(crate) fn start(manner: impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync + 'static) -> Origin {
        Origin::tcp(Shared::new(manner, Then::Keep))
    }

    /// An app on a Unix socket.
    pub(crate) fn on_unix(
        path: &Path,
        manner: impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Origin {
        let listener = UnixListener::bind(path).expect("bind a Unix socket");
        let accept = move || listener.accept().map(|(stream, _)| Socket::Unix(stream));
        Origin::serve(
            Place::Unix(path.to_owned()),
            Shared::new(manner, Then::Keep),
            accept,
        )
    }

    /// Accepts each connection and resets it at once.
    pub(crate) fn resets_at_accept() -> Origin {
        Origin::tcp(Shared::new(|_| Ok(Then::Reset), Then::Reset))
    }

    fn tcp(shared: Shared) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("the bound address");
        let accept = move || listener.accept().map(|(stream, _)| Socket::Tcp(stream));
        Origin::serve(Place::Tcp(address), shared, accept)
    }

    fn serve(
        place: Place,
        shared: Shared,
        accept: impl Fn() -> io::Result<Socket> + Send + 'static,
    ) -> Origin {
        let shared = Arc::new(shared);
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while let Ok(socket) = accept() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    Shared::greet(&shared, socket);
                }
            }
        });
        Origin {
            place,
            shared,
            accepting: Some(accepting),
        }
    }

    /// The same, but it keeps nothing of what it is asked.
    pub(crate) fn forgetful(self) -> Origin {
        self.shared.forgetful.store(true, Ordering::SeqCst);
        self
    }

    /// Its URL, as `[app] url` takes it.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::Tcp(address) => format!("http://{address}"),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Its TCP address.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("{} is no TCP address", path.display()),
        }
    }

    /// Everything it was asked so far, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The one request it was asked.
    #[track_caller]
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "the app saw {:?}", starts(&seen));
        seen.remove(0)
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Origin {
    /// How many connections to it are open.
    pub(crate) fn open(&self) -> usize {
        lock(&self.shared.open).len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; a listener that is gone already needs no waking.
        let _ = match &self.place {
            Place::Tcp(address) => TcpStream::connect(address).map(drop),
            Place::Unix(path) => UnixStream::connect(path).map(drop),
        };
        for socket in lock(&self.shared.open).drain(..) {
            socket.shut(Shutdown::Both);
        }
        let mut threads: Vec<_> = self.accepting.take().into_iter().collect();
        threads.append(&mut lock(&self.shared.serving));
        for thread in threads {
            if let Err(panic) = thread.join()
                && !thread::panicking()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Shared {
    fn new(
        manner: impl Fn(&mut Visit) -> io::Result<Then> + Send + Sync + 'static,
        greeting: Then,
    ) -> Shared {
        Shared {
            seen: Arc::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            serving: Mutex::default(),
            stopping: AtomicBool::new(false),
            forgetful: AtomicBool::new(false),
            manner: Box::new(manner),
            greeting,
        }
    }

    fn greet(shared: &Arc<Shared>, socket: Socket) {
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        if shared.greeting == Then::Reset {
            Wire::new(socket).reset_at_close();
            return;
        }
        lock(&shared.open).push(socket.another());
        let thread = thread::spawn({
            let shared = Arc::clone(shared);
            move || shared.converse(connection, Wire::new(socket))
        });
        lock(&shared.serving).push(thread);
    }

    /// Answers requests until the manner, the peer or an error ends it. An error of the socket is the peer's
    /// leave.
    fn converse(&self, connection: usize, mut wire: Wire) {
        wire.patience(Duration::from_mins(5));
        for nth in 0.. {
            let Ok(Some(head)) = wire.head() else { break };
            let record = self.record(connection, head.clone());
            let mut visit = Visit {
                head,
                nth,
                wire: &mut wire,
                record,
                body_read: false,
            };
            let then = (self.manner)(&mut visit);
            if matches!(then, Ok(Then::Keep)) {
                visit.body();
                // Behind a body that is not understood nobody knows where the next request begins.
                if visit.record.with(|seen| seen.fault.is_none()) {
                    continue;
                }
            }
            if matches!(then, Ok(Then::Reset)) {
                wire.reset_at_close();
            } else {
                wire.socket().shut(Shutdown::Both);
            }
            break;
        }
        // The list of open ones holds a handle of its own: without this the peer would not see the close.
        self.forget(&wire);
    }

    fn record(&self, connection: usize, head: Head) -> Record {
        let fault = ambiguity(&head).map(Fault::Malformed);
        let list = if self.forgetful.load(Ordering::SeqCst) {
            Arc::default()
        } else {
            Arc::clone(&self.seen)
        };
        let mut seen = lock(&list);
        seen.push(Seen {
            connection,
            head,
            body: Vec::new(),
            trailers: Vec::new(),
            fault,
        });
        let index = seen.len() - 1;
        drop(seen);
        Record { seen: list, index }
    }

    fn forget(&self, wire: &Wire) {
        let peer = wire.socket().identity();
        lock(&self.open).retain(|socket| socket.identity() != peer);
    }
}

/// What in a request's head two readers could read differently (RFC 9112 §§2.2, 3, 5, 6): nothing, one hopes.
fn ambiguity(head: &Head) -> Option<String> {
    let text = latin(&head.bytes);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let start = lines.next().unwrap_or_default();
    let parts: Vec<&str> = start.split(' ').collect();
    if parts.len() != 3 || parts.iter().any(|p| p.is_empty()) || !parts[2].starts_with("HTTP/1.") {
        return Some(format!("start line {start:?}"));
    }
    let control = |c: char| c.is_control() && c != '\t' && !('\u{80}'..='\u{9f}').contains(&c);
    if start.contains(control) {
        return Some(format!("start line {start:?}"));
    }
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Some(format!("line without a colon {line:?}"));
        };
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) || value.contains(control) {
            return Some(format!("field line {line:?}"));
        }
    }
    if head.all("host").len() > 1 {
        return Some("several hosts".into());
    }
    head.framing().err()
}

/// The start lines, for a message.
pub(crate) fn starts(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|s| s.head.start.as_str()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
