//! Settles each request exactly once: reaches the verdict, offers the event, counts decision and response. A
//! page whose record is dropped before that, because the client left, counts as aborted.

mod body;
mod declared;
mod deferred;
mod held;
mod scripted;
mod visited;

use std::{net::IpAddr, rc::Rc};

use tokio::time::Instant;

use deferred::DeferredResponse;

pub(super) use visited::Visited;

use super::{context::Context, errors::Fault};
use crate::{
    client,
    clock::Moment,
    delivery::{Draft, Source},
    event::Sighting,
    facts,
    page::{self, Decision, Doubt, EventKind, Known, RequestVerdict, SeenBy, ServiceWorker, Verdict},
};

/// A path for which the statistics panic when the request is settled. A test asks for it.
#[cfg(test)]
pub(super) const FAULT_AT_THE_END: &str = "/a-fault-at-the-end";

/// What is recorded of one request. It is [settled](RequestRecord::settle) once, or counts as aborted when it
/// is dropped before that.
pub(super) struct RequestRecord {
    context: Rc<Context>,
    /// The request's head as the app gets it: request line, `Host`, the rest. Empty once the request is
    /// settled.
    head: Vec<u8>,
    started: Instant,
    /// Whether its duration was measured.
    ended: bool,
    /// What the request alone tells about being a page view. `None` once the request is settled.
    reading: Option<RequestVerdict>,
    /// The event, if there is to be one; else empty.
    draft: Draft,
    client: Option<IpAddr>,
    client_from: client::ClientFrom,
    visited: Visited,
    /// The page view is held, and what is decided about the request is noted when that ends.
    held: bool,
    /// The request shows that a page is shown which was fetched ahead; that page's event is offered.
    activates: bool,
    /// A response whose arrival or whose kind is still in doubt.
    deferred: Option<Box<DeferredResponse>>,
}

/// What a record begins with.
pub(super) struct Beginning {
    pub(super) head: Vec<u8>,
    pub(super) reading: RequestVerdict,
    pub(super) draft: Draft,
    pub(super) client: Option<IpAddr>,
    pub(super) client_from: client::ClientFrom,
    pub(super) visited: Visited,
    /// See [`RequestRecord`].
    pub(super) activates: bool,
}

impl RequestRecord {
    pub(super) fn begin(context: &Rc<Context>, started: Instant, beginning: Beginning) -> Self {
        RequestRecord {
            context: Rc::clone(context),
            started,
            ended: false,
            head: beginning.head,
            reading: Some(beginning.reading),
            draft: beginning.draft,
            client: beginning.client,
            client_from: beginning.client_from,
            visited: beginning.visited,
            held: false,
            activates: beginning.activates,
            deferred: None,
        }
    }

    /// The request's head as the app gets it, until the request is settled.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// When the request's head was there.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// To be called when the response's head has reached the client. Decides what the request was, and offers
    /// its event if it has one, or waits for the first bytes of the body if they decide. Only the first call
    /// counts.
    pub(super) fn settle(&mut self, response: &facts::ResponseFacts<'_>) {
        self.settle_with(response, || &[]);
    }

