//! The receiver's network side, on a thread and a runtime of its own.

use std::{
    future,
    net::{self, IpAddr, SocketAddr},
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use super::{Arrival, Mode, Reply, State, lock};
use crate::support::message::latin;

/// The name of the event that the doctor sends.
const DOCTORS_EVENT: &str = "gatecount doctor";

/// The server's half, on its own thread.
pub(super) struct Server {
    /// Where it listens, also after a death.
    pub(super) address: SocketAddr,
    /// TLS, where it is spoken.
    pub(super) tls: Option<TlsAcceptor>,
    /// What it shares with the test.
    pub(super) state: Arc<Mutex<State>>,
    /// What it is to be.
    pub(super) mode: watch::Receiver<Mode>,
    /// Told of each mode once it is in force.
    pub(super) tell: mpsc::Sender<Mode>,
}

impl Server {
    /// Serves until the end is asked for.
    pub(super) async fn run(mut self, first: net::TcpListener) {
        let mut listener = Some(watched(first));
        let mut held = None;
        loop {
            let mode = *self.mode.borrow_and_update();
            let mut connections = tokio::task::JoinSet::new();
            if mode == Mode::Dead {
                // Closed before the port is bound anew.
                drop(listener.take());
                held = held.or_else(|| Some(hold(self.address)));
            } else if mode == Mode::Ended {
                listener = None;
            } else if let Some(socket) = held.take() {
                listener = Some(watched(listen(socket)));
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
    // A failed accept or handshake is the client's to report: the test waits for an event that then never
    // comes.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http1(stream, peer, state).await,
        Some(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let service = service_fn(move |request| take(request, peer, Arc::clone(&state)));
                let _ = conn::http2::Builder::new(TokioExecutor::new())
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
    let _ = conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Takes one request. An error closes the connection without an answer.
async fn take(
    request: Request<Incoming>,
    peer: IpAddr,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, CutOff> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| CutOff)?.to_bytes();
    let edition = lock(&state).edition.clone();
    let date = edition.date.map(|date| ("date", date));
    if head.uri.path().ends_with("/api/system/health/ready") {
        return Ok(answer(edition.ready, date));
    }
    if head.uri.path().ends_with("/api/health") {
        return Ok(answer(edition.health, date));
    }
    let event = serde_json::from_slice(&body).unwrap_or(Value::Null);
    // No other event carries it than the doctor's, which asks by it. An edition that does not know it takes that for
    // an event like any other.
    if event["name"] == DOCTORS_EVENT
        && head.headers.remove("x-debug-request").is_some()
        && let Some(address) = edition.debug
    {
        let mut debugged = answer(200, None);
        *debugged.body_mut() = Full::new(address.into());
        return Ok(debugged);
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
        body: event,
        raw: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
        recorded: false,
    };
    let visitor = arrival.visitor();
    let (reply, delay) = {
        let mut state = lock(&state);
        (state.arrive(arrival, peer, &body), state.delay)
    };
    // The guard gives the place back also where the connection dies under this future.
    let _place = Place { visitor, state };
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
    visitor: (String, String),
    state: Arc<Mutex<State>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.state).leave(&self.visitor);
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

/// In the runtime of the thread that calls.
fn watched(listener: net::TcpListener) -> TcpListener {
    TcpListener::from_std(listener).expect("a listener in the runtime")
}

pub(super) fn bind(address: SocketAddr) -> net::TcpListener {
    listen(hold(address))
}

/// Binds and does not listen: whoever connects is refused, and nobody else gets the port in the meantime, who
/// would take the events for itself.
fn hold(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // With SO_REUSEADDR the port can be had back while old connections linger; without it, it can't be had
    // too.
    socket.set_reuse_address(true).expect("set SO_REUSEADDR");
    socket.set_nonblocking(true).expect("set nonblocking");
    socket
        .bind(&address.into())
        .unwrap_or_else(|e| panic!("bind {address}: {e}"));
    socket.set_reuse_address(false).expect("unset SO_REUSEADDR");
    socket
}

fn listen(socket: Socket) -> net::TcpListener {
    // A listener's port can be bound again after a death.
    socket.set_reuse_address(true).expect("set SO_REUSEADDR");
    socket.listen(1024).expect("listen");
    socket.into()
}
