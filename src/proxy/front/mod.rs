//! The downstream side, towards the client. A connection enters at `serve`, passes the PROXY protocol header
//! (`preamble`) and the TLS handshake (`tls`), and is served by `http1` with `relay` and `own`, or by
//! `http2`. `transport` and `client` are the connection itself; `tunnel` is what becomes of it after a 101.

mod client;
mod http1;
mod http2;
mod own;
mod pace;
mod preamble;
mod relay;
mod serve;
pub(super) mod tls;
mod transport;
mod tunnel;

pub(super) use serve::serve;
