//! The event: its body for Plausible, and the binary form in which the queue stores it.

use std::borrow::Cow;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::page::EventKind;

use super::json::{close, member};
use super::rules::EventRules;
use super::sighting::Sighting;
use super::url;
use super::wire::{WireReader, put, put_address, put_with};

/// One event: its visitor, and the body of the `POST {base}/api/event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The visitor's `User-Agent`, sent byte for byte.
    pub user_agent: Cow<'a, [u8]>,
    /// The visitor's address, sent as the only address of each address header.
    pub client: IpAddr,
    /// The body: JSON with the keys `name`, `url` and `domain`, perhaps also `referrer`, `props`,
    /// `revenue` and `interactive`.
    pub body: Cow<'a, [u8]>,
}

/// The first byte of the binary form, its version. What comes after the event, if anything does, is added to
/// it.
const FORM: u8 = 1;
/// The event's place in a source.
const PLACED: u8 = 1;
/// What the event is held for; after the place.
const HELD: u8 = 2;
/// The longest user agent that is kept, in bytes; the rest of a longer one is left out. Browsers' have 100 to
/// 500. Servers refuse requests with heads of more than 4 to 8 KiB, so an event with a longer one may never
/// arrive.
const MAX_USER_AGENT: usize = 1_024;
/// The user agent of a bot's event. Plausible drops events whose user agent it takes for a bot's; of this one it
/// knows nothing, by the lists of the program that it asks (device detector).
const NEUTRAL_USER_AGENT: &[u8] = b"Mozilla/5.0 (gatecount)";

impl<'a> Event<'a> {
    /// Builds the event of a sighting.
    pub fn build(rules: &EventRules, seen: &Sighting<'a>) -> Self {
        let mut body = Vec::new();
        write(rules, seen, &mut body);
        Event {
            user_agent: Cow::Borrowed(shown_user_agent(seen)),
            client: seen.client.to_canonical(),
            body: Cow::Owned(body),
        }
    }

    /// An event that comes with its body, as the tracker script's does.
    pub fn with_body(client: IpAddr, user_agent: &'a [u8], body: impl Into<Cow<'a, [u8]>>) -> Self {
        Event {
            user_agent: Cow::Borrowed(cut(user_agent)),
            client: client.to_canonical(),
            body: body.into(),
        }
    }

    /// Appends the binary form of a sighting's event without building the event first. Returns the visitor's
    /// key.
    pub fn record(rules: &EventRules, seen: &Sighting<'_>, out: &mut Vec<u8>) -> u64 {
        let client = seen.client.to_canonical();
        out.push(FORM);
        let start = out.len();
        put_visitor(out, client, shown_user_agent(seen));
        let end = out.len();
        put_with(out, |out| write(rules, seen, out));
        // Hash last: reading these bytes right after several small writes would stall on store forwarding.
        key(&out[start..end])
    }

    /// As [`record`](Self::record), with the event's place in a source that can be read again.
    pub fn record_placed(rules: &EventRules, seen: &Sighting<'_>, place: &[u8], out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        let key = Event::record(rules, seen, out);
        out[start] += PLACED;
        put(out, place);
        key
    }

    /// Adds to what was appended from `start` on what the event is held for.
    pub fn record_hold(out: &mut Vec<u8>, start: usize, hold: &[u8]) {
        out[start] += HELD;
        put(out, hold);
    }

    /// The place that [`record_placed`](Self::record_placed) wrote; `None` for any other bytes.
    pub fn place_of(bytes: &[u8]) -> Option<&[u8]> {
        Event::read(bytes)?.1.place
    }

    /// What [`record_hold`](Self::record_hold) wrote; `None` for any other bytes.
    pub fn hold_of(bytes: &[u8]) -> Option<&[u8]> {
        Event::read(bytes)?.1.hold
    }

    /// The key of the visitor with this address and user agent.
    pub fn visitor_of(client: IpAddr, user_agent: &[u8]) -> u64 {
        Event::with_body(client, user_agent, &b""[..]).visitor()
    }

    /// Appends the binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(32 + self.user_agent.len() + self.body.len());
        out.push(FORM);
        put_visitor(out, self.client, &self.user_agent);
        put(out, &self.body);
    }

    /// Reads what [`encode`](Self::encode) or [`record`](Self::record) wrote; `None` for any other bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        Some(Event::read(bytes)?.0)
    }

    /// The event, and what comes after it.
    fn read(bytes: &'a [u8]) -> Option<(Self, Additions<'a>)> {
        let mut from = WireReader(bytes);
        let added = from.byte()?.checked_sub(FORM)?;
        let client = from.address()?;
        let user_agent = Cow::Borrowed(from.bytes()?);
        let body = Cow::Borrowed(from.bytes()?);
        let event = Event {
            user_agent,
            client,
            body,
        };
        let mut addition = |bit| {
            if added & bit == 0 {
                return Some(None);
            }
            from.bytes().map(Some)
        };
        let additions = Additions {
            place: addition(PLACED)?,
            hold: addition(HELD)?,
        };
        (added & !(PLACED | HELD) == 0 && from.0.is_empty()).then_some((event, additions))
    }

    /// The site's domain, or several joined by commas. `None` if the body has none.
    pub fn domain(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("domain")?.as_str()?.to_owned())
    }

    /// The visitor's key. The same address and user agent have the same key in every process, because queues
    /// on disk store it.
    pub fn visitor(&self) -> u64 {
        let mut visitor = Vec::new();
        put_visitor(&mut visitor, self.client, &self.user_agent);
        key(&visitor)
    }
}

