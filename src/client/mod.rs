//! Who the client is, which scheme and host it used, and the forwarding headers that the app gets.
//!
//! Pure: no I/O, and no allocation for an ordinary request.
//!
//! # The rule
//!
//! 1. The peer is the client unless it is a trusted proxy. An untrusted peer's forwarding headers are not
//!    read.
//! 2. From a trusted peer, all lines of the configured header are joined in order and walked from the right.
//!    Trusted entries are skipped; the first that is not trusted is the client.
//! 3. Blank entries are skipped. An entry that is no address ends the walk: the client is the last good hop,
//!    the peer if there is none, and [`ResolvedClient::malformed`] is set.
//! 4. If every entry is trusted, the leftmost is the client. If there is no entry, the peer is.
//! 5. An entry may carry a port, brackets, quotes, a zone; an IPv4-mapped IPv6 address is that IPv4 address;
//!    the unspecified address is no address.
//! 6. A Unix peer is trusted and has no address: without an entry there is no client.
//! 7. `trusted_hops = N` replaces the ranges: the client is the Nth entry from the right. With fewer entries
//!    the request did not come through our proxies: the peer is the client, and is not trusted.
//! 8. A single-address header is read only from a trusted peer. If it has several lines or does not hold one
//!    address, the peer is the client.
//!
//! # The files
//!
//! [`Address`] and how it is written · [`Trust`], the ranges · [`Peer`], who is connected · [`forwarded`],
//! RFC 7239 · [`proxy_protocol`], its bytes · [`resolve`], the rule above · [`explain`], the same in words ·
//! [`visible`], scheme and host · [`forward`] and [`is_forwarding`], the forwarding headers for the app ·
//! [`masked`], an address as operators may see it.

mod address;
mod explain;
pub mod forwarded;
mod hops;
mod literal;
mod masked;
mod names;
mod peer;
pub mod proxy_protocol;
mod published;
mod resolve;
mod settings;
mod to_app;
mod trust;
mod visible;
mod visited;

#[cfg(test)]
mod tests;

pub use address::{Address, Zone};
pub use explain::explain;
pub use masked::{Masked, masked};
pub use peer::{NotAPeer, Peer};
pub use resolve::{ClientFrom, ResolvedClient, resolve};
pub use settings::{AddressSource, NotASetting, Settings, ToApp};
pub use to_app::{forward, is_forwarding};
pub use trust::{Trust, TrustError, proxy_range_of};
pub use visible::{Visible, visible};
pub use visited::{target_before, visited_target};
