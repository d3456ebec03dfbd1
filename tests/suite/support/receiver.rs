//! Stands in for Plausible: strict about what it is sent, scripted in what it answers, dead when told to be.
//!
//! HTTP/1.1 over TCP, or HTTP/1.1 and HTTP/2 over TLS. What it accepts is judged by [`gatecount::event::accept`].

use std::{
    collections::{HashMap, VecDeque},
    future,
    net::{self, IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gatecount::event::accept::{accept, breaches};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    service::service_fn,
    {Request, Response},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use super::{eventually, message::latin, tls::Authority};

/// One event as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When.
    pub(crate) at: Instant,
    /// Method and path.
    pub(crate) request: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: String,
    /// Its fields, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// Its body, if it is JSON.
    pub(crate) body: Value,
    /// What was answered; 0 where there was no answer.
    pub(crate) status: u16,
    /// Whether it was recorded: answered 202 and not dropped.
    pub(crate) recorded: bool,
}

impl Arrival {
    /// The first value of this field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A string of the body.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }

    /// The address that Plausible takes for the visitor's, and the user agent.
    pub(crate) fn visitor(&self) -> (String, String) {
        let address = self
            .field("x-plausible-ip")
            .or_else(|| self.field("x-forwarded-for"));
        (
            address.unwrap_or_default().to_owned(),
            self.field("user-agent").unwrap_or_default().to_owned(),
        )
    }
}

/// What it does with one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// 202, or 400 where the event is invalid.
    Accept,
    /// 202 with `x-plausible-dropped: 1`.
    Drop,
    /// This status.
    Status(u16),
    /// This status and `Retry-After` with so many seconds.
    RetryAfter(u16, u64),
    /// The connection is closed in place of an answer.
    CutOff,
    /// Nothing, ever.
    Hang,
}

type Script = dyn FnMut(&Arrival, usize) -> Reply + Send;

/// A running receiver.
pub(crate) struct Receiver {
    url: String,
    state: Arc<Mutex<State>>,
    mode: watch::Sender<Mode>,
    changed: Mutex<mpsc::Receiver<Mode>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    arrivals: Vec<Arrival>,
    breaches: Vec<String>,
    queue: VecDeque<Reply>,
    script: Box<Script>,
    delay: Duration,
    in_flight: HashMap<(String, String), usize>,
    peak: usize,
    peak_per_visitor: usize,
    connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Serving,
    Dead,
    Babbling,
    Ended,
}

impl Receiver {
    /// HTTP/1.1 over TCP, every valid event accepted.
    pub(crate) fn start() -> Receiver {
        Receiver::serve("http", "127.0.0.1", None)
    }

    /// HTTP/2 and HTTP/1.1 over TLS.
    pub(crate) fn tls(authority: &Authority) -> Receiver {
        let acceptor = TlsAcceptor::from(authority.server(&["h2", "http/1.1"]));
        Receiver::serve("https", "localhost", Some(acceptor))
    }

    /// HTTP/1.1 alone over TLS.
    pub(crate) fn tls_without_h2(authority: &Authority) -> Receiver {
        let acceptor = TlsAcceptor::from(authority.server(&["http/1.1"]));
        Receiver::serve("https", "localhost", Some(acceptor))
    }

