//! The two neighbours of the sidecar in `gatecount demo`: a site to click through, and a receiver that
//! counts.

pub mod receiver;
pub mod site;
