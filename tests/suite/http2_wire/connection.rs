//! One HTTP/2 connection, frame by frame, over TLS or by prior knowledge.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

use super::{
    app::App,
    frames::{
        self, ACK, DATA, END_HEADERS, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame,
    },
};
use crate::support::{
    DEADLINE,
    process::{Builder, Sidecar},
};

/// How a client gets to HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// TLS and ALPN.
    Tls,
    /// Plain text, by prior knowledge.
    Plain,
}

/// A running sidecar, and what its clients need to know of it.
pub(super) struct Target {
    pub(super) sidecar: Sidecar,
    over: Over,
    config: Arc<ClientConfig>,
}

/// Bytes both ways.
trait Transport: Read + Write + Send {}

impl<T: Read + Write + Send> Transport for T {}

/// A connection.
pub(super) struct Connection {
    transport: Box<dyn Transport>,
    socket: TcpStream,
    ahead: Vec<u8>,
    /// It acknowledges nothing.
    pub(super) silent: bool,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With GOAWAY and this code.
    GoAway(u32),
    /// Without a word, or by a reset.
    Closed,
}

impl Target {
    /// Before this app, one worker for all connections, so that one of them in trouble would show on the
    /// others.
    pub(super) fn start(app: &App, over: Over, change: impl FnOnce(Builder) -> Builder) -> Target {
        let names = vec!["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut builder = Builder::before_url(&app.url())
            .set("listen.workers", 1)
            .set("queue.at", "memory");
        if over == Over::Tls {
            let path = |name: &str| builder.directory().join(name).to_str().expect("UTF-8").to_owned();
            let (certificate, key) = (path("certificate"), path("key"));
            fs::write(&certificate, made.cert.pem()).expect("write");
            fs::write(&key, made.signing_key.serialize_pem()).expect("write");
            builder = builder
                .set("listen.tls.certificate", certificate)
                .set("listen.tls.key", key);
        } else {
            builder = builder.set("listen.http2", true);
        }
        Target {
            sidecar: change(builder).start(),
            over,
            config: Arc::new(config),
        }
    }

    /// A connection without a byte of HTTP/2 sent.
    pub(super) fn bare(&self) -> Connection {
        Connection::to(self.sidecar.address, self.over, &self.config)
    }

    /// A connection whose client has sent its preface, without a dynamic table for the responses' fields.
    pub(super) fn connect(&self) -> Connection {
        self.connect_with(&[])
    }

    /// The same, with further settings.
    pub(super) fn connect_with(&self, settings: &[(u16, u32)]) -> Connection {
        let mut connection = self.bare();
        let values = [&[(frames::HEADER_TABLE_SIZE, 0)], settings].concat();
        connection.send(&[PREFACE, &frames::settings(&values)].concat());
        connection
    }

    /// What gatecount counts as under way over HTTP/2: streams, and bytes that wait for clients.
    pub(super) fn under_way(&self) -> (u64, u64) {
        let metrics = self.sidecar.metrics();
        let value = |name| metrics.metric(name).value();
        (
            value("gatecount_http2_streams"),
            value("gatecount_http2_waiting_bytes"),
        )
    }

    /// Connections that ended with an error of HTTP/2.
    pub(super) fn errors(&self) -> u64 {
        self.sidecar
            .metrics()
            .metric("gatecount_http2_errors_total")
            .value()
    }

    /// Waits until nothing is under way and no connection is open.
    #[track_caller]
    pub(super) fn await_rest(&self) {
        self.sidecar
            .await_metrics("nothing is under way any more", |metrics| {
                [
                    "gatecount_http2_streams",
                    "gatecount_http2_waiting_bytes",
                    "gatecount_connections",
                ]
                .iter()
                .all(|name| metrics.metric(name).value() == 0)
            });
    }
}

impl Connection {
    fn to(address: SocketAddr, over: Over, config: &Arc<ClientConfig>) -> Connection {
        let socket = TcpStream::connect_timeout(&address, DEADLINE).expect("connect");
        socket.set_nodelay(true).expect("set nodelay");
        socket
            .set_write_timeout(Some(DEADLINE))
            .expect("set a write timeout");
        let other = socket.try_clone().expect("clone a socket");
        let transport: Box<dyn Transport> = match over {
            Over::Plain => Box::new(other),
            Over::Tls => {
                let name = "localhost".try_into().expect("a name");
                let mut session = ClientConnection::new(Arc::clone(config), name).expect("a session");
                let mut handshaking = &other;
                while session.is_handshaking() {
                    session.complete_io(&mut handshaking).expect("a TLS handshake");
                }
                assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
                Box::new(StreamOwned::new(session, other))
            }
        };
        Connection {
            transport,
            socket,
            ahead: Vec::new(),
            silent: false,
        }
    }

    /// Sends bytes.
    #[track_caller]
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("send");
    }

