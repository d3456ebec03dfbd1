//! What operators read: metrics, health, status, decisions, the live page.

use std::net::SocketAddr;

/// `[admin]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
}
