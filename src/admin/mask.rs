//! Addresses as operators may see them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that an address is in, wide enough not to be a person: /24 of IPv4, /48 of IPv6. An IPv4-mapped IPv6
/// address is that IPv4 address.
pub fn masked(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
        IpAddr::V6(v6) => format!("{}/48", Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_is_left() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            assert_eq!(masked(address.parse().unwrap()), network);
        }
    }
}
