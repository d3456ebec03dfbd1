//! Which host names the admin address answers to.
//!
//! A web page can make its visitor's browser ask any address under the page's own host name (DNS rebinding),
//! and could then read the response. So a request must name an IP address, `localhost`, or a name of `[admin]
//! hosts`. A request without `Host` comes from no browser and is answered.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header::HOST, uri::Authority};

/// The names that requests may ask for.
pub(super) struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// `names` are in lower case.
    pub(super) fn new(names: &[String]) -> Self {
        AllowedHosts(names.to_vec())
    }

    /// Whether every host that the request names is allowed.
    pub(super) fn allow(&self, target: &Uri, headers: &HeaderMap) -> bool {
        target
            .authority()
            .is_none_or(|authority| self.allow_authority(authority))
            && headers.get_all(HOST).iter().all(|value| {
                Authority::try_from(value.as_bytes()).is_ok_and(|authority| self.allow_authority(&authority))
            })
    }

    fn allow_authority(&self, authority: &Authority) -> bool {
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok() || host == "localhost" || self.0.iter().any(|name| name == host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(target: &str, hosts: &[&str]) -> bool {
        let headers = hosts.iter().map(|host| (HOST, host.parse().unwrap())).collect();
        AllowedHosts::new(&["gatecount.internal".to_owned()]).allow(&target.parse().unwrap(), &headers)
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_allowed() {
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[2001:db8::1]",
            "localhost:9090",
            "LOCALHOST.",
            "gatecount.internal",
            "Gatecount.Internal:9090",
        ] {
            assert!(allow("/", &[host]), "{host}");
        }
        assert!(allow("/", &[]), "HTTP/1.0 needs no Host");
    }

    #[test]
    fn foreign_names_are_refused() {
        for host in [
            "evil.test",
            "evil.test:9090",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "other.gatecount.internal",
            "me@evil.test",
            "",
        ] {
            assert!(!allow("/", &[host]), "{host}");
        }
        assert!(!allow("/", &["localhost", "evil.test"]));
        assert!(!allow("http://evil.test/status", &["localhost"]));
    }
}
