//! What is a page view: a person's browser shows a document in its main frame. [`judge_request`] decides by
//! the request alone, [`judge_response`] by the response what that left open. Each gives a [`Decision`] with
//! its reason.
//!
//! The first rule that matches decides: no navigation → no site → path excluded → opted out, or excluded by a
//! cookie or header → prefetched → a bot → no client address → what the response says. The only state is
//! [`PreloadPairs`], which recognises a service worker's second request for one page.

pub mod bots;

mod decision;
mod glob;
mod preload_pairs;
mod request;
mod response;
mod rules;

#[cfg(test)]
mod tests;

pub use decision::{Decision, EventKind, Verdict};
pub use glob::{Glob, GlobError};
pub use preload_pairs::PreloadPairs;
pub use request::{Candidate, RequestVerdict, ServiceWorker, judge_request};
pub use response::{aborted, failed, judge_response, repeated};
pub use rules::{Bots, CountMode, DOWNLOADS, PageRules, Sign, SignError};
