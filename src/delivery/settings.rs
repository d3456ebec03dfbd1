//! Delivery's settings, resolved.

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderValue;

/// Plausible's base URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// TLS or not.
    pub https: bool,
    /// Host: name or address literal, IPv6 without brackets.
    pub host: String,
    /// Port, the scheme's default filled in.
    pub port: u16,
    /// Path before `/api/event`, without a slash at its end; empty for none.
    pub path: String,
}

impl Base {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Host and port as a URL has them: IPv6 in brackets, the scheme's own port left out (RFC 3986 §3.2).
    pub fn authority(&self) -> String {
        match (self.https, self.port) {
            (true, 443) | (false, 80) => bracketed(&self.host),
            (_, port) => format!("{}:{port}", bracketed(&self.host)),
        }
    }

    /// Host and port, as CONNECT names them (RFC 9112 §3.2.3).
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

/// An HTTP proxy through which events leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardProxy {
    /// Host: name or address literal, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `Proxy-Authorization`, marked as sensitive, so `Debug` does not show it.
    pub authorization: Option<HeaderValue>,
}

/// The proxy's URL without credentials.
impl fmt::Display for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", bracketed(&self.host), self.port)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// A header from which Plausible takes the visitor's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressHeader {
    /// `x-forwarded-for`
    XForwardedFor,
    /// `x-plausible-ip`
    XPlausibleIp,
}

/// `[plausible]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Plausible is.
    pub base: Base,
    /// The proxy that stands between; none if Plausible is reached directly.
    pub proxy: Option<ForwardProxy>,
    /// Which headers carry the visitor's address; at least one.
    pub address_headers: Vec<AddressHeader>,
    /// How long one attempt may take, connect included.
    pub timeout: Duration,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Events older than this end as expired.
    pub max_age: Duration,
    /// First backoff.
    pub retry_initial: Duration,
    /// Longest backoff.
    pub retry_max: Duration,
    /// Tries of one event while others get through; then it ends as rejected.
    pub max_tries: u32,
    /// PEM file trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
}

/// How many events are on their way into the stream at once, at the least. Each waits for the servers to agree.
const PUBLISHED_AT_ONCE: usize = 256;
/// The first wait after a failure to publish, and the longest: the servers agree on a new leader within seconds,
/// and a try costs them nothing.
const PUBLISHING: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

impl Settings {
    /// The same for events that go into the stream.
    pub(super) fn for_the_stream(self) -> Self {
        Settings {
            concurrency: self.concurrency.max(PUBLISHED_AT_ONCE),
            retry_initial: self.retry_initial.min(PUBLISHING.0),
            retry_max: self.retry_max.min(PUBLISHING.1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_written_as_urls_have_it() {
        for (host, port, https, written) in [
            ("p.example", 80, false, "p.example"),
            ("p.example", 443, false, "p.example:443"),
            ("p.example", 443, true, "p.example"),
            ("2001:db8::1", 8000, false, "[2001:db8::1]:8000"),
        ] {
            let base = Base {
                https,
                host: host.to_owned(),
                port,
                path: String::new(),
            };
            assert_eq!(base.authority(), written);
        }
    }
}
