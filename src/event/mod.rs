//! What Plausible is told: which site a host belongs to, the event's url and referrer, and the body in Plausible's form.
//!
//! A worker thread notes a [`Sighting`], which is what it saw and no more; the delivery thread builds the [`Event`] from
//! it, which is what the queue keeps and what is sent.

mod body;
mod sighting;
mod sites;
mod url;
mod wire;

pub use body::Event;
pub use sighting::Sighting;
pub use sites::{HostError, HostPattern, Site, Sites};
pub use url::{LONGEST, Query};

/// The rules by which events are made: `[[sites]]` and `[pages] query`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Which host belongs to which domain.
    pub sites: Sites,
    /// The query parameters that stay in the url.
    pub query: Query,
}
