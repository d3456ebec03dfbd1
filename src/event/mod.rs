//! An event: what a worker saw ([`Sighting`]), what Plausible is told of it ([`Event`]), whose site it is ([`Sites`]), and
//! the strict reading of what arrives at Plausible's end ([`accept`]).

pub mod accept;
mod build;
mod sighting;
mod sites;
#[cfg(test)]
mod tests;
mod url;

pub use build::{Event, Rules};
pub use sighting::Sighting;
pub use sites::{HostPattern, NotAHostPattern, Site, Sites};
pub use url::Query;
