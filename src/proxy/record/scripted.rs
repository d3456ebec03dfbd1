//! What scripts fetch, and what is fetched ahead. Few requests are page views among these, so nothing is
//! kept for them ahead: what is needed is read again from the head that the app got.

use std::rc::Rc;

use super::RequestRecord;
use crate::{
    client,
    clock::Moment,
    delivery::Draft,
    event::Sighting,
    facts::{RequestFacts, ResponseFacts},
    field, http1,
    page::{
        self, Candidate, Known, PageMark, RequestVerdict, ServiceWorker, SoftOutcome, SoftRequest, Verdict,
        VisitorPage,
    },
};

/// A request, read again.
pub(super) struct Reread<'a> {
    pub(super) facts: RequestFacts<'a>,
    pub(super) host: Option<&'a str>,
}

/// What was fetched ahead.
#[derive(Clone, Copy)]
enum Ahead {
    Document,
    OfAScript(SoftRequest),
}

impl RequestRecord {
    /// Reads the request again. `None` where it has more lines than a request may have, now that the
    /// forwarding headers are among them.
    pub(super) fn reread<T>(&self, see: impl FnOnce(&Reread<'_>) -> T) -> Option<T> {
        let mut slots = http1::field_slots();
        let head = http1::parse_request(&self.head, &mut slots).ok()??;
        let target = if self.visited.is_rewritten {
            client::target_before(head.fields, head.target)
        } else {
            head.target.into()
        };
        Some(see(&Reread {
            facts: RequestFacts::read(head.method, &target, head.fields),
            host: self.visited.host(&self.head),
        }))
    }

    /// Decides about a script's request, and drafts the event of a page that it has shown.
    pub(super) fn judge_soft(
        &mut self,
        soft: SoftRequest,
        response: &ResponseFacts<'_>,
        known: Known<'_>,
        now: Moment,
    ) -> Verdict {
        let outcome = page::soft_outcome(soft, response, known);
        if let Some(path) = page::announced(response) {
            self.mark(PageMark::Announced, now, path);
        }
        if let Some(target) = page::led_to(soft, response) {
            self.mark_led(now, target);
        }
        match outcome {
            SoftOutcome::Settled(verdict) => verdict,
            SoftOutcome::Ahead if self.counts_at_once(soft) => self.draft_soft(soft, None),
            SoftOutcome::Ahead => {
                self.mark_ahead(now, Ahead::OfAScript(soft), |facts| page::page_path(soft, facts));
                page::fetched_ahead(soft)
            }
            SoftOutcome::Shown { at } => self.draft_soft(soft, at),
        }
    }

    fn counts_at_once(&self, soft: SoftRequest) -> bool {
        page::counts_at_once(&self.context.live.borrow().page, soft)
    }

    fn draft_soft(&mut self, soft: SoftRequest, at: Option<&str>) -> Verdict {
        let context = Rc::clone(&self.context);
        let live = context.live.borrow();
        let (client, https) = (self.client, self.visited.https);
        let mut draft = Draft::over(context.buffer());
        let verdict = self.reread(|request| {
            let Reread { facts, host } = request;
            let domain = live.sites.find(*host);
            let (verdict, place) = page::judge_soft(&live.page, facts, soft, at, domain.is_some(), client);
            if let (Some(place), Some(client), Some(domain)) = (place, client, domain) {
                draft.write(&Sighting {
                    at_ns: 0,
                    at_ms: 0,
                    kind: page::EventKind::PageView,
                    client,
                    user_agent: facts.user_agent.unwrap_or_default(),
                    https,
                    host: host.unwrap_or_default().as_bytes(),
                    target: place.target.as_bytes(),
                    referrer: place.referrer,
                    domain: domain.as_bytes(),
                    members: b"",
                });
            }
            verdict
        });
        let before = std::mem::replace(&mut self.draft, draft);
        context.give_back(before.into_buffer());
        verdict.unwrap_or_else(page::failed)
    }

    /// Marks a document that was fetched ahead, if it may count when it is shown.
    pub(super) fn hold_document(
        &self,
        candidate: &Candidate,
        response: &ResponseFacts<'_>,
        known: Known<'_>,
        now: Moment,
    ) {
        let is_shown = page::is_shown(&self.context.live.borrow().page, candidate, response, known);
        if is_shown {
            self.mark_ahead(now, Ahead::Document, |facts| facts.path());
        }
    }

    /// Marks what was fetched ahead, if it may count when it is shown, and if that is not too late.
    fn mark_ahead(&self, now: Moment, what: Ahead, path: impl for<'f> FnOnce(&RequestFacts<'f>) -> &'f str) {
        let live = self.context.live.borrow();
        let (client, now) = (self.client, now.millis());
        let marks = &self.context.memory.marked;
        self.reread(|request| {
            let path = path(&request.facts);
            let known_site = live.sites.find(request.host).is_some();
            if page::may_be_held(&live.page, &request.facts, path, known_site, client)
                && let Some(page) = self.visitor_page(request, path)
                && match what {
                    Ahead::Document => marks.take(page, PageMark::AskedAhead, now),
                    Ahead::OfAScript(soft) if soft.replaces_the_click() => true,
                    // Routers fetch a page in pieces, and a worker what it shows. Turbo asks once.
                    Ahead::OfAScript(soft)
                        if !soft.is_turbos() && marks.holds(page, PageMark::Activated, now) =>
                    {
                        false
                    }
                    Ahead::OfAScript(soft) => !marks.comes_too_late(page, soft.comes_in_pieces(), now),
                }
            {
                marks.mark(page, PageMark::Prefetched, now);
            }
        });
    }

