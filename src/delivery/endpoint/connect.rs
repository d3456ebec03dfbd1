//! Opens TCP connections.

use std::{cell::Cell, io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

/// How long one of several addresses may take to connect before the next one is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Connects to one host.
#[derive(Debug)]
pub(super) struct TcpConnector {
    host: String,
    port: u16,
    /// The address that answered last.
    last_good: Cell<Option<SocketAddr>>,
}

impl TcpConnector {
    pub(super) fn new((host, port): &(String, u16)) -> Self {
        TcpConnector {
            host: host.clone(),
            port: *port,
            last_good: Cell::new(None),
        }
    }

    /// Connects to the first address that answers, beginning with the one that answered last.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let name = (self.host.as_str(), self.port);
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host(name).await?.collect();
        if let Some(good) = self.last_good.get() {
            addresses.sort_by_key(|address| *address != good);
        }
        let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    self.last_good.set(Some(address));
                    return Ok(stream);
                }
                Ok(Err(failed)) => error = failed,
                Err(elapsed) => error = elapsed.into(),
            }
        }
        Err(error)
    }
}
