//! What Plausible takes, read the strict way: the receiving end of `POST /api/event`.
//!
//! Plausible's Events API reference and its ingest code differ in places; where they do, the stricter one is kept
//! here, so that an event that passes would pass either. The demo's receiver answers by it, and the test suite holds
//! what gatecount sends against it. No I/O; it shares nothing with the code that builds events, so that a mistake
//! there is not repeated here.
//!
//! Errors have the form of Plausible's own 400: texts by field, all mistakes at once.

mod address;
mod body;
mod breaches;
#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use httparse::Header;
use serde_json::{Map, Value, json};

pub use breaches::breaches;

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 1_000_000;

/// An event that Plausible would take.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// `pageview`, `engagement` or the name of a custom event; at most 120 characters.
    pub name: String,
    /// The url as sent; at most 2,000 bytes.
    pub url: String,
    /// The url's host in lower case without `www.`; `(none)` where it has none.
    pub host: String,
    /// The url's path, `/` at least; with the fragment where the event asks for it (`hashMode`).
    pub path: String,
    /// The query parameters that Plausible keeps (`ref`, `source`, `utm_*`), decoded, in the url's order.
    pub tags: Vec<(String, String)>,
    /// The sites that get the event, without `www.`; one at least.
    pub domains: Vec<String>,
    /// The referrer, cut at 2,000 characters.
    pub referrer: Option<String>,
    /// The custom properties as text; those whose values Plausible discards are left out.
    pub props: Vec<(String, String)>,
    /// The revenue; an invalid one is discarded and the event counts.
    pub revenue: Option<Revenue>,
    /// False: the event does not end a bounce.
    pub interactive: bool,
    /// How far the page was scrolled, in per cent.
    pub scroll_depth: Option<u8>,
    /// How long the page was in use, in milliseconds.
    pub engagement_ms: Option<u64>,
    /// The version of the tracker script that sent the event.
    pub script_version: Option<u64>,
    /// The visitor's address.
    pub client: IpAddr,
    /// The header that gave the address, in lower case; `peer` where none did.
    pub client_from: &'static str,
    /// The visitor's user agent, raw.
    pub user_agent: Vec<u8>,
    /// `X-Plausible-IP-Type: dc_ip` was there: the event is dropped for every site.
    pub data_centre: bool,
}

/// What a sale brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revenue {
    /// An ISO 4217 code.
    pub currency: String,
    /// A decimal number, as sent.
    pub amount: String,
}

/// Where a visitor came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The link's tag, or else the referring host.
    Named(String),
    /// Neither tag nor referrer.
    Direct,
    /// Another page of the same site.
    Internal,
}

/// Why an event is refused: texts by field, never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(BTreeMap<&'static str, Vec<String>>);

impl Accepted {
    /// Who this event's visitor is to the site `domain`: user agent, address, site and the registrable domain of the
    /// url's host, hashed under `salt`. Plausible changes its salt daily; the same salt gives the same visitor.
    pub fn visitor(&self, domain: &str, salt: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        self.user_agent.hash(&mut hasher);
        self.client.hash(&mut hasher);
        domain.hash(&mut hasher);
        url::registrable(&self.host).hash(&mut hasher);
        hasher.finish()
    }

    /// Where this event's visitor came from: `utm_source`, `source` or `ref` of the url, else the referrer's host. The
    /// site's own host is no source, and `localhost` is none of another's.
    pub fn source(&self) -> Source {
        if let Some(tag) = ["utm_source", "source", "ref"]
            .iter()
            .find_map(|name| self.tag(name))
        {
            return Source::Named(tag.to_owned());
        }
        let referring = self
            .referrer
            .as_deref()
            .and_then(|r| url::Url::read(r, false).ok());
        match referring.map(|r| r.host) {
            Some(host) if host == self.host => Source::Internal,
            Some(host) if host != "(none)" && host != "localhost" => Source::Named(host),
            _ => Source::Direct,
        }
    }

    /// The value of a kept query parameter.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Errors {
    /// The texts of one field; none where it is fine.
    pub fn of(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    /// Field and text, for each mistake.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .iter()
            .flat_map(|(field, texts)| texts.iter().map(|t| (*field, t.as_str())))
    }

    /// The body of the 400 that Plausible would answer.
    pub fn to_json(&self) -> Value {
        json!({ "errors": self.0 })
    }

    fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.0.entry(field).or_default().push(text.into());
    }
}

/// Reads one event. `fields` are the request's header lines, `peer` is who sent it, `body` what came after the head.
pub fn accept(fields: &[Header<'_>], peer: IpAddr, body: &[u8]) -> Result<Accepted, Errors> {
    let mut errors = Errors::default();

    if !first(fields, "content-type").is_some_and(is_json_or_text) {
        errors.add("content-type", "must be application/json or text/plain");
    }
    let user_agent = first(fields, "user-agent").unwrap_or_default();
    if user_agent.is_empty() {
        errors.add("user_agent", "can't be blank");
    }

    let empty = Map::new();
    let parsed = object(body, &mut errors);
    let parts = body::read(parsed.as_ref().unwrap_or(&empty), &mut errors);
    match parts {
        Some(parts) if errors.0.is_empty() => {
            let (client, client_from) = address::client(fields, peer);
            Ok(Accepted {
                name: parts.name,
                host: parts.url.host,
                path: parts.url.path,
                tags: parts.url.tags,
                url: parts.url.text,
                domains: parts.domains,
                referrer: parts.referrer,
                props: parts.props,
                revenue: parts.revenue,
                interactive: parts.interactive,
                scroll_depth: parts.scroll_depth,
                engagement_ms: parts.engagement_ms,
                script_version: parts.script_version,
                client,
                client_from,
                user_agent: user_agent.to_vec(),
                data_centre: first(fields, "x-plausible-ip-type").is_some_and(|v| v == b"dc_ip"),
            })
        }
        _ if parsed.is_some() => Err(errors),
        // Of a body that could not be read, its fields are not missing: they are unknown.
        _ => {
            errors
                .0
                .retain(|field, _| matches!(*field, "content-type" | "user_agent" | "request"));
            Err(errors)
        }
    }
}

/// The body as a JSON object.
fn object(body: &[u8], errors: &mut Errors) -> Option<Map<String, Value>> {
    if body.len() > MAX_BODY {
        errors.add("request", format!("body is longer than {MAX_BODY} bytes"));
        return None;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Some(map),
        Ok(_) => {
            errors.add("request", "body must be a JSON object");
            None
        }
        Err(e) => {
            errors.add("request", format!("Unable to parse request body as json: {e}"));
            None
        }
    }
}

/// The first line of a field, blanks around it cut.
fn first<'a>(fields: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|f| f.name.eq_ignore_ascii_case(name))
        .map(|f| f.value.trim_ascii())
}

/// The two types that the reference lists; the body is JSON either way.
fn is_json_or_text(value: &[u8]) -> bool {
    let kind = value
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json") || kind.eq_ignore_ascii_case(b"text/plain")
}
