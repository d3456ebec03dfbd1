//! What is a page view: a person's browser shows a document in its main frame. [`judge_request`] decides by
//! the request alone, [`judge_response`] by the response what that left open. Each gives a [`Decision`] with
//! its reason. [`judge_from_aside`] does both for a request that was seen from aside.
//!
//! The first rule that matches decides: no navigation → no site → path excluded → opted out, or excluded by a
//! cookie or header → prefetched → a bot → no client address → what the response says. The only state is that
//! of [`PreloadPairs`], which recognises a service worker's second request for one page, and of [`Twins`],
//! which recognises a page that was seen in the way and from aside.
//!
//! The app's own words come after that: [`suppressed`] and [`amended`] overrule the rules about pages, but
//! not [`judge_visitor`], which says whose requests count at all.

pub mod bots;

mod captures;
mod decision;
mod details;
mod from_aside;
mod glob;
mod marks;
mod preload_pairs;
mod request;
mod response;
mod rewritable;
mod rules;
mod twins;

#[cfg(test)]
mod tests;

pub use captures::{PathPattern, PathPatternError};
pub use decision::{Decision, EventKind, Verdict};
pub use details::details;
pub use from_aside::{SeenResponse, judge_from_aside};
pub use glob::{Glob, GlobError};
pub use preload_pairs::PreloadPairs;
pub use request::{
    Candidate, RequestVerdict, ServiceWorker, judge_pixel, judge_request, judge_visitor, may_be_shown,
};
pub use response::{
    aborted, amended, dedicated, failed, is_shown, judge_response, no_app, not_held, repeated, seen_twice,
    suppressed, tracked, untracked,
};
pub use rewritable::{ContentCoding, Rewritable, rewritable};
pub use rules::{Bots, CountMode, DOWNLOADS, PageRules, Sign, SignError};
pub use twins::{SeenBy, Twins};