    fn serve(scheme: &str, host: &str, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listener.local_addr().expect("the bound address");
        let state = Arc::new(Mutex::new(State::new()));
        let (mode, watching) = watch::channel(Mode::Serving);
        let (tell, changed) = mpsc::channel();
        let thread = thread::spawn({
            let state = Arc::clone(&state);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(
                    Server {
                        address,
                        tls,
                        state,
                        mode: watching,
                        tell,
                    }
                    .run(listener),
                );
            }
        });
        Receiver {
            url: format!("{scheme}://{host}:{}", address.port()),
            state,
            mode,
            changed: Mutex::new(changed),
            thread: Some(thread),
        }
    }

    /// Its base URL, as `[plausible] url` takes it.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Answers the next events so, one each, before the script goes on.
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().queue.extend(replies);
    }

    /// Answers all events so from now on.
    pub(crate) fn always(&self, reply: Reply) {
        self.script(move |_, _| reply);
    }

    /// Asks a script for each answer: it gets the event and how often this very event was tried before.
    pub(crate) fn script(&self, script: impl FnMut(&Arrival, usize) -> Reply + Send + 'static) {
        self.state().script = Box::new(script);
    }

    /// Takes so long over each answer.
    pub(crate) fn slow(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Closes port and connections. They are closed when this returns.
    pub(crate) fn die(&self) {
        self.turn(Mode::Dead);
    }

    /// Takes connections, and answers each with bytes that are no HTTP.
    pub(crate) fn babble(&self) {
        self.turn(Mode::Babbling);
    }

    /// Is back on the same port.
    pub(crate) fn come_back(&self) {
        self.turn(Mode::Serving);
    }

    /// Every attempt so far, in order of arrival.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.clone()
    }

    /// The recorded events so far, in order of arrival.
    pub(crate) fn recorded(&self) -> Vec<Arrival> {
        self.arrivals().into_iter().filter(|a| a.recorded).collect()
    }

    /// The recorded events, once there are at least so many.
    #[track_caller]
    pub(crate) fn await_recorded(&self, count: usize) -> Vec<Arrival> {
        eventually(&format!("{count} recorded events"), || {
            let events = self.recorded();
            if events.len() >= count {
                Ok(events)
            } else {
                Err(format!("{} so far", events.len()))
            }
        })
    }

    /// Every attempt, once there were at least so many.
    #[track_caller]
    pub(crate) fn await_arrivals(&self, count: usize) -> Vec<Arrival> {
        eventually(&format!("{count} attempts"), || {
            let events = self.arrivals();
            if events.len() >= count {
                Ok(events)
            } else {
                Err(format!("{} so far", events.len()))
            }
        })
    }

    /// The most requests that were in its hands at once: over all, and of one visitor.
    pub(crate) fn peaks(&self) -> (usize, usize) {
        let state = self.state();
        (state.peak, state.peak_per_visitor)
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Nothing it was sent was invalid or carried more than it should.
    #[track_caller]
    pub(crate) fn assert_strict(&self) {
        let state = self.state();
        assert!(state.breaches.is_empty(), "breaches: {:#?}", state.breaches);
        assert!(
            state.peak_per_visitor <= 1,
            "{} events of one visitor at once",
            state.peak_per_visitor
        );
    }

    fn turn(&self, mode: Mode) {
        self.mode.send_replace(mode);
        let changed = self.changed.lock().expect("the receiver's own lock");
        while changed
            .recv_timeout(super::DEADLINE)
            .expect("the receiver follows")
            != mode
        {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Ended);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl State {
    fn new() -> State {
        State {
            arrivals: Vec::new(),
            breaches: Vec::new(),
            queue: VecDeque::new(),
            script: Box::new(|_, _| Reply::Accept),
            delay: Duration::ZERO,
            in_flight: HashMap::new(),
            peak: 0,
            peak_per_visitor: 0,
            connections: 0,
        }
    }

    /// Takes an event in: judged, recorded, answered by the script. Gives its index and the answer.
    fn arrive(&mut self, mut arrival: Arrival, peer: IpAddr, body: &[u8]) -> (usize, Reply) {
        let faults = judge(&arrival, peer, body);
        let tries = self
            .arrivals
            .iter()
            .filter(|a| a.body == arrival.body && a.visitor() == arrival.visitor())
            .count();
        let reply = self
            .queue
            .pop_front()
            .unwrap_or_else(|| (self.script)(&arrival, tries));
        let reply = if reply == Reply::Accept && !faults.is_empty() {
            Reply::Status(400)
        } else {
            reply
        };
        arrival.status = match reply {
            Reply::Accept | Reply::Drop => 202,
            Reply::Status(code) | Reply::RetryAfter(code, _) => code,
            Reply::CutOff | Reply::Hang => 0,
        };
        arrival.recorded = reply == Reply::Accept;
        self.breaches.extend(faults);
        let of_visitor = self.in_flight.entry(arrival.visitor()).or_default();
        *of_visitor += 1;
        self.peak_per_visitor = self.peak_per_visitor.max(*of_visitor);
        self.peak = self.peak.max(self.in_flight.values().sum());
        self.arrivals.push(arrival);
        (self.arrivals.len() - 1, reply)
    }

    fn leave(&mut self, index: usize) {
        let visitor = self.arrivals[index].visitor();
        if let Some(count) = self.in_flight.get_mut(&visitor) {
            *count -= 1;
        }
    }
}

/// The server's half, on its own thread.
struct Server {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: Arc<Mutex<State>>,
    mode: watch::Receiver<Mode>,
    tell: mpsc::Sender<Mode>,
}

impl Server {
    async fn run(mut self, first: net::TcpListener) {
        let mut listener = Some(watched(first));
        loop {
            let mode = *self.mode.borrow_and_update();
            let mut connections = tokio::task::JoinSet::new();
            if mode == Mode::Dead || mode == Mode::Ended {
                listener = None;
            } else if listener.is_none() {
                listener = Some(watched(bind(self.address)));
            }
            // Nobody waits for the first mode.
            let _ = self.tell.send(mode);
            if mode == Mode::Ended {
                return;
            }
            loop {
                let accept = async {
                    match &listener {
                        Some(listener) => listener.accept().await,
                        None => future::pending().await,
                    }
                };
                tokio::select! {
                    accepted = accept => {
                        let Ok((stream, peer)) = accepted else { continue };
                        lock(&self.state).connections += 1;
                        let (state, tls) = (Arc::clone(&self.state), self.tls.clone());
                        match mode {
                            Mode::Babbling => connections.spawn(babble(stream)),
                            _ => connections.spawn(converse(stream, peer.ip(), state, tls)),
                        };
                    }
                    _ = self.mode.changed() => break,
                }
            }
            // A turn of mode closes every connection.
            connections.shutdown().await;
        }
    }
}

async fn babble(mut stream: tokio::net::TcpStream) {
    let mut buffer = [0; 1024];
    // Whatever becomes of the peer is all right with a babbler.
    let _ = stream.read(&mut buffer).await;
    let _ = stream
        .write_all(b"\x16\x03\x01 220 smtp.example.com ESMTP\r\nHTTP/9.9 banana\r\n\r\n")
        .await;
}

async fn converse(
    stream: tokio::net::TcpStream,
    peer: IpAddr,
    state: Arc<Mutex<State>>,
    tls: Option<TlsAcceptor>,
) {
    // A failed accept or handshake is the client's to report: the test waits for an event that then never comes.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http1(stream, peer, state).await,
        Some(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let service = service_fn(move |request| take(request, peer, Arc::clone(&state)));
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            } else {
                http1(stream, peer, state).await;
            }
        }
    }
}

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    state: Arc<Mutex<State>>,
) {
    let service = service_fn(move |request| take(request, peer, Arc::clone(&state)));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Takes one request. An error closes the connection without an answer.
async fn take(
    request: Request<Incoming>,
    peer: IpAddr,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, CutOff> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| CutOff)?.to_bytes();
    if head.uri.path().ends_with("/api/health") {
        return Ok(answer(200, None));
    }
    let arrival = Arrival {
        at: Instant::now(),
        request: format!("{} {}", head.method, head.uri.path()),
        version: format!("{:?}", head.version),
        fields: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), latin(value.as_bytes())))
            .collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        status: 0,
        recorded: false,
    };
    let (index, reply) = lock(&state).arrive(arrival, peer, &body);
    // The guard gives the place back also where the connection dies under this future.
    let _place = Place {
        index,
        state: Arc::clone(&state),
    };
    let delay = lock(&state).delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match reply {
        Reply::Accept => Ok(answer(202, None)),
        Reply::Drop => Ok(answer(202, Some(("x-plausible-dropped", "1".to_owned())))),
        Reply::Status(code) => Ok(answer(code, None)),
        Reply::RetryAfter(code, seconds) => Ok(answer(code, Some(("retry-after", seconds.to_string())))),
        Reply::CutOff => Err(CutOff),
        Reply::Hang => future::pending().await,
    }
}

