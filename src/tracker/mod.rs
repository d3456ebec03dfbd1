//! The tracker script, first-party.

pub mod inject;
