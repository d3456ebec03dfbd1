//! An event as Plausible is told of it: `POST /api/event`, its body by the Events API reference, long names.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use super::{
    Query, Sighting, Sites,
    sighting::{Reader, encode_address},
    url::{page_url, path_of, referrer, within},
};
use crate::page::What;

/// The longest value of a prop, in bytes; a longer one refuses the whole event.
const MAX_PROP: usize = 2_000;

/// What building an event needs of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The sites.
    pub sites: Sites,
    /// The query parameters that a url keeps.
    pub query: Query,
}

/// One event: who it is about, and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// `User-Agent`, byte for byte.
    pub user_agent: Cow<'a, [u8]>,
    /// The visitor's address.
    pub client: IpAddr,
    /// The JSON body.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Event<'a> {
    /// Builds the event of a sighting.
    pub fn build(rules: &Rules, sighting: &Sighting<'a>) -> Event<'a> {
        let s = sighting;
        let site = s.domain.split(',').next().unwrap_or_default();
        let url = page_url(s.https, s.host, site, s.target, &rules.query);
        let mut body = Vec::with_capacity(256);
        let name = match s.what {
            What::PageView | What::Bot(_) => "pageview",
            What::NotFound => "404",
            What::Download => "File Download",
        };
        key(&mut body, "name", name);
        key(&mut body, "url", &url);
        key(&mut body, "domain", s.domain);
        if let Some(referrer) = s.referrer.and_then(referrer) {
            key(&mut body, "referrer", &referrer);
        }
        match s.what {
            What::PageView => {}
            What::NotFound => prop(&mut body, "path", within(path_of(s.target), MAX_PROP)),
            What::Download => prop(&mut body, "url", url.split('?').next().unwrap_or_default()),
            What::Bot(name) => prop(&mut body, "bot", within(name, MAX_PROP)),
        }
        body.push(b'}');
        Event {
            user_agent: Cow::Borrowed(s.user_agent),
            client: s.client,
            body: Cow::Owned(body),
        }
    }

    /// Appends the event's bytes, as a queue keeps them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_address(self.client, out);
        for part in [&self.user_agent, &self.body] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }

    /// Reads what [`Event::encode`] wrote; `None` for any other bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Event<'a>> {
        let mut r = Reader(bytes);
        let (client, user_agent, body) = (r.address()?, r.bytes()?, r.bytes()?);
        r.0.is_empty().then_some(Event {
            user_agent: Cow::Borrowed(user_agent),
            client,
            body: Cow::Borrowed(body),
        })
    }

    /// The visitor, as far as order goes: the same address and user agent give the same number.
    pub fn visitor(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.client.hash(&mut hasher);
        self.user_agent.hash(&mut hasher);
        hasher.finish()
    }
}

/// Appends `"name":"value"`, the first behind the object's brace.
fn key(body: &mut Vec<u8>, name: &str, value: &str) {
    body.push(if body.is_empty() { b'{' } else { b',' });
    string(body, name);
    body.push(b':');
    string(body, value);
}

fn prop(body: &mut Vec<u8>, name: &str, value: &str) {
    body.extend_from_slice(b",\"props\":{");
    string(body, name);
    body.push(b':');
    string(body, value);
    body.push(b'}');
}

/// A JSON string (RFC 8259 §7).
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, b) in text.bytes().enumerate() {
        if b >= b' ' && b != b'"' && b != b'\\' && b != 0x7f {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            _ => {
                let hex = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b)]);
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}
