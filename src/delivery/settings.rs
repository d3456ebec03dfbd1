//! What delivery needs to know, resolved.

use std::{path::PathBuf, time::Duration};

/// Plausible's base URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// TLS or not.
    pub https: bool,
    /// Host: name or address literal, IPv6 without brackets.
    pub host: String,
    /// Port, the scheme's default filled in.
    pub port: u16,
    /// Path before `/api/event`, without a slash at its end; empty for none.
    pub path: String,
}

/// The header that tells Plausible the visitor's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressHeader {
    /// `x-forwarded-for`
    XForwardedFor,
    /// `x-plausible-ip`
    XPlausibleIp,
}

/// `[plausible]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Plausible is.
    pub base: Base,
    /// Which headers carry the visitor's address; at least one.
    pub address_headers: Vec<AddressHeader>,
    /// How long one attempt may take, connect included.
    pub timeout: Duration,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Events older than this end as expired.
    pub max_age: Duration,
    /// First backoff.
    pub retry_initial: Duration,
    /// Longest backoff.
    pub retry_max: Duration,
    /// Tries of one event while others get through; then it ends as rejected.
    pub max_tries: u32,
    /// PEM file trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
}