    /// Marks the page of this path and query for this visitor.
    fn mark(&self, mark: PageMark, now: Moment, target: &str) {
        let path = target.split('?').next().unwrap_or(target);
        self.reread(|request| {
            if let Some(page) = self.visitor_page(request, path) {
                self.context.memory.marked.mark(page, mark, now.millis());
            }
        });
    }

    /// Marks that the page of this request has led to another one.
    fn mark_led(&self, now: Moment, target: &str) {
        let path = target.split('?').next().unwrap_or(target);
        let marked = &self.context.memory.marked;
        self.reread(|request| {
            let pages = self.visitor_page(request, request.facts.path());
            if let Some((page, other)) = pages.zip(self.visitor_page(request, path)) {
                marked.mark(page.beside(other), PageMark::Led, now.millis());
            }
        });
    }

    /// Whether the app has sent the script to this page.
    pub(super) fn is_announced(&self, now: Moment) -> bool {
        let marked = &self.context.memory.marked;
        !marked.is_unused()
            && self
                .reread(|request| self.visitor_page(request, request.facts.path()))
                .flatten()
                .is_some_and(|page| marked.take(page, PageMark::Announced, now.millis()))
    }

    /// Whether the page is held until it is shown.
    pub(super) fn is_fetched_ahead(&self, now: Moment) -> bool {
        let marked = &self.context.memory.marked;
        !marked.is_unused()
            && self
                .reread(|request| self.visitor_page(request, request.facts.path()))
                .flatten()
                .is_some_and(|page| marked.holds(page, PageMark::Prefetched, now.millis()))
    }

    /// Whether the drafted page was counted before, when it was fetched ahead. Whatever was fetched ahead of
    /// it is fetched no more.
    pub(super) fn is_counted_ahead(&self, reading: &RequestVerdict, now: Moment) -> bool {
        let marked = &self.context.memory.marked;
        let (candidate, soft) = match reading {
            RequestVerdict::Open(candidate) => (Some(candidate), None),
            RequestVerdict::Soft(soft) => (None, Some(soft)),
            RequestVerdict::Settled(_) => (None, None),
        };
        let counts_ahead = candidate.is_some_and(Candidate::counts_ahead);
        let worker = candidate.and_then(Candidate::service_worker);
        if marked.is_unused() && !counts_ahead && soft.is_none() && worker.is_none() {
            return false;
        }
        let Some(page) = self.drafted_page() else {
            return false;
        };
        let now = now.millis();
        marked.take(page, PageMark::Prefetched, now);
        // A click that does not wait for what was fetched ahead asks itself.
        marked.take(page, PageMark::AskedAhead, now);
        let before = self.draft.sighting().and_then(|seen| seen.referrer);
        let way = before.map(|before| page.coming_from(before));
        let mut counted =
            marked.take(page, PageMark::CountedAhead, now) || marked.take(page, PageMark::Redirected, now);
        if let Some(worker) = worker {
            counted |= self.is_workers_again(worker, page, now);
        }
        match (soft, way) {
            (Some(soft), Some(way)) if soft.is_marked() && !counted => {
                marked.mark(way, PageMark::ByScript, now);
            }
            (None, Some(way)) => counted |= marked.take(way, PageMark::ByScript, now),
            _ => {}
        }
        if counts_ahead {
            marked.mark(page, PageMark::CountedAhead, now);
        }
        if !counted && (!marked.is_unused() || soft.is_some()) {
            marked.mark(page, PageMark::JustAsked, now);
        }
        counted || (soft.is_some_and(|soft| soft.may_be_preload()) && self.is_fetched_again(page, now))
    }

