//! What a worker thread saw of a page view or another event: borrowed values, written into its ring without
//! an allocation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::page::{EventKind, bots::BotKind};

use super::wire::WireReader;

/// The values that an event is made of, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Nanoseconds of the process's monotonic clock, for the order among threads.
    pub at_ns: u64,
    /// Milliseconds of the steady wall clock.
    pub at_ms: u64,
    /// What the event reports.
    pub kind: EventKind<'a>,
    /// The visitor's address.
    pub client: IpAddr,
    /// The visitor's `User-Agent`, raw; empty if none was sent.
    pub user_agent: &'a [u8],
    /// The visitor used https.
    pub https: bool,
    /// The host that the visitor used, with its port, UTF-8; empty if it is unknown.
    pub host: &'a [u8],
    /// Path and query as the visitor's client sent them, UTF-8.
    pub target: &'a [u8],
    /// `Referer`, raw.
    pub referrer: Option<&'a [u8]>,
    /// The Plausible domains, joined by commas: for a bot, those of
    /// [`PageRules::domain`](crate::page::PageRules::domain).
    pub domain: &'a [u8],
    /// What the body says beside that, as JSON members with a comma before each: of a custom event its props,
    /// revenue and the like, of a page view the props that the app gave it. Empty if nothing.
    pub members: &'a [u8],
}

const PAGE_VIEW: u8 = 0;
const NOT_FOUND: u8 = 1;
const DOWNLOAD: u8 = 2;
const CUSTOM: u8 = 3;
/// A bot of the first kind; those of the others follow.
const BOT: u8 = 4;

const HTTPS: u8 = 1;
const REFERRER: u8 = 2;
const IPV6: u8 = 4;

/// The texts of variable length: user agent, referrer, the bot's or the event's name, host, target, domain,
/// members.
const TEXTS: usize = 7;
/// The bytes before the texts: both times, the kind, the flags, the address, and the length of each text.
const HEAD: usize = 8 + 8 + 1 + 1 + 16 + 4 * TEXTS;
/// Where the flags are; the address follows.
const FLAGS: usize = 8 + 8 + 1;

/// The flag of an address's family, and its bytes.
fn wire_address(address: IpAddr) -> (u8, [u8; 16]) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            (0, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(v6) => (IPV6, v6.octets()),
    }
}

impl<'a> Sighting<'a> {
    /// Appends the binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, name) = match self.kind {
            EventKind::PageView => (PAGE_VIEW, ""),
            EventKind::NotFound => (NOT_FOUND, ""),
            EventKind::Download => (DOWNLOAD, ""),
            EventKind::Bot { name, kind } => (BOT + kind as u8, name),
            EventKind::Custom(name) => (CUSTOM, name),
        };
        let (family, address) = wire_address(self.client);
        let flags =
            if self.https { HTTPS } else { 0 } | if self.referrer.is_some() { REFERRER } else { 0 } | family;
        let texts = [
            self.user_agent,
            self.referrer.unwrap_or_default(),
            name.as_bytes(),
            self.host,
            self.target,
            self.domain,
            self.members,
        ];
        out.reserve(HEAD + texts.iter().map(|text| text.len()).sum::<usize>());
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        let (fixed, lengths) = out[start..].split_at_mut(HEAD - 4 * TEXTS);
        fixed[..8].copy_from_slice(&self.at_ns.to_le_bytes());
        fixed[8..16].copy_from_slice(&self.at_ms.to_le_bytes());
        fixed[16] = kind;
        fixed[FLAGS] = flags;
        fixed[FLAGS + 1..].copy_from_slice(&address);
        for (length, text) in lengths.chunks_exact_mut(4).zip(texts) {
            length.copy_from_slice(&(text.len() as u32).to_le_bytes());
        }
        for text in texts {
            out.extend_from_slice(text);
        }
    }

    /// Sets `at_ns` and `at_ms` in what [`encode`](Self::encode) wrote.
    pub fn stamp(encoded: &mut [u8], order: u64, time: u64) {
        if let Some((first, rest)) = encoded.split_first_chunk_mut()
            && let Some(second) = rest.first_chunk_mut()
        {
            *first = order.to_le_bytes();
            *second = time.to_le_bytes();
        }
    }

    /// The time in milliseconds, `at_ms`, of what [`encode`](Self::encode) wrote.
    pub fn time_of(encoded: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(*encoded.get(8..)?.first_chunk()?))
    }

    /// Whether what [`encode`](Self::encode) wrote is of this client.
    pub fn is_by(encoded: &[u8], client: IpAddr) -> bool {
        let (family, address) = wire_address(client);
        encoded.get(FLAGS).is_some_and(|flags| flags & IPV6 == family)
            && encoded.get(FLAGS + 1..FLAGS + 17) == Some(&address[..])
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for any other bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut head = WireReader(bytes.get(..HEAD)?);
        let mut texts = WireReader(&bytes[HEAD..]);
        let (order, time) = (head.number()?, head.number()?);
        let [kind, flags] = head.array()?;
        let address: [u8; 16] = head.array()?;
        let mut text = || texts.take(u32::from_le_bytes(head.array()?) as usize);
        let (user_agent, referrer, name) = (text()?, text()?, text()?);
        let (host, target, domain, members) = (text()?, text()?, text()?, text()?);
        let kind = match (kind, name) {
            (PAGE_VIEW, b"") => EventKind::PageView,
            (NOT_FOUND, b"") => EventKind::NotFound,
            (DOWNLOAD, b"") => EventKind::Download,
            (CUSTOM, name) => EventKind::Custom(std::str::from_utf8(name).ok()?),
            (bot, name) => EventKind::Bot {
                name: std::str::from_utf8(name).ok()?,
                kind: *BotKind::ALL.get(usize::from(bot.checked_sub(BOT)?))?,
            },
        };
        let client: IpAddr = match (flags & IPV6, address) {
            (0, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Ipv4Addr::new(a, b, c, d).into(),
            (0, _) => return None,
            (_, octets) => Ipv6Addr::from(octets).into(),
        };
        let has_referrer = flags & REFERRER != 0;
        let plain = flags & !(HTTPS | REFERRER | IPV6) == 0 && texts.0.is_empty();
        (plain && (has_referrer || referrer.is_empty())).then_some(Sighting {
            at_ns: order,
            at_ms: time,
            kind,
            client,
            user_agent,
            https: flags & HTTPS != 0,
            host,
            target,
            referrer: has_referrer.then_some(referrer),
            domain,
            members,
        })
    }
}
