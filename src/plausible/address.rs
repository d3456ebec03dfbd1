//! The visitor's address, by the order in which the ingest code reads the headers.

use std::net::IpAddr;

use httparse::Header;

use crate::field;

/// The headers with an address, in the order in which they are read.
const ORDER: [&str; 5] = [
    "x-plausible-ip",
    "cf-connecting-ip",
    "b-forwarded-for",
    "x-forwarded-for",
    "forwarded",
];

/// The address that Plausible takes for the visitor's, and its header. The peer, if no header has a valid
/// one.
pub(super) fn client(fields: &[Header<'_>], peer: IpAddr) -> (IpAddr, &'static str) {
    ORDER
        .iter()
        .find_map(|name| {
            let value = std::str::from_utf8(field::first(fields, name)?).ok()?;
            let address = match *name {
                "forwarded" => first_for(value),
                "x-forwarded-for" | "b-forwarded-for" => value.split(',').find_map(scrubbed),
                _ => scrubbed(value),
            };
            Some((address?, *name))
        })
        .unwrap_or((peer.to_canonical(), "peer"))
}

/// Whether a header has the visitor's address.
pub(super) fn is_address_header(name: &str) -> bool {
    ORDER.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// One address, without its port and the brackets of IPv6.
fn scrubbed(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse().ok().map(|a: IpAddr| a.to_canonical())
}

/// The first `for=` of a `Forwarded` value (RFC 7239 §4), quoted or not.
fn first_for(value: &str) -> Option<IpAddr> {
    let pair = value
        .split([',', ';'])
        .map(str::trim)
        .find(|p| p.get(..4).is_some_and(|n| n.eq_ignore_ascii_case("for=")))?;
    scrubbed(pair[4..].trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> (String, &'static str) {
        let fields: Vec<_> = lines
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let (address, from) = client(&fields, [127, 0, 0, 1].into());
        (address.to_string(), from)
    }

    #[test]
    fn each_header_is_asked_before_the_next() {
        let mut lines = vec![
            ("Forwarded", "for=192.0.2.5"),
            ("X-Forwarded-For", "192.0.2.4"),
            ("B-Forwarded-For", "192.0.2.3"),
            ("CF-Connecting-IP", "192.0.2.2"),
            ("X-Plausible-IP", "192.0.2.1"),
        ];
        for (address, from) in [
            ("192.0.2.1", "x-plausible-ip"),
            ("192.0.2.2", "cf-connecting-ip"),
            ("192.0.2.3", "b-forwarded-for"),
            ("192.0.2.4", "x-forwarded-for"),
            ("192.0.2.5", "forwarded"),
            ("127.0.0.1", "peer"),
        ] {
            assert_eq!(read(&lines), (address.to_owned(), from));
            lines.pop();
        }
    }

    #[test]
    fn an_address_is_scrubbed_and_the_first_valid_one_of_a_list_taken() {
        for (name, value, address) in [
            ("x-forwarded-for", "203.0.113.7", "203.0.113.7"),
            ("x-forwarded-for", "203.0.113.7:4711, 10.0.0.1", "203.0.113.7"),
            (
                "x-forwarded-for",
                "unknown, , 203.0.113.8, 10.0.0.1",
                "203.0.113.8",
            ),
            ("x-forwarded-for", "[2001:db8::1]:443", "2001:db8::1"),
            ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
            ("x-forwarded-for", "::ffff:203.0.113.9", "203.0.113.9"),
            ("x-plausible-ip", "[2001:db8::2]", "2001:db8::2"),
            ("x-plausible-ip", "203.0.113.1, 203.0.113.2", "127.0.0.1"),
            (
                "forwarded",
                "proto=https;For=\"[2001:db8::3]:80\", for=10.0.0.1",
                "2001:db8::3",
            ),
            ("forwarded", "for=_hidden, for=203.0.113.7", "127.0.0.1"),
            ("x-forwarded-for", "rubbish", "127.0.0.1"),
        ] {
            assert_eq!(read(&[(name, value)]).0, address, "{name}: {value}");
        }
    }
}
