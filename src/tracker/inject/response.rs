//! What becomes of a response, by its head.

use std::{rc::Rc, sync::Arc};

use httparse::Header;

use super::{Injector, Page, PageRequest, Rewriter, coding};
use crate::{
    facts::ResponseFacts,
    field,
    headers::{HeadChange, MissingSource, Policies, entity_tag},
    page::{self, Known, PageRules},
};

/// A response's head, as far as it is of concern here.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredPage<'a> {
    /// What counts.
    pub rules: &'a PageRules,
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: &'a [Header<'a>],
    /// It answers HEAD.
    pub to_head: bool,
    /// It has a body, or would have one.
    pub has_body: bool,
}

/// What becomes of it.
#[derive(Default)]
pub struct Injected {
    /// What its head becomes.
    pub change: HeadChange,
    /// Through which its body goes; none where it has none, or goes on as it came.
    pub rewriter: Option<Box<Rewriter>>,
    /// It goes on as it came for a reason that an operator wants to know.
    pub refused: Option<Scriptless>,
}

/// Why a page gets no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Scriptless {
    /// A policy of the page would block it.
    #[error("its Content-Security-Policy would block it, as it lacks {0}")]
    Policy(MissingSource),
    /// The worker rewrites as many pages as it has memory for.
    #[error("as many others are rewritten as there is memory for")]
    NoRoom,
}

impl Injector {
    /// Whether a page's response gets the script.
    pub fn response(&self, request: &PageRequest, answering: &AnsweredPage<'_>) -> Injected {
        let AnsweredPage { status, fields, .. } = *answering;
        let unchanged = Injected::default();
        let facts = ResponseFacts::read(status, fields);
        // The app may take a page out of the statistics.
        let mut words = field::lines(fields, "gatecount-page").filter_map(|line| field::members(line).next());
        let is_off = words.any(|word| word.eq_ignore_ascii_case(b"off"));
        if is_off || !page::is_shown(answering.rules, &request.candidate, &facts, Known::Nothing) {
            return unchanged;
        }
        if status == 304 {
            return Injected {
                change: if request.names_weak {
                    HeadChange::NotModified
                } else {
                    HeadChange::None
                },
                ..unchanged
            };
        }
        let Some(body) = page::rewritable(status, fields).filter(|_| answering.has_body) else {
            return unchanged;
        };
        let page = Page {
            shared: Arc::clone(&self.shared),
            domain: request.domain.clone(),
            https: request.https,
            host: request.host.clone(),
            charset: body.charset,
            policies: Policies::read(fields),
        };
        if let Err(missing) = page.policies.allow(&page.wanted()) {
            return Injected {
                refused: Some(Scriptless::Policy(missing)),
                ..unchanged
            };
        }
        let mut rewriter = None;
        if !answering.to_head {
            let Some(room) = self.rooms.take(coding::memory(body.coding)) else {
                return Injected {
                    refused: Some(Scriptless::NoRoom),
                    ..unchanged
                };
            };
            rewriter = Some(Box::new(Rewriter::new(Rc::new(page), body.coding, room)));
        }
        if let Some(tag) = field::first(fields, "etag").filter(|tag| entity_tag::is_strong(tag)) {
            self.shared.weakened.note(tag);
        }
        Injected {
            change: HeadChange::Body,
            rewriter,
            refused: None,
        }
    }
}
