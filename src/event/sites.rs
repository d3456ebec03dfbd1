//! Which site a host belongs to.

use std::{fmt, str::FromStr};

/// A pattern for hosts: a name, `*.` and a name for all below it (not the name itself), or `*` for every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host, and none.
    Every,
    /// This host.
    Exact(String),
    /// All hosts that end in this, which begins with a dot.
    Below(String),
}

/// The text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host name such as \"example.com\", \"*.example.com\" for all below it, or \"*\" is wanted, without scheme, port and path"
)]
pub struct NotAHostPattern;

impl FromStr for HostPattern {
    type Err = NotAHostPattern;

    fn from_str(text: &str) -> Result<Self, NotAHostPattern> {
        if text == "*" {
            return Ok(HostPattern::Every);
        }
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let name = name.strip_suffix('.').unwrap_or(name);
        let literal = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
        let fine = match literal {
            Some(address) => !below && address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !name.is_empty()
                    && name.split('.').all(|l| !l.is_empty())
                    && name
                        .chars()
                        .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
            }
        };
        match (fine, below) {
            (false, _) => Err(NotAHostPattern),
            (true, true) => Ok(HostPattern::Below(format!(".{}", name.to_lowercase()))),
            (true, false) => Ok(HostPattern::Exact(name.to_lowercase())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Every => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(name) => write!(f, "*{name}"),
        }
    }
}

impl HostPattern {
    fn matches(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (HostPattern::Every, _) => true,
            (_, None) => false,
            (HostPattern::Exact(name), Some(host)) => host.eq_ignore_ascii_case(name),
            (HostPattern::Below(end), Some(host)) => host
                .len()
                .checked_sub(end.len())
                .filter(|at| *at > 0)
                .and_then(|at| host.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end)),
        }
    }
}

/// One site: its hosts and its dashboards.
#[derive(Debug, Clone)]
pub struct Site {
    /// The hosts it has.
    pub hosts: Vec<HostPattern>,
    /// Its names at Plausible, at least one; an event goes to all of them.
    pub domains: Vec<String>,
}

/// All sites; the first whose host matches has the event.
#[derive(Debug, Clone, Default)]
pub struct Sites(Vec<(Vec<HostPattern>, String)>);

impl Sites {
    /// These sites, in order.
    pub fn new(sites: Vec<Site>) -> Self {
        Sites(
            sites
                .into_iter()
                .map(|s| (s.hosts, s.domains.join(",")))
                .collect(),
        )
    }

    /// One site for every host.
    pub fn every(domains: Vec<String>) -> Self {
        Sites::new(vec![Site {
            hosts: vec![HostPattern::Every],
            domains,
        }])
    }

    /// The names, joined by commas as Plausible takes them, of the site that has a host. The host may carry a port and
    /// a trailing dot, in any case.
    pub fn find(&self, host: Option<&str>) -> Option<&str> {
        let host = host.map(name_of);
        self.0
            .iter()
            .find(|(hosts, _)| hosts.iter().any(|h| h.matches(host)))
            .map(|(_, domain)| domain.as_str())
    }
}

/// A host without its port and trailing dot.
fn name_of(host: &str) -> &str {
    let name = match host.strip_prefix('[') {
        // An IPv6 literal has colons of its own (RFC 3986 §3.2.2).
        Some(rest) => rest.find(']').map_or(host, |end| &host[..end + 2]),
        None => host.split(':').next().unwrap_or(host),
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_site_whose_host_matches_has_it() {
        let site = |hosts: &[&str], domains: &[&str]| Site {
            hosts: hosts.iter().map(|h| h.parse().unwrap()).collect(),
            domains: domains.iter().map(|d| (*d).to_owned()).collect(),
        };
        let sites = Sites::new(vec![
            site(&["example.com", "*.example.com"], &["example.com"]),
            site(&["a.example.com", "[2001:db8::1]"], &["never", "seen"]),
            site(&["*.example.org"], &["one", "two"]),
        ]);
        for (host, expected) in [
            ("example.com", Some("example.com")),
            ("EXAMPLE.com:8080", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("example.com.:80", Some("example.com")),
            ("a.b.example.com", Some("example.com")),
            ("badexample.com", None),
            ("example.org", None),
            (".example.org", None),
            ("x.example.org", Some("one,two")),
            ("[2001:db8::1]:80", Some("never,seen")),
            ("[2001:db8::1", None),
            ("", None),
        ] {
            assert_eq!(sites.find(Some(host)), expected, "{host}");
        }
        assert_eq!(sites.find(None), None);
        assert_eq!(Sites::every(vec!["x".into()]).find(None), Some("x"));
        for text in [
            "", "http://a", "a:80", "a/b", "*a", "a..b", "*.", "*.[::1]", "[::1", "[x]",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(NotAHostPattern), "{text}");
        }
    }
}
