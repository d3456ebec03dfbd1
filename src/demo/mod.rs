//! A site to click through and a receiver that counts: what stands on both sides of the sidecar in `gatecount demo`.

pub mod receiver;
pub mod site;
