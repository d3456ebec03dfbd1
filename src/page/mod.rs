//! What is a page view: a person's browser shows a document in its main frame. [`judge_request`] decides by
//! the request alone, [`judge_response`] by the response what that left open. Each gives a [`Decision`] with
//! its reason. [`judge_from_aside`] does both for a request that was seen from aside.
//!
//! The first rule that matches decides: no navigation → no site → path excluded → opted out, or excluded by
//! address, cookie or header → prefetched → a bot → no client address → what the response says. What a script
//! fetches is looked at the other way round: nearly all of it is no page, so the response comes first
//! ([`soft_outcome`], [`judge_soft`]).
//!
//! The state is in tables without locks that whoever calls keeps: [`PreloadPairs`] recognises a service
//! worker's second request for one page, [`Twins`] a page that was seen in the way and from aside,
//! [`LastTypes`] what a 304 stands for, [`MarkedPages`] what was fetched ahead.
//!
//! The app's own words come after that: [`suppressed`] and [`amended`] overrule the rules about pages, but
//! not [`judge_visitor`], which says whose requests count at all.

pub mod bots;

mod captures;
mod decision;
mod details;
mod doubt;
mod from_aside;
mod glob;
mod kind;
mod known;
mod last_types;
mod marked_pages;
mod marks;
mod memory;
mod preload_pairs;
mod request;
mod response;
mod rewritable;
mod rules;
mod sniff;
mod soft;
mod twins;
mod upgrades;

#[cfg(test)]
mod tests;

pub use captures::{PathPattern, PathPatternError};
pub use decision::{Decision, EventKind, Verdict};
pub use details::details;
pub use doubt::{body_suffices, doubt};
pub use from_aside::{JudgedFromAside, SeenResponse, judge_from_aside};
pub use glob::{Glob, GlobError};
pub use known::{Doubt, Known};
pub use last_types::LastTypes;
pub use marked_pages::{MarkedPages, PageMark, VisitorPage};
pub use memory::PageMemory;
pub use preload_pairs::PreloadPairs;
pub use request::{
    Candidate, RequestVerdict, ServiceWorker, counts_at_once, is_refused_prefetch, judge_pixel,
    judge_request, judge_soft, judge_visitor, may_activate, may_be_held, may_be_shown,
};
pub use response::{
    aborted, activated, amended, counted_ahead, dedicated, failed, fetched_ahead, is_shown, judge_response,
    no_app, not_held, repeated, seen_twice, suppressed, tracked, untracked,
};
pub use rewritable::{ContentCoding, Rewritable, content_coding, rewritable};
pub use rules::{Bots, CountMode, DOWNLOADS, PageRules, PrefetchMode, Sign, SignError};
pub use sniff::BODY_START;
pub use soft::{SoftOutcome, SoftPlace, SoftRequest, announced, led_to, page_path, soft_outcome};
pub use twins::{SeenBy, Twins};
