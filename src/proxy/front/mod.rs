//! Towards the client: its connection, protocol and requests.

mod client;
mod http1;
mod http2;
mod pace;
mod preamble;
mod relay;
mod serve;
pub(super) mod tls;
mod transport;
mod tunnel;

pub(super) use serve::serve;