    /// Whether a view in which a service worker takes part is counted already: what the worker had was shown before it
    /// asked, or the browser gave it up and asks again.
    fn is_workers_again(&self, worker: ServiceWorker, page: VisitorPage, now: u64) -> bool {
        let marked = &self.context.memory.marked;
        let shown = marked.take(page, PageMark::Activated, now);
        if worker == ServiceWorker::Fallback {
            let again = shown || marked.take(page, PageMark::ByWorker, now);
            if !again {
                marked.mark(page, PageMark::Activated, now);
            }
            return again;
        }
        marked.mark(page, PageMark::ByWorker, now);
        shown
    }

    /// Whether the page was fetched from the same page just before: pointed at, and then clicked.
    fn is_fetched_again(&self, page: VisitorPage, now: u64) -> bool {
        let seen = self.draft.sighting();
        let Some(before) = seen.and_then(|seen| seen.referrer) else {
            return false;
        };
        let (way, marked) = (page.coming_from(before), &self.context.memory.marked);
        let again = marked.take(way, PageMark::Redirected, now);
        marked.mark(way, PageMark::Redirected, now);
        again
    }

    /// Whether the browser asks for the same page again, with the hints that the response calls critical.
    pub(super) fn is_asked_again(&self, response: &ResponseFacts<'_>) -> bool {
        let Some(hints) = response.critical_hints else {
            return false;
        };
        self.reread(|Reread { facts, .. }| {
            let is_sent = |hint: &[u8]| {
                std::str::from_utf8(hint).is_ok_and(|name| field::first(facts.fields, name).is_some())
            };
            facts.brands.is_some() && !field::members(hints).all(is_sent)
        })
        .unwrap_or(false)
    }

    /// The drafted page was counted by a response that leads to it.
    pub(super) fn mark_redirected(&self, now: Moment) {
        if let Some(page) = self.drafted_page() {
            self.context
                .memory
                .marked
                .mark(page, PageMark::Redirected, now.millis());
        }
    }

    fn drafted_page(&self) -> Option<VisitorPage> {
        let seen = self.draft.sighting()?;
        let path = seen.target.split(|b| *b == b'?').next().unwrap_or_default();
        Some(VisitorPage::new(seen.client, seen.user_agent, seen.host, path))
    }

    fn visitor_page(&self, request: &Reread<'_>, path: &str) -> Option<VisitorPage> {
        let agent = request.facts.user_agent.unwrap_or_default();
        let host = request.host.unwrap_or_default();
        Some(VisitorPage::new(
            self.client?,
            agent,
            host.as_bytes(),
            path.as_bytes(),
        ))
    }

    /// Host and path as the app got them, of a GET.
    fn own_place(&self) -> Option<(&[u8], &[u8])> {
        let target = self.head.strip_prefix(b"GET ")?;
        let path = &target[..memchr::memchr2(b'?', b' ', target)?];
        let line = &target[memchr::memchr(b'\n', target)? + 1..];
        Some((&line[..memchr::memchr(b'\r', line)?], path))
    }

    /// What the path's last 200 was.
    pub(super) fn last_type(&self) -> Known<'static> {
        self.own_place()
            .and_then(|(host, path)| self.context.memory.last_types.last(host, path))
            .map_or(Known::Nothing, Known::LastType)
    }

    /// Remembers what a 200 brought that a browser may ask for again: what was asked for as a page, and
    /// pictures and the like, which may be opened by themselves. What scripts fetch may be another form of a
    /// page.
    pub(super) fn note_type(&self, reading: &RequestVerdict, response: &ResponseFacts<'_>) {
        if response.status != 200 || !response.has_validator {
            return;
        }
        let is_document = match reading {
            RequestVerdict::Open(_) => response.is_document(),
            RequestVerdict::Settled(_) if response.is_media() => false,
            _ => return,
        };
        if let Some((host, path)) = self.own_place() {
            self.context.memory.last_types.note(host, path, is_document);
        }
    }
}
