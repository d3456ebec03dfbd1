//! `[observe]`, resolved.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

/// What is observed. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where copies of requests come; port 0 is any free one.
    pub mirror: Option<SocketAddr>,
    /// Where lines of an access log come from.
    pub log: Option<LogSource>,
    /// How they are written.
    pub format: LineFormat,
    /// Events older than this are not stored: `[plausible] max_age`.
    pub max_age: Duration,
}

impl Settings {
    /// Whether anything is observed.
    pub fn is_used(&self) -> bool {
        self.mirror.is_some() || self.log.is_some()
    }
}

/// Where lines of an access log come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// A file that is followed.
    File(PathBuf),
    /// Syslog over UDP.
    Udp(SocketAddr),
    /// Syslog over a Unix datagram socket at this path; an old socket in its place is replaced.
    Unixgram(PathBuf),
}

/// As in the configuration.
impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogSource::File(path) => write!(f, "file:{}", path.display()),
            LogSource::Udp(address) => write!(f, "udp:{address}"),
            LogSource::Unixgram(path) => write!(f, "unixgram:{}", path.display()),
        }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// gatecount's own: one JSON object.
    #[default]
    Json,
    /// The combined format of Apache and nginx.
    Combined,
    /// Caddy's JSON.
    Caddy,
    /// Traefik's JSON.
    Traefik,
}

impl LineFormat {
    /// Every format, by its name in the configuration.
    pub const NAMED: [(&'static str, LineFormat); 4] = [
        ("json", LineFormat::Json),
        ("combined", LineFormat::Combined),
        ("caddy", LineFormat::Caddy),
        ("traefik", LineFormat::Traefik),
    ];
}
