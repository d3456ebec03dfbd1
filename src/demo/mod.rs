//! The two neighbours of the sidecar in `gatecount demo`: a site to click through, and a receiver that
//! counts.

pub mod receiver;
pub mod site;

/// Where the demo's three pages are, so that each can link to the others.
#[derive(Debug, Clone)]
pub struct DemoLinks {
    /// The site, behind gatecount.
    pub site: String,
    /// The receiver's page: what Plausible would show.
    pub receiver: String,
    /// gatecount's own page.
    pub live: String,
}
