//! Which Plausible domains a host belongs to.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The sites in their order. The first whose hosts match is the one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    /// The host patterns of each site, and its domains joined by commas, as Plausible accepts several.
    sites: Vec<(Vec<HostPattern>, String)>,
}

/// One `[[sites]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The hosts of the site.
    pub hosts: Vec<HostPattern>,
    /// The Plausible domains that get the site's events.
    pub domains: Vec<String>,
}

impl Sites {
    /// The sites by their hosts. A host that no site has is unknown.
    pub fn new(sites: Vec<Site>) -> Self {
        Sites {
            sites: sites
                .into_iter()
                .map(|s| (s.hosts, s.domains.join(",")))
                .collect(),
        }
    }

    /// One site for every host, and for requests without a host.
    pub fn every(domains: &[String]) -> Self {
        Sites::new(vec![Site {
            hosts: vec![HostPattern::Any],
            domains: domains.to_vec(),
        }])
    }

    /// The domains of a host, joined by commas. The host may have a port; its case and a trailing dot do not
    /// matter.
    pub fn find(&self, host: Option<&str>) -> Option<&str> {
        let host = host.map(name_of);
        let site = self.sites.iter().find(|(hosts, _)| {
            hosts
                .iter()
                .any(|h| *h == HostPattern::Any || host.is_some_and(|name| h.matches(name)))
        })?;
        Some(&site.1)
    }

    /// As [`find`](Self::find), for a host that a site names itself, and not by a pattern for every host.
    pub fn find_named(&self, host: &str) -> Option<&str> {
        let name = name_of(host);
        let names = |pattern: &HostPattern| *pattern != HostPattern::Any && pattern.matches(name);
        let site = self.sites.iter().find(|(hosts, _)| hosts.iter().any(names))?;
        Some(&site.1)
    }

    /// Whether some site has this domain. A leading `www.` does not matter, as to Plausible.
    pub fn has_domain(&self, domain: &str) -> bool {
        let mut domains = self.sites.iter().flat_map(|(_, domains)| domains.split(','));
        domains.any(|known| without_www(known) == without_www(domain))
    }
}

fn without_www(domain: &str) -> &str {
    domain.strip_prefix("www.").unwrap_or(domain)
}

/// A host without port, brackets and trailing dot.
pub(super) fn name_of(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or(address);
    }
    let name = host.split(':').next().unwrap_or(host);
    name.strip_suffix('.').unwrap_or(name)
}

/// One of a site's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// A host by its name or address, lower case.
    Exact(String),
    /// `*.example.com`: every host below `example.com` at any depth, but not `example.com` itself. Stored
    /// with the dot in front.
    Below(String),
    /// `*`: every host.
    Any,
}

/// Why a text is not a [`HostPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is empty.
    #[error("write a host, as in \"example.com\" or \"*.example.com\"")]
    Empty,
    /// It has a scheme or a path.
    #[error("write the host alone, without \"https://\" and path")]
    Url,
    /// It has a port.
    #[error("write the host without a port: every port matches")]
    Port,
    /// It has a star in another place than `*.` at the start.
    #[error("a \"*\" stands at the start alone, as in \"*.example.com\"")]
    Star,
    /// It has a character that hosts do not have.
    #[error(
        "a host has letters, digits, dots and hyphens; write other letters as browsers send them, \"xn--…\""
    )]
    Character,
}

impl HostPattern {
    /// Whether each host that `other` matches is matched too.
    pub fn covers(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Any, _) => true,
            (_, HostPattern::Exact(host)) => self.matches(host),
            (HostPattern::Below(end), HostPattern::Below(other)) => other.ends_with(end),
            _ => false,
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(name) => {
                host.eq_ignore_ascii_case(name)
                    || name.contains(':') && host.parse::<Ipv6Addr>() == name.parse()
            }
            HostPattern::Below(end) => {
                let Some(at) = host.len().checked_sub(end.len()) else {
                    return false;
                };
                at > 0 && host.as_bytes()[at..].eq_ignore_ascii_case(end.as_bytes())
            }
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let text = text.trim();
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        if text.contains('/') {
            return Err(HostError::Url);
        }
        let address = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = address.parse::<Ipv6Addr>() {
            return Ok(HostPattern::Exact(address.to_string()));
        }
        if text.contains(':') {
            return Err(HostError::Port);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let (below, name) = name.strip_prefix("*.").map_or((false, name), |n| (true, n));
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.contains('*') {
            return Err(HostError::Star);
        }
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !name.bytes().all(known) || name.split('.').any(str::is_empty) {
            return Err(HostError::Character);
        }
        let name = name.to_ascii_lowercase();
        Ok(if below {
            HostPattern::Below(format!(".{name}"))
        } else {
            HostPattern::Exact(name)
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(end) => write!(f, "*{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Sites {
        let site = |hosts: &[&str], domains: &[&str]| Site {
            hosts: hosts.iter().map(|h| h.parse().unwrap()).collect(),
            domains: domains.iter().map(|d| (*d).to_owned()).collect(),
        };
        Sites::new(vec![
            site(&["shop.example.com"], &["shop"]),
            site(&["example.com", "*.Example.com"], &["example.com", "all.example"]),
            site(&["[2001:db8::0:1]", "192.0.2.1"], &["by-address"]),
        ])
    }

    #[test]
    fn the_first_site_whose_host_matches_is_it() {
        let sites = sites();
        for (host, domains) in [
            ("example.com", Some("example.com,all.example")),
            ("EXAMPLE.com:8080", Some("example.com,all.example")),
            ("example.com.", Some("example.com,all.example")),
            ("example.com.:443", Some("example.com,all.example")),
            ("www.example.com", Some("example.com,all.example")),
            ("a.b.example.com", Some("example.com,all.example")),
            ("shop.example.com", Some("shop")),
            ("badexample.com", None),
            (".example.com", None),
            ("example.com.evil.test", None),
            ("example.org", None),
            ("", None),
            ("[2001:DB8::1]:443", Some("by-address")),
            ("[2001:db8::2]", None),
            ("192.0.2.1:80", Some("by-address")),
        ] {
            assert_eq!(sites.find(Some(host)), domains, "{host}");
        }
        assert_eq!(sites.find(None), None);
    }

    #[test]
    fn a_domain_is_known_by_its_whole_name() {
        let sites = sites();
        for (domain, known) in [
            ("shop", true),
            ("all.example", true),
            ("www.example.com", true),
            ("example", false),
            ("example.com,all.example", false),
            ("", false),
        ] {
            assert_eq!(sites.has_domain(domain), known, "{domain}");
        }
    }

    #[test]
    fn a_domain_without_hosts_stands_for_every_host() {
        let sites = Sites::every(&["a.example".to_owned(), "b.example".to_owned()]);
        assert_eq!(sites.find(Some("whatever.test:1")), Some("a.example,b.example"));
        assert_eq!(sites.find(None), Some("a.example,b.example"));
        assert_eq!(sites.find_named("whatever.test"), None);
        assert_eq!(Sites::default().find(Some("whatever.test")), None);
    }

    #[test]
    fn what_is_no_host_pattern_says_what_would_be() {
        for (text, error) in [
            ("", HostError::Empty),
            ("*.", HostError::Star),
            ("https://example.com", HostError::Url),
            ("example.com:8080", HostError::Port),
            ("www.*.com", HostError::Star),
            ("*example.com", HostError::Star),
            ("bücher.example", HostError::Character),
            ("a..b", HostError::Character),
            ("exa mple.com", HostError::Character),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
        for text in ["example.com", "*.example.com", "*"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }
}
