//! Which addresses are our own proxies.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::published::PUBLISHED;

/// The names that stand for ranges, each with the ranges of both families.
///
/// `private` is RFC 1918 and RFC 4193. The shared space of RFC 6598 (`100.64.0.0/10`) is not in it, because a
/// provider's customers have addresses there; whoever runs proxies in it lists the range.
const NAMED: [(&str, &[&str]); 3] = [
    ("loopback", &["127.0.0.0/8", "::1/128"]),
    (
        "private",
        &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    ),
    ("link-local", &["169.254.0.0/16", "fe80::/10"]),
];

/// The trusted ranges.
#[derive(Clone, Debug)]
pub struct Trust {
    /// First and last address of each range, aggregated: they are sorted and do not overlap, so that a lookup
    /// is a binary search.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    /// Each entry as configured, with its ranges: `explain` names the one that matched.
    entries: Vec<(String, Vec<IpNet>)>,
}

impl Trust {
    /// Reads ranges: CIDRs (also with a dotted netmask), single addresses, the names `loopback`, `private`
    /// and `link-local`, and those of [`PUBLISHED`]. Bits beyond the prefix are ignored. An IPv4-mapped IPv6 range is that IPv4 range;
    /// any other IPv6 range contains no IPv4 address, not even `::/0`.
    ///
    /// # Errors
    /// Every entry that is none of these, each with its index and the reason.
    pub fn parse(entries: &[&str]) -> Result<Trust, Vec<TrustError>> {
        Self::read(entries.iter().copied().enumerate())
    }

    /// Reads a list as files have it: one range a line; blank lines and `#` comments are skipped.
    ///
    /// # Errors
    /// As [`parse`](Trust::parse); the index is the line's number, counted from 1.
    pub fn parse_lines(text: &str) -> Result<Trust, Vec<TrustError>> {
        let lines = text.lines().enumerate().map(|(n, line)| {
            let entry = line.split('#').next().unwrap_or_default().trim();
            (n + 1, entry)
        });
        Self::read(lines.filter(|(_, entry)| !entry.is_empty()))
    }

    fn read<'a>(texts: impl Iterator<Item = (usize, &'a str)>) -> Result<Trust, Vec<TrustError>> {
        let mut entries = Vec::new();
        let mut errors = Vec::new();
        for (index, text) in texts {
            match ranges(text.trim()) {
                Ok(ranges) => entries.push((text.trim().to_owned(), ranges)),
                Err(reason) => errors.push(TrustError {
                    index,
                    text: text.to_owned(),
                    reason,
                }),
            }
        }
        if errors.is_empty() {
            Ok(Self::of(entries))
        } else {
            Err(errors)
        }
    }

    /// The ranges of both.
    #[must_use]
    pub fn and(self, other: Trust) -> Trust {
        let mut entries = self.entries;
        entries.extend(other.entries);
        Self::of(entries)
    }

    fn of(entries: Vec<(String, Vec<IpNet>)>) -> Trust {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in entries.iter().flat_map(|(_, ranges)| ranges) {
            match range {
                IpNet::V4(range) => v4.push(*range),
                IpNet::V6(range) => v6.push(*range),
            }
        }
        Trust {
            v4: (Ipv4Net::aggregate(&v4).iter())
                .map(|range| (range.network().to_bits(), range.broadcast().to_bits()))
                .collect(),
            v6: (Ipv6Net::aggregate(&v6).iter())
                .map(|range| (range.network().to_bits(), range.broadcast().to_bits()))
                .collect(),
            entries,
        }
    }

    /// Whether the address is in one of the ranges.
    #[inline]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => contains(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => contains(&self.v6, ip.to_bits()),
        }
    }

    /// The first configured entry whose ranges contain the address, as it was written. A linear search, for
    /// messages.
    pub fn range_of(&self, ip: IpAddr) -> Option<&str> {
        let ip = ip.to_canonical();
        self.entries
            .iter()
            .find(|(_, ranges)| ranges.iter().any(|range| range.contains(&ip)))
            .map(|(text, _)| text.as_str())
    }

    /// Whether all addresses of a family are trusted.
    pub fn is_everybody(&self) -> bool {
        self.v4.contains(&(0, u32::MAX)) || self.v6.contains(&(0, u128::MAX))
    }

    /// The entries as they were written, in order.
    pub fn ranges(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(text, _)| text.as_str())
    }
}

/// `loopback` and `private`.
impl Default for Trust {
    fn default() -> Self {
        let named = NAMED[..2]
            .iter()
            .map(|(name, _)| ((*name).to_owned(), named(name).unwrap_or_default()));
        Trust::of(named.collect())
    }
}

/// Whether one of the ranges contains the address.
fn contains<T: Copy + Ord>(ranges: &[(T, T)], ip: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= ip);
    after > 0 && ip <= ranges[after - 1].1
}

