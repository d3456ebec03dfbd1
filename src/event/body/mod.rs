//! The event in Plausible's form, as the queue keeps it and delivery sends it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::page::What;

use super::wire::{Reader, put, put_address};
use super::{Rules, Sighting, url};

/// One event: whose it is, and the body of the `POST {base}/api/event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The visitor's `User-Agent`, sent byte for byte.
    pub user_agent: Cow<'a, [u8]>,
    /// The visitor's address, sent as the one bare address of each address header.
    pub client: IpAddr,
    /// The body: JSON with the keys `name`, `url`, `domain`, and where there is something `referrer` and `props`.
    pub body: Cow<'a, [u8]>,
}

/// The first byte of the binary form.
const FORM: u8 = 1;

impl<'a> Event<'a> {
    /// Builds the event of a sighting.
    pub fn build(rules: &Rules, seen: &Sighting<'a>) -> Self {
        let fallback = seen.domain.split(',').next().unwrap_or_default();
        let mut address = String::with_capacity(64 + seen.host.len() + seen.target.len().min(url::LONGEST));
        let path = url::write(
            seen.https,
            seen.host,
            fallback,
            seen.target,
            &rules.query,
            &mut address,
        );
        let referrer = seen.referrer.and_then(url::referrer);

        let mut body = String::with_capacity(address.len() + referrer.as_ref().map_or(0, |r| r.len()) + 160);
        let name = match seen.what {
            What::PageView | What::Bot(_) => "pageview",
            What::NotFound => "404",
            What::Download => "File Download",
        };
        member(&mut body, "{\"name\":", name);
        member(&mut body, ",\"url\":", &address);
        member(&mut body, ",\"domain\":", seen.domain);
        if let Some(referrer) = &referrer {
            member(&mut body, ",\"referrer\":", referrer);
        }
        match seen.what {
            What::PageView => body.push('}'),
            What::NotFound => prop(&mut body, "path", &address[path]),
            // As the tracker has it: the link without its query.
            What::Download => prop(&mut body, "url", &address[..path.end]),
            What::Bot(name) => prop(&mut body, "bot", name),
        }
        Event {
            user_agent: Cow::Borrowed(seen.user_agent),
            client: seen.client.to_canonical(),
            body: Cow::Owned(body.into_bytes()),
        }
    }

    /// Appends the binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(32 + self.user_agent.len() + self.body.len());
        out.push(FORM);
        put_address(out, self.client);
        put(out, &self.user_agent);
        put(out, &self.body);
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else: `None` for any other bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.byte()? != FORM {
            return None;
        }
        let client = from.address()?;
        let user_agent = Cow::Borrowed(from.bytes()?);
        let body = Cow::Borrowed(from.bytes()?);
        from.0.is_empty().then_some(Event {
            user_agent,
            client,
            body,
        })
    }

    /// The visitor's key: the same address and user agent have the same one, in every version and process.
    pub fn visitor(&self) -> u64 {
        // Eight bytes at a time are turned, added and multiplied in, with a final mix (MurmurHash3's), for the keys choose
        // among few lanes. It needs no secret: who makes keys collide only makes his own events wait for each other.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |word: u64| hash = (hash.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match self.client {
            IpAddr::V4(v4) => add(v4.to_bits().into()),
            IpAddr::V6(v6) => {
                add(v6.to_bits() as u64);
                add((v6.to_bits() >> 64) as u64);
            }
        }
        let (words, rest) = self.user_agent.as_chunks::<8>();
        for word in words {
            add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        add(u64::from_le_bytes(last));
        add(self.user_agent.len() as u64);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ hash >> 33
    }
}

/// The key's text comes with all that stands before its value.
fn member(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    quote(out, value);
}

/// The props with one entry, and the end of the object.
fn prop(out: &mut String, key: &str, value: &str) {
    out.push_str(",\"props\":{\"");
    out.push_str(key);
    out.push_str("\":");
    quote(out, value);
    out.push_str("}}");
}

/// A JSON string (RFC 8259 §7), without any raw control character.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    // Nearly all texts are plain, and a whole text is looked through faster than one that may end at any byte.
    if !text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !is_escaped(byte) {
            continue;
        }
        // What is escaped is ASCII, so both cuts are at characters.
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            _ => write!(out, "\\u{byte:04x}").expect("a String takes all that is written"),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\' || byte == 0x7f
}

#[cfg(test)]
mod tests;
