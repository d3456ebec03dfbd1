//! Puts the tracker script into pages: `[tracker] inject`.
//!
//! A page's request is [asked](Injector::request) about, then its response's [head](Injector::response),
//! which may give a [`Rewriter`] for the body. No I/O is done here: both protocols pass bytes through.
//!
//! - What may be rewritten: [`crate::page::rewritable`]; what its head becomes:
//!   [`crate::headers::HeadChange`]; whether its policies let the script run: [`crate::headers::Policies`].
//! - The way of a body: [`rewriter`] → [`coding`] → [`splice`] → [`finder`] → [`coding`].

mod coding;
mod finder;
mod late;
mod request;
mod response;
mod rewriter;
mod room;
mod settings;
mod splice;
mod tag;
mod weakened;

use std::sync::Arc;

use encoding_rs::Encoding;

use self::{late::LateScripts, room::Rooms, tag::Tag, weakened::WeakenedTags};
use crate::headers::{Policies, WantedScript};

pub use self::{
    coding::{DamagedBody, decoded_start},
    request::{Asking, PageRequest},
    response::{AnsweredPage, Injected, Scriptless},
    rewriter::Rewriter,
    room::ROOM,
    settings::InjectSettings,
};

/// What all workers share.
#[derive(Debug)]
pub struct Injection {
    tag: Tag,
    weakened: WeakenedTags,
    late: LateScripts,
}

impl Injection {
    /// Puts what these settings say into pages.
    pub fn new(settings: InjectSettings) -> Self {
        Injection {
            tag: Tag::new(settings),
            weakened: WeakenedTags::new(),
            late: LateScripts::new(),
        }
    }
}

/// A worker's.
#[derive(Debug)]
pub struct Injector {
    shared: Arc<Injection>,
    rooms: Rooms,
}

impl Injector {
    /// A worker's own, with room for its pages.
    pub fn new(shared: Arc<Injection>) -> Self {
        Injector {
            shared,
            rooms: Rooms::default(),
        }
    }
}

/// A page that is to get the script.
#[derive(Debug)]
struct Page {
    shared: Arc<Injection>,
    domain: String,
    https: bool,
    /// With its port; empty if it is not known.
    host: String,
    charset: &'static Encoding,
    /// Those of the response's head.
    policies: Policies,
}

impl Page {
    fn tag(&self) -> &Tag {
        &self.shared.tag
    }

    fn wanted(&self) -> WantedScript<'_> {
        let settings = self.tag().settings();
        WantedScript {
            https: self.https,
            host: &self.host,
            path: &settings.script,
            sends_to: &settings.event,
            inline_hashes: self.tag().inline_hashes(),
        }
    }

    /// Whether the script goes to the page's end, where all of the page has been looked through.
    fn goes_last(&self) -> bool {
        self.shared.late.has(&self.host)
    }

    /// The page has a script of its own behind the one that was put in.
    fn note_late_script(&self) {
        if self.shared.late.note(&self.host) {
            tracing::warn!(
                domain = self.domain,
                "a page has a tracker script of its own far behind its head, and was counted by both; from now on \
                 the pages of its host get the script at their end, if they have none"
            );
        }
    }

    fn is_tracker(&self, src: Option<&str>, counts_for: Option<&str>) -> bool {
        self.tag().is_in(&self.host, &self.domain, src, counts_for)
    }
}
