//! Opens TCP connections.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tokio::{net::TcpStream, time::timeout};

use crate::lookup::{Lookup, LookupError};

/// No descriptor is left to the process, or to the system.
const OUT_OF_DESCRIPTORS: [i32; 2] = [Errno::MFILE.raw_os_error(), Errno::NFILE.raw_os_error()];

/// The longest that one of several addresses may take to connect before the next one is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// A name that takes so long to resolve is taken to have the addresses that it had before.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The resolver has no answer, or says that there is no such name.
    #[error("the name {name} can't be resolved ({source})")]
    Name {
        /// The name.
        name: String,
        /// The resolver's error.
        source: LookupError,
    },
    /// The resolver takes too long.
    #[error("the name {0} can't be resolved (the resolver does not answer)")]
    Resolver(String),
    /// An address refused the connection, or the system did.
    #[error("{} ({address})", in_words(source))]
    Refused {
        /// The address tried last.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// An address did not answer.
    #[error("{0} does not answer")]
    Silent(SocketAddr),
}

/// An error of the system without its number.
fn in_words(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) if OUT_OF_DESCRIPTORS.contains(&code) => {
            "no file descriptor is free: raise the limit of open files".to_owned()
        }
        _ => error.to_string(),
    };
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Connects to one host.
#[derive(Debug)]
pub(super) struct TcpConnector {
    name: Arc<Lookup>,
    /// The addresses of the last answer of the resolver, those that worked last first and those that failed
    /// last at the end.
    known: RefCell<Vec<SocketAddr>>,
}

impl TcpConnector {
    pub(super) fn new((host, port): &(String, u16)) -> Self {
        TcpConnector {
            name: Lookup::new(host.clone(), *port),
            known: RefCell::default(),
        }
    }

    /// Connects to the first address that answers, beginning with the one that worked last. Each has its
    /// share of the time until `deadline`.
    pub(super) async fn connect(&self, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(deadline).await?;
        // A name that is resolved has at least one address.
        let mut error = ConnectError::Resolver(self.name.host().to_owned());
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            // The last one's share leaves time for the request, too.
            let share = match addresses.len() - index {
                1 if addresses.len() == 1 => left,
                rest => (left / (rest as u32).max(2)).min(ADDRESS_TIMEOUT),
            };
            match timeout(share, TcpStream::connect(*address)).await {
                Ok(Ok(stream)) => {
                    // Without it the connection is slower, and works.
                    let _ = stream.set_nodelay(true);
                    self.prefer(*address);
                    return Ok(stream);
                }
                Ok(Err(source)) => {
                    let address = *address;
                    error = ConnectError::Refused { address, source };
                }
                Err(_) => error = ConnectError::Silent(*address),
            }
            self.avoid(*address);
        }
        Err(error)
    }

    /// The host's addresses in the order in which they are tried.
    async fn resolve(&self, deadline: Instant) -> Result<Vec<SocketAddr>, ConnectError> {
        let before = self.known.borrow().clone();
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = if before.is_empty() {
            left
        } else {
            LOOKUP_TIMEOUT.min(left / 4)
        };
        let found = match timeout(patience, self.name.next()).await {
            Ok(Ok(found)) => found,
            // What a name stood for is better than nothing.
            _ if !before.is_empty() => return Ok(before),
            Ok(Err(source)) => {
                let name = self.name.host().to_owned();
                return Err(ConnectError::Name { name, source });
            }
            Err(_) => return Err(ConnectError::Resolver(self.name.host().to_owned())),
        };
        let mut addresses = found.addresses.to_vec();
        // Stable: new ones come after those that are known, as the resolver has them.
        let place = |address: &SocketAddr| before.iter().position(|known| known == address);
        addresses.sort_by_key(|address| place(address).unwrap_or(before.len()));
        self.known.replace(addresses.clone());
        Ok(addresses)
    }

    fn prefer(&self, address: SocketAddr) {
        let mut known = self.known.borrow_mut();
        if known.first() != Some(&address) {
            known.sort_by_key(|known| *known != address);
        }
    }

    fn avoid(&self, address: SocketAddr) {
        self.known.borrow_mut().sort_by_key(|known| *known == address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_said_in_words() {
        let address = SocketAddr::from(([192, 0, 2, 1], 443));
        let refused = |number| ConnectError::Refused {
            address,
            source: io::Error::from_raw_os_error(number),
        };
        assert_eq!(
            refused(Errno::CONNREFUSED.raw_os_error()).to_string(),
            "Connection refused (192.0.2.1:443)"
        );
        let none_free = refused(Errno::MFILE.raw_os_error()).to_string();
        assert!(none_free.contains("raise the limit of open files"), "{none_free}");
    }

    #[tokio::test]
    async fn an_address_that_worked_comes_first_and_one_that_failed_last() {
        let connector = TcpConnector::new(&("localhost".to_owned(), 1));
        let addresses = [1, 2, 3].map(|n| SocketAddr::from(([127, 0, 0, n], 1)));
        connector.known.replace(addresses.to_vec());
        connector.avoid(addresses[0]);
        assert_eq!(
            *connector.known.borrow(),
            [addresses[1], addresses[2], addresses[0]]
        );
        connector.prefer(addresses[2]);
        assert_eq!(
            *connector.known.borrow(),
            [addresses[2], addresses[1], addresses[0]]
        );
    }
}
