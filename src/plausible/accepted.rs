//! An event that Plausible accepts, and how it would be counted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::url::{Url, registrable};

/// An event that Plausible accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// `pageview`, `engagement` or the name of a custom event; at most 120 characters.
    pub name: String,
    /// The url as sent; at most 2,000 bytes.
    pub url: String,
    /// The url's host in lower case without `www.`; `(none)` where it has none.
    pub host: String,
    /// The url's path, at least `/`; with the fragment if the event asks for it (`hashMode`).
    pub path: String,
    /// The query parameters that Plausible keeps (`ref`, `source`, `utm_*`), decoded, in the url's order.
    pub tags: Vec<(String, String)>,
    /// The sites that get the event, without `www.`; at least one.
    pub domains: Vec<String>,
    /// The referrer, cut at 2,000 characters.
    pub referrer: Option<String>,
    /// The custom properties as text, without those whose values Plausible discards.
    pub props: Vec<(String, String)>,
    /// The revenue. An invalid one is discarded, and the event counts without it.
    pub revenue: Option<Revenue>,
    /// Whether the event ends a bounce.
    pub interactive: bool,
    /// How far the page was scrolled, in per cent.
    pub scroll_depth: Option<u8>,
    /// How long the page was in use, in milliseconds.
    pub engagement_ms: Option<u64>,
    /// The version of the tracker script that sent the event.
    pub script_version: Option<u64>,
    /// The visitor's address.
    pub client: IpAddr,
    /// The header that gave the address, in lower case; `peer` if none did.
    pub client_from: &'static str,
    /// The visitor's user agent, raw.
    pub user_agent: Vec<u8>,
    /// `X-Plausible-IP-Type: dc_ip` was sent: the event is dropped for every site.
    pub data_centre: bool,
}

/// The revenue of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revenue {
    /// An ISO 4217 code.
    pub currency: String,
    /// A decimal number, as sent.
    pub amount: String,
}

/// Where a visitor came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrafficSource {
    /// The link's tag, or else the referring host.
    Named(String),
    /// There is neither tag nor referrer.
    Direct,
    /// Another page of the same site.
    Internal,
}

impl Accepted {
    /// Who this event's visitor is to the site `domain`: user agent, address, site and the registrable domain
    /// of the url's host, hashed under `salt`. Plausible changes its salt daily; the same salt gives the same
    /// visitor.
    pub fn visitor(&self, domain: &str, salt: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        self.user_agent.hash(&mut hasher);
        self.client.hash(&mut hasher);
        domain.hash(&mut hasher);
        registrable(&self.host).hash(&mut hasher);
        hasher.finish()
    }

    /// Where this event's visitor came from: `utm_source`, `source` or `ref` of the url, else the referrer's
    /// host. The site's own host and `localhost` are not counted as sources.
    pub fn source(&self) -> TrafficSource {
        if let Some(tag) = ["utm_source", "source", "ref"]
            .iter()
            .find_map(|name| self.tag(name))
        {
            return TrafficSource::Named(tag.to_owned());
        }
        let referring = self.referrer.as_deref().and_then(|r| Url::read(r, false).ok());
        match referring.map(|r| r.host) {
            Some(host) if host == self.host => TrafficSource::Internal,
            Some(host) if host != "(none)" && host != "localhost" => TrafficSource::Named(host),
            _ => TrafficSource::Direct,
        }
    }

    /// The value of a kept query parameter.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}
