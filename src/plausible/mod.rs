//! What Plausible accepts: the receiving end of `POST /api/event`, in the strict reading.
//!
//! Plausible's Events API reference and its ingest code differ in places. Here the stricter one is followed,
//! so that an accepted event passes both. The demo's receiver answers by these rules, and the test suite
//! checks with them what gatecount sends. No I/O. Only the [`limits`] are shared with the code that builds
//! events, so that a mistake there is not repeated here.
//!
//! Errors have the form of Plausible's own 400: texts by field, all mistakes at once.

mod accept;
mod accepted;
mod address;
mod body;
mod breaches;
mod errors;
mod likely_drop;
pub mod limits;
mod members;
#[cfg(test)]
mod tests;
mod url;

pub use accept::{AcceptedBody, MAX_BODY, MAX_JSON_BODY, accept, accept_body};
pub use accepted::{Accepted, Revenue, TrafficSource};
pub use breaches::breaches;
pub use errors::FieldErrors;
pub use likely_drop::{DropRisk, likely_drop};
pub use members::{Members, NotAnObject};
