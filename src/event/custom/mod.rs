//! Events beside the page views that the rules find: those of `[[events]]`, and the app's own words in its
//! response's head.
//!
//! - `Gatecount-Event: {"name": "Signup", "props": {…}, "revenue": {…}, "interactive": false, "url": …}` is
//!   an event by the visitor who gets this response. The field may be repeated, on lines of its own or with
//!   commas. Only `name` is required; `url` is the request's unless it is given.
//! - `Gatecount-Page: off` uncounts the response: neither its page view is sent nor the event of a rule.
//! - `Gatecount-Page: {"url": …, "props": {…}}` amends the response's page view, and makes one where the
//!   rules would have counted none. The events of the response have its `url` too. Without a query of its
//!   own, the url keeps that of the request.
//!
//! A `url` is a path, or absolute on a host of the request's own site. Only the final response's head is
//! read, no 1xx and no trailer, and never the answer to HEAD, whose request does nothing.
//!
//! Whoever is not counted at all has no events either, whatever a rule or the app says
//! ([`judge_visitor`](crate::page::judge_visitor)): bots, those who opted out where that is respected,
//! requests that `exclude_when` names, pages that are prefetched.
//!
//! Nothing here is ever refused by Plausible: what is beyond its limits is cut or left out, and whoever asked
//! for it gets a [`Complaint`].

mod complaint;
mod declared;
mod extras;
mod name;
mod occasion;
mod page_url;
mod report;
mod rule;
mod template;

pub use complaint::{Complaint, DeclarationFault};
pub use name::check_name;
pub use occasion::Occasion;
pub use report::{Report, ReportedBy, Reporting, Reports, report};
pub use rule::{CustomRule, RevenueTemplate, StatusError, StatusPattern};
pub use template::{Template, TemplateError};
