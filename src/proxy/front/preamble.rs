//! The PROXY protocol header that a trusted peer begins its connection with.

use std::{future::poll_fn, net::SocketAddr, time::Duration};

use tokio::time::timeout;

use crate::{
    client::{self, Peer, proxy_protocol},
    proxy::{context::Context, errors::Fault, stream::Stream},
};

/// How long the header may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the header where this peer must send one. From then on the peer is the one that it names. What was
/// read behind the header is put into `inbuf`. None: the peer left, or was silent for too long, without
/// having sent a byte.
///
/// # Errors
/// [`Fault::Preamble`]
pub(super) async fn read(
    context: &Context,
    stream: &mut Stream,
    peer: Peer,
    inbuf: &mut Vec<u8>,
) -> Result<Option<Peer>, Fault> {
    let expected = context.settings.proxy_protocol
        && client::resolve(&context.live.borrow().client, peer, &[]).peer_trusted;
    if !expected {
        return Ok(Some(peer));
    }
    let source = timeout(TIMEOUT, header(context, stream, inbuf)).await;
    match source.unwrap_or(Err(Fault::Preamble)) {
        Ok(source) => Ok(Some(source.map_or(peer, Peer::proxied))),
        Err(_) if inbuf.is_empty() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The source that the header names, if any.
async fn header(
    context: &Context,
    stream: &mut Stream,
    inbuf: &mut Vec<u8>,
) -> Result<Option<SocketAddr>, Fault> {
    loop {
        match proxy_protocol::parse(inbuf) {
            Ok(proxy_protocol::ProxyHeader::Complete { source, len }) => {
                inbuf.drain(..len);
                return Ok(source);
            }
            Ok(proxy_protocol::ProxyHeader::Incomplete) => {}
            Err(_) => return Err(Fault::Preamble),
        }
        match poll_fn(|cx| stream.poll_read(cx, &mut context.scratch.borrow_mut())).await {
            Ok(n) if n > 0 => inbuf.extend_from_slice(&context.scratch.borrow()[..n]),
            _ => return Err(Fault::Preamble),
        }
    }
}
