//! What the data path needs to know, resolved.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{client, event, page};

/// The rules that a reload can change.
#[derive(Debug)]
pub struct Live {
    /// Whom to believe about addresses, and what the app is told.
    pub client: client::Settings,
    /// What counts.
    pub page: page::Rules,
    /// Whose hosts they are.
    pub sites: event::Sites,
}

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
    /// A host (name or address literal, IPv6 without brackets) and a port; a name is resolved at each connect.
    Tcp(String, u16),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

impl Upstream {
    /// What `Host` says where a client of HTTP/1.0 sent none.
    pub(super) fn authority(&self) -> String {
        match self {
            Upstream::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Upstream::Tcp(host, port) => format!("{host}:{port}"),
            Upstream::Unix(_) => "localhost".into(),
        }
    }
}

/// Towards the app: `[app]`.
#[derive(Debug, Clone)]
pub struct App {
    /// Where it listens.
    pub upstream: Upstream,
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// How long the response's head may take, from the moment the request was sent.
    pub response_timeout: Duration,
    /// How long an idle connection to the app is kept.
    pub keep_alive: Duration,
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
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long a kept-alive connection may be idle.
    pub idle_timeout: Duration,
    /// The longest request head, in bytes; 431 beyond.
    pub max_head_bytes: usize,
    /// HTTP/2 in plain text by prior knowledge (RFC 9113 §3.3).
    pub http2: bool,
    /// Streams of one HTTP/2 connection at once.
    pub max_streams: u32,
    /// Towards the app.
    pub app: App,
}
