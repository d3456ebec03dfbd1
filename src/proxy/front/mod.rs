//! Towards the client: its connection, protocol and requests.

pub(super) mod client;
mod http1;
mod preamble;
mod relay;
mod tunnel;

pub(super) use http1::serve;
