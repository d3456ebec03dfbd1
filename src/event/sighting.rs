//! What a worker saw of a page view, in the form that it is handed on in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::page::What;

/// The few values that an event is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// When, in nanoseconds of the process's own clock: the order of events.
    pub at_ns: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What it was.
    pub what: What<'a>,
    /// The visitor's address.
    pub client: IpAddr,
    /// `User-Agent`, raw.
    pub user_agent: &'a [u8],
    /// The visitor used https.
    pub https: bool,
    /// The host that the visitor used, maybe with a port; empty where none was sent.
    pub host: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// `Referer`, raw.
    pub referrer: Option<&'a [u8]>,
    /// The site's names at Plausible, joined by commas.
    pub domain: &'a str,
}

impl<'a> Sighting<'a> {
    /// Appends the sighting's bytes: fixed-size values first, then each text behind its length (32 bits).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (what, bot) = match self.what {
            What::PageView => (0, ""),
            What::NotFound => (1, ""),
            What::Download => (2, ""),
            What::Bot(name) => (3, name),
        };
        out.extend_from_slice(&self.at_ns.to_le_bytes());
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.push(what | u8::from(self.https) << 4 | u8::from(self.referrer.is_some()) << 5);
        encode_address(self.client, out);
        for text in [
            self.user_agent,
            self.host.as_bytes(),
            self.target.as_bytes(),
            self.domain.as_bytes(),
            bot.as_bytes(),
            self.referrer.unwrap_or_default(),
        ] {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
    }

    /// Reads what [`Sighting::encode`] wrote; `None` for any other bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        let (at_ns, at_ms) = (r.u64()?, r.u64()?);
        let flags = r.take(1)?[0];
        let client = r.address()?;
        let user_agent = r.bytes()?;
        let (host, target, domain, bot) = (r.text()?, r.text()?, r.text()?, r.text()?);
        let referrer = r.bytes()?;
        let what = match flags & 15 {
            0 => What::PageView,
            1 => What::NotFound,
            2 => What::Download,
            3 => What::Bot(bot),
            _ => return None,
        };
        let https = flags & 1 << 4 != 0;
        let referrer = (flags & 1 << 5 != 0).then_some(referrer);
        r.0.is_empty().then_some(Sighting {
            at_ns,
            at_ms,
            what,
            client,
            user_agent,
            https,
            host,
            target,
            referrer,
            domain,
        })
    }
}

/// An address as a byte that tells its family, and its own bytes.
pub(super) fn encode_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(a) => {
            out.push(4);
            out.extend_from_slice(&a.octets());
        }
        IpAddr::V6(a) => {
            out.push(6);
            out.extend_from_slice(&a.octets());
        }
    }
}

/// Takes values off the front of bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn address(&mut self) -> Option<IpAddr> {
        match self.take(1)?[0] {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?).into()),
            6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?).into()),
            _ => None,
        }
    }
}
