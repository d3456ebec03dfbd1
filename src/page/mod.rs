//! The rules of what is a page view: a person's browser showing a document in its main frame. [`ahead`] reads the
//! request alone, [`verdict`] the response to what `ahead` left open; each answer is a [`Decision`] with its reason.
//!
//! First match wins: not a navigation → no site → excluded by path → opted out, or excluded by a sign → fetched ahead →
//! a bot → no client address → what the response says. Nothing here keeps state but [`Pairs`], which tells a service
//! worker's second fetch of a page from the first.

pub mod bots;

mod ahead;
mod decision;
mod glob;
mod pairs;
mod rules;
mod verdict;

pub use ahead::{Ahead, Candidate, Worker, ahead};
pub use decision::Decision;
pub use glob::{Glob, GlobError};
pub use pairs::Pairs;
pub use rules::{Bots, Count, DOWNLOADS, Rules, Sign, SignError};
pub use verdict::{Verdict, What, aborted, failed, repeated, verdict};
