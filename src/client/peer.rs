//! Who is connected.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use super::address::{Address, Zone};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from this address.
    Ip(Address),
    /// The source address of the connection's PROXY protocol header. Every rule treats it as the peer's
    /// address.
    Proxied(Address),
    /// A Unix socket. It is trusted, because its file's mode decides who may connect, and it has no address.
    Unix,
}

impl Peer {
    /// The peer of a connection whose PROXY protocol header named this source.
    pub fn proxied(source: SocketAddr) -> Self {
        Peer::Proxied(address_of(source))
    }

    /// The peer's address; none for a Unix socket and for the unspecified address.
    pub fn address(&self) -> Option<Address> {
        match self {
            Peer::Ip(address) | Peer::Proxied(address) => Some(*address).filter(|a| !a.ip().is_unspecified()),
            Peer::Unix => None,
        }
    }

    /// The peer's address without its zone.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address().map(|a| a.ip())
    }
}

impl std::convert::From<SocketAddr> for Peer {
    fn from(socket: SocketAddr) -> Self {
        Peer::Ip(address_of(socket))
    }
}

/// Reads a peer as people write it: an address with or without port, brackets and zone, or `unix`,
/// `unix:PATH` or the `@` of an unnamed socket.
impl FromStr for Peer {
    type Err = NotAPeer;

    fn from_str(text: &str) -> Result<Self, NotAPeer> {
        if matches!(text, "unix" | "@") || text.starts_with("unix:") {
            return Ok(Peer::Unix);
        }
        Address::in_any_form(text.as_bytes())
            .map(Peer::Ip)
            .ok_or(NotAPeer)
    }
}

/// The text is no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer is ADDRESS, ADDRESS:PORT, [IPv6]:PORT or unix:PATH")]
pub struct NotAPeer;

fn address_of(socket: SocketAddr) -> Address {
    let zone = match socket {
        SocketAddr::V6(v6) => Zone::of_scope(v6.scope_id()),
        SocketAddr::V4(_) => Zone::NONE,
    };
    Address::new(socket.ip(), zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_read_as_people_write_it() {
        for (text, address) in [
            ("10.0.0.9:4711", Some("10.0.0.9")),
            ("10.0.0.9", Some("10.0.0.9")),
            ("[fe80::1%eth0]:9999", Some("fe80::1%eth0")),
            ("::ffff:a00:1", Some("10.0.0.1")),
            ("0.0.0.0", None),
            ("[::]:80", None),
            ("unix", None),
            ("unix:/run/gatecount.sock", None),
            ("@", None),
        ] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(
                peer.address().map(|a| a.to_string()).as_deref(),
                address,
                "{text}"
            );
        }
        for text in ["", "localhost", "10.0.0.9:http", "unixes"] {
            assert_eq!(text.parse::<Peer>(), Err(NotAPeer), "{text}");
        }
    }

    #[test]
    fn a_socket_address_loses_its_port_and_its_mapping() {
        let socket: SocketAddr = "[::ffff:10.0.0.9]:4711".parse().unwrap();
        assert_eq!(Peer::from(socket).ip(), Some("10.0.0.9".parse().unwrap()));
        let scoped: SocketAddr = "[fe80::1%3]:1".parse().unwrap();
        assert_eq!(Peer::from(scoped).address().unwrap().to_string(), "fe80::1%3");
    }
}
