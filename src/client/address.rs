//! An address and the ways to write it.

use std::{fmt, net::IpAddr, str};

use super::literal;

/// One host's address. An IPv4-mapped IPv6 address is stored as the IPv4 address it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    ip: IpAddr,
    zone: Zone,
}

impl Address {
    /// Turns an IPv4-mapped address into the IPv4 address; only an IPv6 address keeps its zone.
    pub fn new(ip: IpAddr, zone: Zone) -> Self {
        match ip.to_canonical() {
            v4 @ IpAddr::V4(_) => Address {
                ip: v4,
                zone: Zone::NONE,
            },
            v6 @ IpAddr::V6(_) => Address { ip: v6, zone },
        }
    }

    /// The address without its zone. This is what app and Plausible get: a zone has a meaning on its own host
    /// only.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The zone (RFC 4007 §11).
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// An address literal and nothing else: dotted IPv4 without leading zeros, or IPv6 with or without a
    /// zone.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(ip) = literal::parse(text) {
            return Some(Address::new(ip, Zone::NONE));
        }
        let at = text.iter().position(|b| *b == b'%')?;
        let zone = Zone::parse(&text[at + 1..])?;
        match literal::parse(&text[..at])? {
            IpAddr::V4(_) => None,
            v6 @ IpAddr::V6(_) => Some(Address::new(v6, zone)),
        }
    }

    /// Reads an entry of `X-Forwarded-For` or the value of a single-address header, in every form that
    /// proxies write: bare, with a port, in brackets, in quotes, with a zone. The unspecified address is not
    /// accepted.
    pub fn from_entry(text: &[u8]) -> Option<Self> {
        Address::in_any_form(text).filter(|a| !a.ip.is_unspecified())
    }

    /// As [`from_entry`](Address::from_entry), but accepts the unspecified address.
    pub(super) fn in_any_form(text: &[u8]) -> Option<Self> {
        // Most entries are bare.
        if let Some(address) = Address::parse(text) {
            return Some(address);
        }
        let text = unquoted(text)?;
        let (literal, port) = if let [b'[', rest @ ..] = text {
            let close = rest.iter().position(|b| *b == b']')?;
            (&rest[..close], &rest[close + 1..])
        } else {
            match text.iter().position(|b| *b == b':') {
                // With a second colon it is IPv6, which has a port only in brackets.
                Some(at) if !text[at + 1..].contains(&b':') => text.split_at(at),
                _ => (text, &[][..]),
            }
        };
        match port {
            [] => Address::parse(literal),
            [b':', port @ ..] if is_port(port) => Address::parse(literal),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.ip, self.zone)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The zone of an IPv6 address, stored inline: at most 15 bytes, the longest name of a network interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Zone {
    len: u8,
    bytes: [u8; Zone::MAX_LEN],
}

impl Zone {
    /// No zone.
    pub const NONE: Zone = Zone {
        len: 0,
        bytes: [0; Zone::MAX_LEN],
    };
    const MAX_LEN: usize = 15;

    /// The text after the `%`: 1 to 15 of RFC 6874's `unreserved` characters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.iter().all(allowed) {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..text.len()].copy_from_slice(text);
        Some(Zone {
            len: text.len() as u8,
            bytes,
        })
    }

    /// The zone of a socket's scope id; 0 is no zone.
    pub fn of_scope(id: u32) -> Self {
        if id == 0 {
            return Zone::NONE;
        }
        let mut digits = itoa::Buffer::new();
        Zone::parse(digits.format(id).as_bytes()).unwrap_or(Zone::NONE)
    }

    /// The text without the `%`; empty where there is no zone.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            "" => Ok(()),
            zone => write!(f, "%{zone}"),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The text inside a pair of quotes, or the whole text where it has no quotes; none for a single quote.
fn unquoted(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'"', inner @ .., b'"'] => Some(inner),
        [b'"', ..] | [.., b'"'] => None,
        bare => Some(bare),
    }
}

/// A port number, 0 to 65535.
fn is_port(text: &[u8]) -> bool {
    let value = text.iter().fold(0u32, |n, b| {
        n.wrapping_mul(10).wrapping_add(u32::from(b.wrapping_sub(b'0')))
    });
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) && value <= 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Option<String> {
        Address::from_entry(text.as_bytes()).map(|a| a.to_string())
    }

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, address) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:0", "1.2.3.4"),
            ("1.2.3.4:65535", "1.2.3.4"),
            ("[1.2.3.4]", "1.2.3.4"),
            ("\"1.2.3.4:80\"", "1.2.3.4"),
            ("2001:DB8::0:1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("2001:db8::1:8080", "2001:db8::1:8080"),
            ("::ffff:188.0.2.128", "188.0.2.128"),
            ("[::ffff:bc15:0006]:48483", "188.21.0.6"),
            ("::ffff:1.2.3.4%eth0", "1.2.3.4"),
            ("64:ff9b::188.0.2.128", "64:ff9b::bc00:280"),
            ("fe80::abcd%eth0", "fe80::abcd%eth0"),
            ("[fe80::abcd%en-1.2]:4711", "fe80::abcd%en-1.2"),
        ] {
            assert_eq!(entry(text).as_deref(), Some(address), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_address_are_refused() {
        for text in [
            "",
            "unknown",
            "_hidden",
            "example.com",
            "localhost",
            "-",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "1.2.3.4 5",
            "1.2.3.4\u{a0}",
            "1.2.3.4\u{b}",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:65536",
            "1.2.3.4:-1",
            "1.2.3.4:+80",
            "1.2.3.4:000080",
            ":80",
            "[1.2.3.4",
            "1.2.3.4]",
            "[]",
            "[::1]:",
            "[::1]x",
            "[::1]:99999",
            "[[::1]]",
            "::1]",
            ":::1",
            "1::2::3",
            "1:2:3:4:5:6:7:8:9",
            "12345::",
            "g::1",
            "fe80::1%",
            "fe80::1%a b",
            "fe80::1%sixteen-letters-",
            "1.2.3.4%eth0",
            "\"1.2.3.4",
            "1.2.3.4\"",
            "\"",
            "\"\"",
            "\"\"1.2.3.4\"\"",
            "'1.2.3.4'",
            "0.0.0.0",
            "::",
            "[::]:80",
            "0.0.0.0:80",
            "::ffff:0.0.0.0",
            "for=1.2.3.4",
            "1.2.3.4/32",
            "http://1.2.3.4",
            "１.2.3.4",
        ] {
            assert_eq!(entry(text), None, "{text}");
        }
    }

    #[test]
    fn a_scope_id_is_a_zone() {
        assert_eq!(Zone::of_scope(0), Zone::NONE);
        assert_eq!(Zone::of_scope(u32::MAX).as_str(), "4294967295");
    }
}
