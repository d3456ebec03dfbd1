//! Events for Plausible: the domain that a host belongs to, the event's url and referrer, and its body.
//!
//! A worker thread writes a [`Sighting`]: the values that it saw, and nothing else. The delivery thread
//! builds the [`Event`] from it; that is what the queue stores and what is sent. Events beside the page views
//! are [`custom`].

mod body;
pub mod custom;
mod json;
mod page_key;
mod rules;
mod sighting;
mod sites;
mod url;
mod web_page;
mod wire;

pub use body::Event;
pub use page_key::PageKey;
pub use rules::EventRules;
pub use sighting::Sighting;
pub use sites::{HostError, HostPattern, Site, Sites};
pub use url::{MAX_URL, QueryRule};
pub use web_page::WebPage;