/// The shared address space (RFC 6598), where some clouds' balancers have their addresses.
const SHARED: &str = "100.64.0.0/10";

/// What `trusted_proxies` calls the range that this address is in, if proxies are likely to have addresses
/// there: for a hint to the operator.
pub fn proxy_range_of(ip: IpAddr) -> Option<&'static str> {
    let ip = ip.to_canonical();
    if ranges(SHARED).is_ok_and(|shared| shared.iter().any(|range| range.contains(&ip))) {
        return Some(SHARED);
    }
    let contains =
        |name: &str| named(name).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&ip)));
    NAMED.iter().map(|(name, _)| *name).find(|name| contains(name))
}

/// An entry that is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct TrustError {
    /// Its place in the list, counted from 0, or its line in a file, counted from 1.
    pub index: usize,
    /// The entry as written.
    pub text: String,
    /// What is wrong with it, and what would be accepted.
    pub reason: String,
}

/// The ranges that one entry stands for.
fn ranges(text: &str) -> Result<Vec<IpNet>, String> {
    if let Some(named) = named(text) {
        return Ok(named);
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| no_range(text))?;
    let range = match prefix {
        None if ip.to_canonical().is_unspecified() => {
            return Err(
                "is the address of no proxy; to trust every peer write \"0.0.0.0/0\" and \"::/0\"".to_owned(),
            );
        }
        None => IpNet::from(ip),
        Some(prefix) => range_of_prefix(ip, prefix).ok_or_else(|| {
            let bits = IpNet::from(ip).max_prefix_len();
            format!("has no prefix length of 0 to {bits} after the slash")
        })?,
    };
    let (IpNet::V6(v6), IpAddr::V4(v4)) = (range, ip.to_canonical()) else {
        return Ok(vec![range]);
    };
    let mapped = v6
        .prefix_len()
        .checked_sub(96)
        .and_then(|len| Ipv4Net::new(v4, len).ok());
    mapped.map(|range| vec![IpNet::V4(range)]).ok_or_else(|| {
        "is an IPv4-mapped range that contains more than the IPv4 addresses; its prefix is at least 96"
            .to_owned()
    })
}

/// The range of an address and what follows its slash: a length in digits, or a netmask of the same family.
fn range_of_prefix(ip: IpAddr, prefix: &str) -> Option<IpNet> {
    if let Ok(netmask) = prefix.parse() {
        return IpNet::with_netmask(ip, netmask).ok();
    }
    // `u8` would read "+8" too.
    let digits = prefix.bytes().all(|b| b.is_ascii_digit());
    IpNet::new(ip, prefix.parse().ok().filter(|_| digits)?).ok()
}

/// The ranges that a name of [`NAMED`] or [`PUBLISHED`] stands for.
fn named(text: &str) -> Option<Vec<IpNet>> {
    let (_, ranges) = NAMED.iter().chain(&PUBLISHED).find(|(name, _)| *name == text)?;
    ranges.iter().map(|range| range.parse().ok()).collect()
}

