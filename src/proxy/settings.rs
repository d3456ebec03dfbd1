//! The data path's configuration, resolved.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::tracker::inject;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 is any free one.
    Tcp(SocketAddr),
    /// A Unix socket at this path; an old socket file in its place is replaced.
    Unix(PathBuf),
}

/// Where the app listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A host (name or address literal, IPv6 without brackets) and a port; a name is resolved at each
    /// connect.
    Tcp(String, u16),
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// There is none: only the tracker's paths are answered.
    Nothing,
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Upstream::Tcp(host, port) if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Upstream::Tcp(host, port) => write!(f, "http://{host}:{port}"),
            Upstream::Unix(path) => write!(f, "unix:{}", path.display()),
            Upstream::Nothing => f.write_str("none"),
        }
    }
}

impl Upstream {
    /// What `Host` says where a client of HTTP/1.0 sent none.
    pub(super) fn authority(&self) -> String {
        match self {
            Upstream::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Upstream::Tcp(host, port) => format!("{host}:{port}"),
            Upstream::Unix(_) | Upstream::Nothing => "localhost".into(),
        }
    }
}

/// A certificate chain and its private key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key (PKCS #8, PKCS #1 or SEC 1), not protected by a passphrase.
    pub key: PathBuf,
}

/// TLS towards the client: `[listen.tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The pairs, at least one. The first also serves clients whose server name no pair has.
    pub pairs: Vec<KeyPair>,
    /// Certificate authorities, one of which must have issued each client's certificate; `None`: clients show
    /// none.
    pub client_ca: Option<PathBuf>,
}

/// Towards the app: `[app]`.
#[derive(Debug, Clone)]
pub struct App {
    /// Where it listens.
    pub upstream: Upstream,
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// How long the app may send nothing before its response's head is complete, once it has the whole
    /// request.
    pub response_timeout: Duration,
    /// How long an idle connection to the app is kept.
    pub keep_alive: Duration,
    /// Whether this process has started the app: while nobody listens there, it may be about to.
    pub is_ours: bool,
}

/// `[listen]` and `[app]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Threads that serve, at least one.
    pub workers: usize,
    /// Whether trusted peers begin each connection with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// How long a stop waits for requests in flight.
    pub drain: Duration,
    /// Connections served at once, over all workers.
    pub max_connections: usize,
    /// Connections to the app at once, over all workers, idle ones among them. More than `max_connections`:
    /// what is more is for idle ones, and for clients of HTTP/2, each of which can have several requests
    /// under way.
    pub max_app_connections: usize,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long a kept-alive connection may be idle.
    pub idle_timeout: Duration,
    /// The longest request head, in bytes; 431 beyond.
    pub max_head_bytes: usize,
    /// TLS towards the client; `None`: plain text.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken in plain text to clients that begin with its preface (RFC 9113 §3.3). Over
    /// TLS it is always offered.
    pub http2: bool,
    /// Concurrent streams on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a request's body may pause.
    pub body_timeout: Duration,
    /// The least rate at which a request's body has to come on average, in bytes a second; 0 is none.
    pub min_rate: u64,
    /// Towards the app.
    pub app: App,
    /// What is put into pages; `None`: nothing.
    pub inject: Option<inject::InjectSettings>,
}

impl Settings {
    /// As many connections to the app as clients and their streams may ask for, where no limit of open files
    /// is known.
    pub fn unbounded_app_connections(max_connections: usize) -> usize {
        max_connections
            .saturating_mul(1 << 10)
            .min(tokio::sync::Semaphore::MAX_PERMITS)
    }

    /// Idle connections to the app that a worker may keep.
    pub(super) fn max_idle_of_worker(&self) -> usize {
        self.max_app_connections.saturating_sub(self.max_connections) / self.workers.max(1)
    }
}