/// An event in the receiver's hands.
struct Place {
    index: usize,
    state: Arc<Mutex<State>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.state).leave(self.index);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cut off by the script")]
struct CutOff;

fn answer(status: u16, field: Option<(&str, String)>) -> Response<Full<Bytes>> {
    let body = match status {
        202 => Bytes::from_static(b"ok"),
        400 => Bytes::from_static(b"{\"errors\":{\"url\":[\"is invalid\"]}}"),
        _ => Bytes::new(),
    };
    let mut response = Response::builder().status(status);
    if let Some((name, value)) = field {
        response = response.header(name, value);
    }
    response.body(Full::new(body)).expect("a valid response")
}

/// What is wrong with an event.
fn judge(arrival: &Arrival, peer: IpAddr, body: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    if !arrival.request.starts_with("POST ") || !arrival.request.ends_with("/api/event") {
        faults.push(format!("request {}", arrival.request));
    }
    let raw: Vec<(String, Vec<u8>)> = arrival
        .fields
        .iter()
        .map(|(n, v)| (n.clone(), v.chars().map(|c| c as u8).collect()))
        .collect();
    let fields: Vec<httparse::Header<'_>> = raw
        .iter()
        .map(|(name, value)| httparse::Header { name, value })
        .collect();
    faults.extend(breaches(&fields));
    if let Err(errors) = accept(&fields, peer, body) {
        faults.extend(errors.iter().map(|(field, text)| format!("{field}: {text}")));
    }
    faults
}

/// In the runtime of the thread that calls.
fn watched(listener: net::TcpListener) -> TcpListener {
    TcpListener::from_std(listener).expect("a listener in the runtime")
}

/// Binds with `SO_REUSEADDR`, so that the port can be had back while old connections linger.
fn bind(address: SocketAddr) -> net::TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("set SO_REUSEADDR");
    socket.set_nonblocking(true).expect("set nonblocking");
    socket
        .bind(&address.into())
        .unwrap_or_else(|e| panic!("bind {address}: {e}"));
    socket.listen(1024).expect("listen");
    socket.into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
