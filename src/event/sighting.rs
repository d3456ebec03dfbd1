//! What a worker thread saw: borrowed values, written into its ring without an allocation.

use std::net::IpAddr;

use crate::page::What;

use super::wire::{Reader, put, put_address};

/// What an event is made of, as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Nanoseconds of the process's monotonic clock, for the order among threads.
    pub at_ns: u64,
    /// Milliseconds of the steady wall clock.
    pub at_ms: u64,
    /// What was seen.
    pub what: What<'a>,
    /// The visitor's address.
    pub client: IpAddr,
    /// The visitor's `User-Agent`, raw; empty where none was sent.
    pub user_agent: &'a [u8],
    /// The visitor used https.
    pub https: bool,
    /// The host the visitor used, with its port; empty where it is unknown.
    pub host: &'a str,
    /// Path and query as the visitor's client sent them.
    pub target: &'a str,
    /// `Referer`, raw.
    pub referrer: Option<&'a [u8]>,
    /// The Plausible domains, joined by commas; for a bot those that [`page::Rules::domain`](crate::page::Rules::domain)
    /// gives.
    pub domain: &'a str,
}

const PAGE_VIEW: u8 = 0;
const NOT_FOUND: u8 = 1;
const DOWNLOAD: u8 = 2;
const BOT: u8 = 3;

const HTTPS: u8 = 1;
const REFERRER: u8 = 2;

impl<'a> Sighting<'a> {
    /// Appends the binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (what, bot) = match self.what {
            What::PageView => (PAGE_VIEW, ""),
            What::NotFound => (NOT_FOUND, ""),
            What::Download => (DOWNLOAD, ""),
            What::Bot(name) => (BOT, name),
        };
        let flags = if self.https { HTTPS } else { 0 } | if self.referrer.is_some() { REFERRER } else { 0 };
        out.extend_from_slice(&self.at_ns.to_le_bytes());
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.extend_from_slice(&[what, flags]);
        put_address(out, self.client);
        put(out, self.user_agent);
        put(out, self.referrer.unwrap_or_default());
        // The texts stand together, so that they are checked to be texts in one go.
        let texts = [bot, self.host, self.target, self.domain];
        for text in texts {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
        for text in texts {
            out.extend_from_slice(text.as_bytes());
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

    /// Reads what [`encode`](Self::encode) wrote, and nothing else: `None` for any other bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let order = from.number()?;
        let time = from.number()?;
        let [what, flags] = from.array()?;
        let client = from.address()?;
        let user_agent = from.bytes()?;
        let referrer = from.bytes()?;
        let mut lengths = [0; 4];
        for length in &mut lengths {
            *length = u32::from_le_bytes(from.array()?) as usize;
        }
        let mut texts = std::str::from_utf8(from.rest()).ok()?;
        let [bot, host, target, domain] = lengths.map(|length| {
            let (text, rest) = texts.split_at_checked(length)?;
            texts = rest;
            Some(text)
        });
        let what = match (what, bot?) {
            (PAGE_VIEW, "") => What::PageView,
            (NOT_FOUND, "") => What::NotFound,
            (DOWNLOAD, "") => What::Download,
            (BOT, name) => What::Bot(name),
            _ => return None,
        };
        let (host, target, domain) = (host?, target?, domain?);
        let plain = flags & !(HTTPS | REFERRER) == 0 && texts.is_empty();
        (plain && (flags & REFERRER != 0 || referrer.is_empty())).then_some(Sighting {
            at_ns: order,
            at_ms: time,
            what,
            client,
            user_agent,
            https: flags & HTTPS != 0,
            host,
            target,
            referrer: (flags & REFERRER != 0).then_some(referrer),
            domain,
        })
    }
}
