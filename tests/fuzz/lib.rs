//! The module under test, compiled by itself: it imports nothing of the crate, so that the sanitizers need not be
//! built into all that the rest depends on.

#[path = "../../src/client/mod.rs"]
pub mod client;
