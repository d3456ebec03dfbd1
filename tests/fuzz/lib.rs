//! The modules under test, compiled by themselves: they import nothing of the crate but `field`, so that the
//! sanitizers need not be built into all that the rest depends on.

#[path = "../../src/client/mod.rs"]
pub mod client;
#[path = "../../src/field.rs"]
pub mod field;
#[path = "../../src/http1/mod.rs"]
pub mod http1;
