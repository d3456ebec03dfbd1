//! Puts the script into a page that comes in pieces, without a coding.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use super::{
    Page,
    finder::{Finder, IsTracker, Place},
};
use crate::headers::MissingSource;

/// Bytes of a page that are kept until the head's end is there. Of a longer head, the part behind them is not
/// looked at.
const HEAD: usize = 64 * 1024;
/// Bytes of a page behind the script that are looked through for one of its own.
const WATCHED: usize = 1 << 20;
/// Bytes that are looked at again with those that follow them: more than a script's tag has.
const OVERLAP: usize = 1024;

/// See the module.
pub(super) struct Splice {
    page: Rc<Page>,
    /// `None` once the script was put in, or it is known that it is not.
    finder: Option<Finder>,
    /// What can't go on yet.
    held: Vec<u8>,
    /// Bytes that went on before what is held.
    passed: usize,
    /// The end of what went on behind the script; `None` if that is not looked through.
    watched: Option<Watched>,
    /// How long the tag is, without the nonce that it may get.
    tag_length: usize,
    end: Outcome,
}

/// What is looked through of a page that has got the script.
struct Watched {
    tail: Vec<u8>,
    seen: usize,
}

/// What became of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// That is not known yet.
    Open,
    /// It has the script.
    Inserted,
    /// It is as it was: there is no place for the script, or the page has one already.
    Untouched,
    /// It is as it was: its own policy would block the script.
    Blocked(MissingSource),
}

impl Splice {
    pub(super) fn new(page: Rc<Page>) -> Self {
        Splice {
            finder: Some(Finder::new(page.charset, is_tracker(&page), page.goes_last())),
            tag_length: page.tag().write(&page.domain, None).len(),
            page,
            held: Vec::new(),
            passed: 0,
            watched: None,
            end: Outcome::Open,
        }
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.end
    }

    /// Whether what goes on behind the script is looked through.
    pub(super) fn is_watching(&self) -> bool {
        self.watched.is_some()
    }

    /// What is held.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes a piece of the page, and appends to `out` what can go on.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(finder) = &mut self.finder else {
            self.watch(piece);
            return out.extend_from_slice(piece);
        };
        // Before anything that might fail, so that it can go on as it is.
        self.held.extend_from_slice(piece);
        if self.passed == 0 && matches!(self.held[..], [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..]) {
            // UTF-16, whatever the type says (WHATWG Encoding §6.1).
            return self.leave(out, Outcome::Untouched);
        }
        finder.feed(piece);
        if self.held.len() >= HEAD && finder.has_head() {
            finder.end();
        }
        self.decide(out);
        if self.finder.is_some() && self.held.len() >= 2 * HEAD {
            self.leave(out, Outcome::Untouched);
        }
    }

    /// The page has ended: appends to `out` what is left.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(finder) = &mut self.finder {
            finder.end();
            self.decide(out);
        }
    }

    fn decide(&mut self, out: &mut Vec<u8>) {
        let Some(finder) = &self.finder else { return };
        match finder.place(self.tag_length) {
            Place::Nowhere => self.leave(out, Outcome::Untouched),
            Place::Later { passed } => {
                let free = passed.saturating_sub(self.passed).min(self.held.len());
                out.extend(self.held.drain(..free));
                self.passed += free;
            }
            Place::At(at) => {
                let mut policies = self.page.policies.clone();
                finder.policies().iter().for_each(|meta| policies.add_meta(meta));
                // What has come of the body is looked through too, though the head alone is waited for.
                let (page, held) = (&self.page, &self.held);
                let has_tracker = page.tag().may_be_in(held) && Finder::has_tracker(held, is_tracker(page));
                match policies.allow(&page.wanted()) {
                    _ if has_tracker => self.leave(out, Outcome::Untouched),
                    Err(missing) => self.leave(out, Outcome::Blocked(missing)),
                    Ok(nonce) => {
                        let tag = page.tag().write(&page.domain, nonce);
                        let (before, after) = held.split_at(at.saturating_sub(self.passed).min(held.len()));
                        for part in [before, tag.as_bytes(), after] {
                            out.extend_from_slice(part);
                        }
                        if !self.page.goes_last() {
                            let start = held.len().saturating_sub(OVERLAP);
                            self.watched = Some(Watched {
                                tail: held[start..].to_vec(),
                                seen: 0,
                            });
                        }
                        self.close(Outcome::Inserted);
                    }
                }
            }
        }
    }

    /// Looks for a script of the page's own in what goes on behind the one that was put in.
    fn watch(&mut self, piece: &[u8]) {
        let Some(watched) = &mut self.watched else { return };
        watched.tail.extend_from_slice(piece);
        watched.seen += piece.len();
        let (page, tail) = (&self.page, &watched.tail);
        let looks = || page.tag().may_be_in(tail) && Finder::has_tracker(tail, is_tracker(page));
        // The page has gone on: nothing that fails here may harm it.
        let has_tracker = catch_unwind(AssertUnwindSafe(looks)).unwrap_or(false);
        if has_tracker {
            page.note_late_script();
        }
        if has_tracker || watched.seen >= WATCHED {
            self.watched = None;
        } else {
            let old = watched.tail.len().saturating_sub(OVERLAP);
            watched.tail.drain(..old);
        }
    }

    /// What is held goes on as it came, and so does the rest.
    fn leave(&mut self, out: &mut Vec<u8>, outcome: Outcome) {
        out.extend_from_slice(&self.held);
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        self.held = Vec::new();
        self.finder = None;
        self.end = outcome;
    }
}

fn is_tracker(page: &Rc<Page>) -> IsTracker {
    let page = Rc::clone(page);
    Rc::new(move |src, domain| page.is_tracker(src, domain))
}