/// The user agent that Plausible gets.
fn shown_user_agent<'a>(seen: &Sighting<'a>) -> &'a [u8] {
    match seen.kind {
        EventKind::Bot { .. } => NEUTRAL_USER_AGENT,
        _ => cut(seen.user_agent),
    }
}

/// What comes after an event in the binary form.
struct Additions<'a> {
    place: Option<&'a [u8]>,
    hold: Option<&'a [u8]>,
}

/// At most [`MAX_USER_AGENT`] bytes of a user agent, and no part of a character.
fn cut(user_agent: &[u8]) -> &[u8] {
    let Some(kept) = user_agent.get(..=MAX_USER_AGENT) else {
        return user_agent;
    };
    // A character of UTF-8 starts with a byte that does not begin with the bits 10, and has four at the most.
    let starts = |at: &usize| kept[*at] & 0xc0 != 0x80;
    let end = (MAX_USER_AGENT - 3..=MAX_USER_AGENT).rev().find(starts);
    &kept[..end.unwrap_or(MAX_USER_AGENT)]
}

/// Appends what identifies the visitor.
fn put_visitor(out: &mut Vec<u8>, client: IpAddr, user_agent: &[u8]) {
    put_address(out, client);
    put(out, user_agent);
}

/// The key of what [`put_visitor`] wrote.
fn key(visitor: &[u8]) -> u64 {
    // SipHash resists collisions even with a known key: nobody can choose a user agent that delays another
    // visitor.
    SipHasher13::new_with_keys(0, 0).hash(visitor)
}

/// Appends the body.
fn write(rules: &EventRules, seen: &Sighting<'_>, out: &mut Vec<u8>) {
    match seen.kind {
        EventKind::PageView => out.extend_from_slice(b"{\"name\":\"pageview\",\"url\":\""),
        EventKind::Bot { .. } => out.extend_from_slice(b"{\"name\":\"Bot\",\"url\":\""),
        EventKind::NotFound => out.extend_from_slice(b"{\"name\":\"404\",\"url\":\""),
        EventKind::Download => out.extend_from_slice(b"{\"name\":\"File Download\",\"url\":\""),
        EventKind::Custom(name) => {
            member(out, b"{\"name\":\"", name.as_bytes());
            out.extend_from_slice(b",\"url\":\"");
        }
    }
    let start = out.len();
    let linking = match seen.kind {
        EventKind::Download => rules.linking_page(seen.referrer, seen.host, seen.domain),
        _ => None,
    };
    let path = write_url(rules, seen.https, seen.host, seen.target, seen.domain, out);
    // The value of the prop, taken before the url is escaped for JSON.
    let prop: (&[u8], Cow<'_, [u8]>) = match seen.kind {
        EventKind::PageView | EventKind::Custom(_) => (b"", Cow::default()),
        EventKind::NotFound | EventKind::Bot { .. } => (b"path", Cow::Owned(out[path].to_vec())),
        // As the tracker sends it: the link without its query.
        EventKind::Download => (b"url", Cow::Owned(out[start..path.end].to_vec())),
    };
    if let Some(page) = linking {
        out.truncate(start);
        write_url(rules, page.https, page.host, page.target, seen.domain, out);
    }
    close(out, start);

    member(out, b",\"domain\":\"", seen.domain);
    let referrer = match seen.kind {
        // The page that has the link is the event's own, or somebody else's.
        EventKind::Download => None,
        _ => seen.referrer.and_then(url::referrer),
    };
    if let Some(referrer) = referrer {
        member(
            out,
            b",\"referrer\":\"",
            &rules.shown_referrer(referrer, seen.host),
        );
    }
    if let (name @ [_, ..], value) = prop {
        out.extend_from_slice(b",\"props\":{\"");
        if let EventKind::Bot { name, kind } = seen.kind {
            member(out, b"bot\":\"", name.as_bytes());
            member(out, b",\"kind\":\"", kind.label().as_bytes());
            out.extend_from_slice(b",\"");
        }
        out.extend_from_slice(name);
        member(out, b"\":\"", &value);
        out.push(b'}');
    }
    out.extend_from_slice(seen.members);
    out.push(b'}');
}

/// Appends a url of the site. Returns where its path starts and ends.
fn write_url(
    rules: &EventRules,
    https: bool,
    host: &[u8],
    target: &[u8],
    domain: &[u8],
    out: &mut Vec<u8>,
) -> std::ops::Range<usize> {
    let (path, query) = url::split(target);
    let parts = (rules.shown_path(path), query);
    url::write(https, host, domain, parts, &rules.query, out)
}

#[cfg(test)]
mod tests;