    /// As [`settle`](Self::settle), with what came of the body with the head.
    pub(super) fn settle_with<'b>(
        &mut self,
        response: &facts::ResponseFacts<'_>,
        start: impl FnOnce() -> &'b [u8],
    ) {
        if self.reading.is_none() {
            return;
        }
        let context = Rc::clone(&self.context);
        // Without an answer the heads have to do.
        let known = context.unharmed(|| self.known(response, start));
        match known.unwrap_or(Some(Known::Nothing)) {
            Some(known) => self.conclude(response, known, None),
            None => self.deferred = Some(Box::new(DeferredResponse::until_body(response))),
        }
    }

    /// What settles the request beside the heads; `None` if it is still to come.
    fn known<'b>(
        &self,
        response: &facts::ResponseFacts<'_>,
        start: impl FnOnce() -> &'b [u8],
    ) -> Option<Known<'b>> {
        let reading = self.reading.as_ref()?;
        Some(match page::doubt(reading, response) {
            None => Known::Nothing,
            Some(Doubt::LastType) => self.last_type(),
            Some(Doubt::Announcement) if !self.is_announced(self.context.now()) => Known::Nothing,
            Some(Doubt::Announcement) => Known::Announced,
            Some(Doubt::FetchedAhead) if !self.is_fetched_ahead(self.context.now()) => Known::Nothing,
            Some(Doubt::FetchedAhead) => Known::FetchedAhead,
            Some(Doubt::BodyStart) => {
                let start = start();
                if !deferred::suffices(reading, response, start) {
                    return None;
                }
                Known::BodyStart(start)
            }
        })
    }

    /// [`settle`](RequestRecord::settle) for a response of gatecount's own, in the app's place.
    pub(super) fn settle_fault(&mut self, fault: &Fault) {
        let response = facts::ResponseFacts::of_status(fault.status());
        self.conclude(&response, Known::Nothing, Some(fault.why()));
    }

    /// Settles the request. `own`: why the response is gatecount's own.
    fn conclude(&mut self, response: &facts::ResponseFacts<'_>, known: Known<'_>, own: Option<&'static str>) {
        let Some(reading) = self.reading.take() else {
            return;
        };
        let context = Rc::clone(&self.context);
        context.metrics.response(response.status);
        let now = context.now();
        // If recording panics after the event was offered, don't offer it again.
        let mut offered = false;
        context.unharmed(|| {
            let mut verdict = self.offer(&reading, response, known, now);
            offered = true;
            if let Some(why) = own.filter(|_| verdict.decision == Decision::ErrorStatus) {
                verdict.why = why;
            }
            if !self.held {
                self.note(&verdict, response.status, now);
            }
        });
        if !offered {
            context.unharmed(|| self.note(&page::failed(), response.status, now));
        }
        // The rest of the response may take hours and needs neither.
        self.give_buffers_back();
    }

    fn give_buffers_back(&mut self) {
        self.context.give_back(std::mem::take(&mut self.head));
        self.context
            .give_back(std::mem::take(&mut self.draft).into_buffer());
    }

    /// To be called when the request is over, at the latest when the record is dropped: its duration ends.
    pub(super) fn end(&mut self, now: Instant) {
        self.end_body();
        if !std::mem::replace(&mut self.ended, true) {
            let duration = now.saturating_duration_since(self.started);
            self.context.metrics.duration.observe(duration.as_secs_f64());
        }
    }

    /// The verdict, its event offered.
    fn offer(
        &mut self,
        reading: &RequestVerdict,
        response: &facts::ResponseFacts<'_>,
        known: Known<'_>,
        now: Moment,
    ) -> Verdict {
        #[cfg(test)]
        assert!(
            memchr::memmem::find(&self.head, FAULT_AT_THE_END.as_bytes()).is_none_or(|at| at >= 10),
            "a fault in the statistics"
        );
        self.note_type(reading, response);
        let verdict = match reading {
            RequestVerdict::Settled(verdict) => *verdict,
            RequestVerdict::Open(candidate) => {
                let verdict =
                    page::judge_response(&self.context.live.borrow().page, candidate, response, known);
                if verdict.decision == Decision::Prefetch {
                    self.hold_document(candidate, response, known, now);
                }
                verdict
            }
            RequestVerdict::Soft(soft) => self.judge_soft(*soft, response, known, now),
        };
        // A dedicated path is nobody's word and no rule's.
        if verdict.decision != Decision::Dedicated && self.has_more_than_its_page(response) {
            return self.offer_all(reading, response, verdict, now);
        }
        let verdict = self.offer_page(reading, verdict, response.status, now);
        let leads_on = match reading {
            RequestVerdict::Soft(soft) => soft.is_action(),
            _ => self.is_asked_again(response),
        };
        if leads_on && verdict.event.is_some() {
            self.mark_redirected(now);
        }
        verdict
    }

    /// Offers the page's event, if it has one.
    fn offer_page(
        &mut self,
        reading: &RequestVerdict,
        verdict: Verdict,
        status: u16,
        now: Moment,
    ) -> Verdict {
        let Some(kind) = verdict.event else { return verdict };
        // A pixel's request is another one than its page's.
        let is_pixel = verdict.decision == Decision::Dedicated;
        if !is_pixel && let Some(verdict) = self.counted_before(reading, now) {
            return verdict;
        }
        self.redraft(kind);
        let source = if is_pixel { Source::Tracker } else { Source::Page };
        let hold = self.hold(&verdict, status);
        let mut outbox = self.context.outbox.borrow_mut();
        let (order, time) = (now.nanos, now.millis());
        match hold {
            None => outbox.offer(source, &mut self.draft, order, time),
            Some(hold) => {
                let taken = outbox.offer_held(source, &mut self.draft, &hold, order, time);
                self.held = taken && hold.request.is_some();
            }
        }
        verdict
    }

    /// The event was drafted as a page view. Drafts it anew if it is another one.
    fn redraft(&mut self, kind: EventKind<'_>) {
        if kind == EventKind::PageView {
            return;
        }
        let mut draft = Draft::over(self.context.buffer());
        if let Some(sighting) = self.draft.sighting() {
            let live = self.context.live.borrow();
            draft.write(&Sighting {
                kind,
                domain: live.page.domain(kind, sighting.domain),
                ..sighting
            });
        }
        let before = std::mem::replace(&mut self.draft, draft);
        self.context.give_back(before.into_buffer());
    }

    /// The verdict over a page whose view is counted already.
    fn counted_before(&self, reading: &RequestVerdict, now: Moment) -> Option<Verdict> {
        if self.is_repeated(reading, now.millis()) {
            return Some(page::repeated());
        }
        if self.is_seen_twice(now.millis()) {
            return Some(page::seen_twice());
        }
        self.is_counted_ahead(reading, now).then(page::counted_ahead)
    }

    /// Whether this is the second of a service worker's two requests for one page.
    fn is_repeated(&self, reading: &RequestVerdict, now: u64) -> bool {
        let RequestVerdict::Open(candidate) = reading else {
            return false;
        };
        let part = candidate.service_worker();
        let Some(part) = part.filter(|part| *part != ServiceWorker::Fallback) else {
            return false;
        };
        self.draft.sighting().is_some_and(|s| {
            !self
                .context
                .memory
                .pairs
                .first(s.client, s.user_agent, s.host, s.target, part, now)
        })
    }

    /// Whether the page is counted already, as it was seen from aside.
    fn is_seen_twice(&self, now: u64) -> bool {
        let Some(twins) = &self.context.twins else {
            return false;
        };
        let first =
            |s: Sighting<'_>| twins.first(s.client, s.user_agent, s.host, s.target, SeenBy::Proxy, now);
        self.draft.sighting().is_some_and(|sighting| !first(sighting))
    }

    /// Counts a decision, and keeps it among the newest.
    fn note(&self, verdict: &Verdict, status: u16, now: Moment) {
        let activated = (self.activates && verdict.event.is_none()).then(page::activated);
        let verdict = activated.as_ref().unwrap_or(verdict);
        self.context.metrics.decision(verdict.decision);
        let client = self.client.filter(|_| verdict.decision.lets_the_client_be_seen());
        self.context.recent.borrow_mut().push(
            now,
            verdict,
            status,
            client,
            self.client_from.label(),
            &self.head,
        );
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        self.end_body();
        if let Some(reading) = self.reading.take() {
            // The client left before a response's head reached it.
            let verdict = page::aborted(&reading);
            let context = Rc::clone(&self.context);
            context.unharmed(|| self.note(&verdict, 0, context.now()));
            self.give_buffers_back();
        }
        if !self.ended {
            self.end(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
