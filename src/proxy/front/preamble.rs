//! The PROXY protocol header that a trusted peer begins its connection with.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;

use super::client::Client;
use crate::{
    client::{self, Peer, proxy_protocol},
    proxy::errors::Fault,
};

/// How long the header may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the header where this peer must send one; from then on the peer is the one that it names.
///
/// # Errors
/// [`Fault::Preamble`]
pub(super) async fn read(client: &mut Client) -> Result<(), Fault> {
    let expected = client.context.settings.proxy_protocol && {
        let live = client.context.live.borrow();
        client::resolve(&live.client, client.peer, &[]).peer_trusted
    };
    if !expected {
        return Ok(());
    }
    let header = timeout(TIMEOUT, header(client));
    if let Some(source) = header.await.map_err(|_| Fault::Preamble)?? {
        client.peer = Peer::proxied(source);
    }
    Ok(())
}

/// The header's source; none where it names none.
async fn header(client: &mut Client) -> Result<Option<SocketAddr>, Fault> {
    loop {
        match proxy_protocol::parse(&client.inbuf) {
            Ok(proxy_protocol::ProxyHeader::Complete { source, len }) => {
                client.inbuf.drain(..len);
                return Ok(source);
            }
            Ok(proxy_protocol::ProxyHeader::Incomplete) => {}
            Err(_) => return Err(Fault::Preamble),
        }
        match client.read().await {
            Ok(n) if n > 0 => client
                .inbuf
                .extend_from_slice(&client.context.scratch.borrow()[..n]),
            _ => return Err(Fault::Preamble),
        }
    }
}
