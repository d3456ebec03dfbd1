//! Where the demo's three pages are.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// The address of all of them.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The ports of the site, the receiver and the live page, unless told.
const USUAL: [u16; 3] = [8080, 8081, 9090];

/// The ports that are wanted, in the order site, receiver, live page; 0 is any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DemoPorts {
    wanted: [u16; 3],
    /// A port that is taken is replaced by a free one.
    fall_back: bool,
}

/// Where one page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    /// The port that was wanted and is taken.
    pub(super) instead_of: Option<u16>,
}

impl Place {
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl DemoPorts {
    /// The same ones each time, or free ones where these are taken.
    pub(super) fn usual() -> Self {
        DemoPorts {
            wanted: USUAL,
            fall_back: true,
        }
    }

    /// These ones; one that is taken is an error.
    pub(super) fn exactly(wanted: [u16; 3]) -> Self {
        DemoPorts {
            wanted,
            fall_back: false,
        }
    }

    /// Three different ports that nobody listens on at this moment.
    ///
    /// The pages link to each other, so all three are known before the first one is served. Whoever takes one
    /// in between makes the demo's start fail.
    pub(super) fn choose(self) -> io::Result<[Place; 3]> {
        let mut held = Vec::new();
        let mut places = Vec::new();
        for wanted in self.wanted {
            let (listener, instead_of) = match TcpListener::bind((HOST, wanted)) {
                Ok(listener) => (listener, None),
                Err(error) if self.fall_back && error.kind() == io::ErrorKind::AddrInUse => {
                    (TcpListener::bind((HOST, 0))?, Some(wanted))
                }
                Err(error) => {
                    let problem = format!("can't listen on {HOST}:{wanted}: {error}");
                    return Err(io::Error::new(error.kind(), problem));
                }
            };
            places.push(Place {
                address: listener.local_addr()?,
                instead_of,
            });
            // Kept until all three are chosen, so that they differ.
            held.push(listener);
        }
        places
            .try_into()
            .map_err(|_| io::Error::other("three ports are wanted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_replaced_only_where_none_was_asked_for() {
        let taken = TcpListener::bind((HOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = DemoPorts {
            wanted: [port, 0, 0],
            fall_back: true,
        };
        let [site, receiver, live] = ports.choose().unwrap();
        assert_eq!(site.instead_of, Some(port));
        assert_ne!(site.address.port(), port);
        assert_eq!(receiver.instead_of, None);
        assert_ne!(receiver.address, live.address);

        let error = DemoPorts::exactly([port, 0, 0]).choose().unwrap_err();
        assert!(
            error.to_string().contains(&format!("127.0.0.1:{port}")),
            "{error}"
        );
    }

    #[test]
    fn a_port_that_is_free_is_taken_as_wanted() {
        let free = TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap();
        let [site, ..] = DemoPorts::exactly([free.port(), 0, 0]).choose().unwrap();
        assert_eq!(site.address, free);
        assert_eq!(site.url(), format!("http://{free}/"));
    }
}
