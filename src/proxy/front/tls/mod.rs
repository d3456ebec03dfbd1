//! TLS towards the client, on rustls.
//!
//! - [`pair`]: one certificate chain with its key, from PEM.
//! - [`config`]: `[listen.tls]` to rustls' configuration, at a start and at each reload.

pub(in crate::proxy) mod config;
mod pair;

pub use config::{LoadError, Loaded, load};
pub use pair::{PairError, check as check_pair, check_authorities};