fn no_range(text: &str) -> String {
    let close = match text.to_ascii_lowercase().as_str() {
        "localhost" | "local" => " (did you mean \"loopback\"?)",
        "uniquelocal" | "rfc1918" | "internal" | "lan" => " (did you mean \"private\"?)",
        "linklocal" | "link_local" => " (did you mean \"link-local\"?)",
        "*" | "all" | "any" => " (to trust every peer write \"0.0.0.0/0\" and \"::/0\")",
        _ => "",
    };
    format!(
        "is no range{close}; accepted are CIDRs such as \"10.0.0.0/8\", single addresses, \"loopback\", \"private\", \
         \"link-local\", \"cloudflare\", \"fastly\", \"google\", and \"@FILE\" for a list with one of these a line"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(entries: &[&str], ip: &str) -> bool {
        Trust::parse(entries).unwrap().trusts(ip.parse().unwrap())
    }

    #[test]
    fn names_hold_both_families_and_end_where_they_end() {
        for (name, inside, outside) in [
            (
                "loopback",
                &["127.0.0.0", "127.255.255.255", "::1", "::ffff:127.0.0.1"][..],
                &["126.255.255.255", "128.0.0.0", "::2"][..],
            ),
            (
                "private",
                &[
                    "10.0.0.0",
                    "10.255.255.255",
                    "172.16.0.0",
                    "172.31.255.255",
                    "192.168.255.255",
                    "fc00::",
                    "fdff::1",
                ],
                &[
                    "9.255.255.255",
                    "11.0.0.0",
                    "172.15.255.255",
                    "172.32.0.0",
                    "192.169.0.0",
                    "100.64.0.1",
                    "fbff::",
                    "fe00::",
                ],
            ),
            (
                "link-local",
                &["169.254.0.1", "fe80::1", "febf::1"],
                &["169.253.255.255", "fec0::", "10.0.0.1"],
            ),
        ] {
            for ip in inside {
                assert!(trusts(&[name], ip), "{name} {ip}");
                assert_eq!(proxy_range_of(ip.parse().unwrap()), Some(name));
            }
            for ip in outside {
                assert!(!trusts(&[name], ip), "{name} {ip}");
            }
        }
        for ip in ["100.64.0.0", "100.127.255.255", "::ffff:100.64.0.1"] {
            assert_eq!(proxy_range_of(ip.parse().unwrap()), Some("100.64.0.0/10"), "{ip}");
        }
        for ip in ["203.0.113.7", "100.63.255.255", "100.128.0.0"] {
            assert_eq!(proxy_range_of(ip.parse().unwrap()), None, "{ip}");
        }
    }

    #[test]
    fn networks_in_front_of_many_sites_have_names() {
        for (name, inside, outside) in [
            (
                "cloudflare",
                ["172.68.1.1", "2606:4700::6810:1"],
                ["172.72.0.1", "2606:4701::1"],
            ),
            (
                "fastly",
                ["151.101.1.1", "2a04:4e42::1"],
                ["151.102.0.1", "2a04:4e41::1"],
            ),
            (
                "google",
                ["35.191.3.4", "2600:2d00:1:1::9"],
                ["35.192.0.1", "2600:2d00:1:2::1"],
            ),
        ] {
            for (ips, trusted) in [(inside, true), (outside, false)] {
                for ip in ips {
                    assert_eq!(trusts(&[name], ip), trusted, "{name} {ip}");
                }
            }
        }
        for (name, ranges) in PUBLISHED {
            assert_eq!(named(name).map(|read| read.len()), Some(ranges.len()), "{name}");
        }
    }

    #[test]
    fn a_range_is_read_in_every_spelling() {
        for (range, inside, outside) in [
            ("40.40.25.25/16", "40.40.0.0", "40.41.0.0"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.2/255.255.255.192", "10.0.0.63", "10.0.0.64"),
            ("::ffff:a00:2/122", "10.0.0.63", "10.0.0.64"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "203.0.113.7", "::1"),
            ("::/0", "2001:db8::1", "203.0.113.7"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            (
                "fe80::2/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0",
                "fe80::3f",
                "fe80::40",
            ),
            (" 10.0.0.0/8 ", "10.1.2.3", "11.0.0.0"),
        ] {
            assert!(trusts(&[range], inside), "{range} {inside}");
            assert!(!trusts(&[range], outside), "{range} {outside}");
        }
    }

    #[test]
    fn overlapping_ranges_are_one_and_keep_their_names() {
        let trust = Trust::parse(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.255.0.0/16",
            "192.0.2.1",
            "private",
        ])
        .unwrap();
        assert_eq!(trust.v4.len(), 4);
        assert!(trust.trusts("10.200.0.1".parse().unwrap()));
        assert_eq!(trust.range_of("10.1.0.1".parse().unwrap()), Some("10.0.0.0/8"));
        assert_eq!(trust.range_of("172.16.0.1".parse().unwrap()), Some("private"));
        assert_eq!(trust.range_of("203.0.113.7".parse().unwrap()), None);
        assert_eq!(trust.ranges().count(), 5);
    }

    #[test]
    fn every_wrong_entry_is_reported_with_what_would_be_right() {
        let wrong = [
            "10.0.0.0/33",
            "localhost",
            "::ffff:0.0.0.0/90",
            "10.0.0.1:80",
            "0.0.0.0",
            "10.0.0.0/255.0.255.0",
            "::1/",
            "10.0.0.0/+8",
            "@/list",
        ];
        let mut entries = vec!["loopback"];
        entries.extend(wrong);
        let errors = Trust::parse(&entries).unwrap_err();
        assert_eq!(errors.len(), wrong.len());
        for (n, (error, text)) in errors.iter().zip(wrong).enumerate() {
            assert_eq!((error.index, error.text.as_str()), (n + 1, text));
        }
        assert!(errors[1].to_string().contains("did you mean \"loopback\""));
    }

    #[test]
    fn a_file_has_one_range_a_line_and_errors_name_the_line() {
        let trust = Trust::parse_lines("# ours\n10.0.0.0/8 # east\n\n  192.0.2.1\r\n").unwrap();
        assert_eq!(trust.ranges().collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.1"]);
        let both = trust.and(Trust::default());
        assert!(both.trusts("192.0.2.1".parse().unwrap()) && both.trusts("::1".parse().unwrap()));
        let errors = Trust::parse_lines("10.0.0.0/8\n\nnope\n").unwrap_err();
        assert_eq!(errors[0].index, 3);
    }
}
