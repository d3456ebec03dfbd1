//! What a request must be for its response to get the script, and what the app is told differently for it.

use std::net::IpAddr;

use httparse::Header;

use super::Injector;
use crate::{
    client::Visible,
    facts::RequestFacts,
    field,
    headers::{self, entity_tag},
    page::{self, Candidate, PageRules},
};

/// A request, as far as it is of concern here.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// What counts.
    pub rules: &'a PageRules,
    /// The request's facts.
    pub facts: &'a RequestFacts<'a>,
    /// The site's domains, joined by commas, if its host is a site's.
    pub domain: Option<&'a str>,
    /// The visitor's address, if it is known.
    pub client: Option<IpAddr>,
    /// Scheme and host of the page.
    pub visible: &'a Visible<'a>,
}

/// A request whose response gets the script, if it is a page.
#[derive(Debug)]
pub struct PageRequest {
    pub(super) candidate: Candidate,
    pub(super) domain: String,
    pub(super) https: bool,
    pub(super) host: String,
    /// `If-None-Match` has a weak tag: perhaps one that was made weak here.
    pub(super) names_weak: bool,
    /// `If-None-Match` for the app, if it differs.
    if_none_match: Option<Vec<u8>>,
    /// `Range` is not passed on, so that the whole page comes.
    drops_range: bool,
}

impl Injector {
    /// Whether the response may get the script, by the request. No cost but a look at the rules for one that
    /// can't.
    pub fn request(&self, asking: &Asking<'_>) -> Option<Box<PageRequest>> {
        let Asking { rules, facts, .. } = asking;
        let candidate = page::may_be_shown(rules, facts, asking.domain.is_some(), asking.client)?;
        // Where bytes of this page were cut off, a client goes on from what it has: if that is still the same
        // by its date, which tells nothing of how it was rewritten. It gets the whole page (RFC 9110 §14.2).
        let drops_range = facts.range
            && field::first(facts.fields, "if-range")
                .is_some_and(|validator| !entity_tag::is_strong(validator));
        if (facts.range && !drops_range) || headers::forbids_transform(facts.fields) {
            return None;
        }
        let tags: Vec<&[u8]> = field::lines(facts.fields, "if-none-match").collect();
        let tags = tags.join(&b", "[..]);
        Some(Box::new(PageRequest {
            candidate,
            domain: asking.domain.unwrap_or_default().to_owned(),
            https: asking.visible.https,
            host: asking.visible.host.unwrap_or_default().to_owned(),
            names_weak: entity_tag::tags(&tags).any(entity_tag::is_weak),
            if_none_match: self.shared.weakened.undo(&tags),
            drops_range,
        }))
    }
}

impl PageRequest {
    /// Whether a field is not passed to the app as it came.
    pub fn replaces(&self, name: &str) -> bool {
        (self.if_none_match.is_some() && name.eq_ignore_ascii_case("if-none-match"))
            || (self.drops_range
                && (name.eq_ignore_ascii_case("range") || name.eq_ignore_ascii_case("if-range")))
    }

    /// The fields that the app gets instead.
    pub fn replacements(&self) -> impl Iterator<Item = Header<'_>> {
        self.if_none_match.iter().map(|value| Header {
            name: "If-None-Match",
            value,
        })
    }
}
