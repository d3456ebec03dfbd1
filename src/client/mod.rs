//! Who the client is, what it saw as scheme and host, and what the app is told of it.
//!
//! Pure: bytes in, answers out; no I/O, and no allocation for the requests of an ordinary day.
//!
//! # The rule
//!
//! 1. The peer is the client unless it is a trusted proxy. An untrusted peer's forwarding headers are not read.
//! 2. From a trusted peer, all lines of the configured header are joined in order and walked from the right. Trusted
//!    entries are skipped; the first that is not trusted is the client.
//! 3. Blank entries are skipped. An entry that is no address ends the walk: the client is the last good hop, the peer
//!    if there is none, and [`Resolved::malformed`] says so.
//! 4. Every entry trusted: the leftmost is the client. No entry: the peer.
//! 5. An entry may carry a port, brackets, quotes, a zone; an IPv4-mapped IPv6 address is that IPv4 address; the
//!    unspecified address is no address.
//! 6. A Unix peer is trusted and is no address: with no entry left there is no client.
//! 7. `trusted_hops = N` takes the place of the ranges: the client is the Nth entry from the right. Fewer entries mean
//!    that the request did not come through our proxies: the peer is the client, and is not trusted.
//! 8. A single-address header is read only from a trusted peer; several lines, or a value that is not one address:
//!    the peer.
//!
//! # The rooms
//!
//! [`Address`] and its spellings · [`Trust`], the ranges · [`Peer`], who is connected · [`forwarded`], RFC 7239 ·
//! [`proxy_protocol`], the preamble's bytes · [`resolve`], the rule above · [`explain`], the same walk in words ·
//! [`visible`], scheme and host · [`forward`] and [`is_forwarding`], the lines for the app.

mod addr;
mod entries;
mod explain;
mod few;
pub mod forwarded;
mod literal;
mod names;
mod peer;
pub mod proxy_protocol;
mod resolve;
mod settings;
mod to_app;
mod trust;
mod visible;

#[cfg(test)]
mod tests;

pub use addr::{Address, Zone};
pub use explain::explain;
pub use peer::{NotAPeer, Peer};
pub use resolve::{From, Resolved, resolve};
pub use settings::{AddressSource, NotASetting, Settings, ToApp};
pub use to_app::{forward, is_forwarding};
pub use trust::{Trust, TrustError, named_range_of};
pub use visible::{Visible, visible};
