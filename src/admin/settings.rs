//! What the admin address needs to know, resolved.

use std::net::SocketAddr;

/// `[admin]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
    /// Names that a request may ask for, in lower case, besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Pages that belong to this one, with their addresses: the live page links to them.
    pub links: Vec<(String, String)>,
}
