//! What is a page view: a person's browser showing a document in its main frame. The request is read when it comes
//! ([`ahead`]), the response settles what was left open ([`verdict`]). Each verdict says why.
//!
//! The signs are looked at in one order, and the first that decides gives the decision: no navigation, no site, excluded
//! by path or by sign, opted out, fetched ahead, a bot, no address; then the response's.

mod ahead;
pub mod bots;
mod decision;
mod glob;
mod rules;
mod verdict;

pub use ahead::{Ahead, Candidate, ahead};
pub use decision::Decision;
pub use glob::{Glob, NotAGlob};
pub use rules::{Bots, Count, NotASign, Rules, Sign};
#[cfg(test)]
mod tests;

pub use verdict::{Verdict, What, aborted, verdict};