    /// Sends bytes; the peer may have closed, or read no more, by now.
    pub(super) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.transport.write_all(bytes)?;
        self.transport.flush()
    }

    /// Writes give up after this time.
    pub(super) fn write_patience(&self, limit: Duration) {
        self.socket
            .set_write_timeout(Some(limit))
            .expect("set a write timeout");
    }

    /// Reads the next frame; `None` where none comes in time, an error at the connection's end.
    pub(super) fn frame_within(&mut self, limit: Duration) -> io::Result<Option<Frame>> {
        let until = Instant::now() + limit;
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket
                .set_read_timeout(Some(left))
                .expect("set a read timeout");
            let mut buffer = [0; 16 * 1024];
            match self.transport.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.ahead.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads the next frame, and acknowledges what is to be acknowledged.
    pub(super) fn frame(&mut self) -> io::Result<Frame> {
        let frame = self.frame_within(DEADLINE)?;
        let frame = frame.ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
        let ack = match frame.kind {
            _ if self.silent => None,
            SETTINGS if frame.flags & ACK == 0 => Some(self::frame(SETTINGS, ACK, 0, &[])),
            PING if frame.flags & ACK == 0 => Some(self::frame(PING, ACK, 0, &frame.payload)),
            _ => None,
        };
        if let Some(ack) = ack {
            // The peer may be about to close.
            let _ = self.try_send(&ack);
        }
        Ok(frame)
    }

    fn take(&mut self) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ ..] = self.ahead.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (kind, flags) = (*kind, *flags);
        let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
        if self.ahead.len() < 9 + length {
            return None;
        }
        let payload = self.ahead.drain(..9 + length).skip(9).collect();
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// Reads on to the connection's end.
    #[track_caller]
    pub(super) fn end(&mut self) -> End {
        let mut end = End::Closed;
        loop {
            match self.frame() {
                Ok(frame) if frame.kind == GOAWAY => end = End::GoAway(frame.number(4)),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    panic!("the connection does not end: {end:?}")
                }
                Err(_) => return end,
            }
        }
    }

    /// Reads the response on a stream to its end: its status and its data.
    #[track_caller]
    pub(super) fn response(&mut self, stream: u32) -> (u16, Vec<u8>) {
        self.try_response(stream)
            .unwrap_or_else(|e| panic!("no response on stream {stream}: {e}"))
    }

    /// The same, or why there is none.
    pub(super) fn try_response(&mut self, stream: u32) -> Result<(u16, Vec<u8>), String> {
        let (mut status, mut data) = (None, Vec::new());
        loop {
            let frame = self.frame().map_err(|e| e.to_string())?;
            match frame.kind {
                HEADERS if frame.stream == stream => {
                    assert!(frame.flags & END_HEADERS != 0, "a head in pieces");
                    status = status.or_else(|| frames::status(&frame.payload));
                }
                DATA if frame.stream == stream => data.extend(&frame.payload),
                RST_STREAM if frame.stream == stream => return Err(format!("reset: {}", frame.number(0))),
                GOAWAY if frame.number(4) != frames::NO_ERROR => {
                    return Err(format!("GOAWAY: {}", frame.number(4)));
                }
                _ => {}
            }
            if frame.stream == stream && frame.ends_stream() {
                let status = status.ok_or("no status".to_owned())?;
                return Ok((status, data));
            }
        }
    }

    /// Reads on until so many streams have ended: how often each status came, and each code of a reset. A reset
    /// behind a whole response, which asks for no more of the request (RFC 9113 §8.1), changes nothing.
    #[track_caller]
    pub(super) fn answers(&mut self, count: usize) -> BTreeMap<Result<u16, u32>, usize> {
        let (mut statuses, mut ended) = (BTreeMap::new(), BTreeMap::new());
        while ended.len() < count {
            let frame = self.frame().unwrap_or_else(|e| panic!("{e} after {ended:?}"));
            if frame.kind == HEADERS
                && let Some(status) = frames::status(&frame.payload)
            {
                statuses.insert(frame.stream, status);
            }
            if frame.kind == RST_STREAM {
                ended.entry(frame.stream).or_insert(Err(frame.number(0)));
            } else if frame.ends_stream() {
                let status = statuses.get(&frame.stream).copied().unwrap_or_default();
                ended.entry(frame.stream).or_insert(Ok(status));
            }
        }
        let mut counts = BTreeMap::new();
        for end in ended.into_values() {
            *counts.entry(end).or_default() += 1;
        }
        counts
    }

    /// Asks whether the peer still reads: it must answer a PING. What comes before the answer is handed back.
    #[track_caller]
    pub(super) fn pings(&mut self) -> Vec<Frame> {
        self.send(&frames::ping(7));
        let mut before = Vec::new();
        loop {
            let frame = self
                .frame()
                .unwrap_or_else(|e| panic!("no answer to a PING: {e}"));
            if frame.kind == PING && frame.flags & ACK != 0 {
                return before;
            }
            before.push(frame);
        }
    }
}
