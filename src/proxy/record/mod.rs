//! Settles each request exactly once: reaches the verdict, offers the event, counts decision and response. A
//! page whose record is dropped before that, because the client left, counts as aborted.

mod declared;
mod held;
mod visited;

use std::{net::IpAddr, rc::Rc};

use httparse::Header;
use tokio::time::Instant;

pub(super) use visited::Visited;

use super::{context::Context, errors::Fault};
use crate::{
    client,
    clock::Moment,
    delivery::{Draft, Source},
    event::Sighting,
    facts,
    page::{self, Decision, EventKind, RequestVerdict, SeenBy, Verdict},
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
    /// A response whose arrival is still in doubt.
    deferred: Option<Box<DeferredResponse>>,
}

/// The facts of a response, kept beyond its head.
struct DeferredResponse {
    status: u16,
    content_type: Option<Vec<u8>>,
    attachment: bool,
    /// The fields, if the app's own words are among them.
    words: Vec<(String, Vec<u8>)>,
}

/// What a record begins with.
pub(super) struct Beginning {
    pub(super) head: Vec<u8>,
    pub(super) reading: RequestVerdict,
    pub(super) draft: Draft,
    pub(super) client: Option<IpAddr>,
    pub(super) client_from: client::ClientFrom,
    pub(super) visited: Visited,
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
    /// its event if it has one. Only the first call counts.
    pub(super) fn settle(&mut self, response: &facts::ResponseFacts<'_>) {
        self.conclude(response, None);
    }

    /// [`settle`](RequestRecord::settle) for a response of gatecount's own, in the app's place.
    pub(super) fn settle_fault(&mut self, fault: &Fault) {
        self.conclude(
            &facts::ResponseFacts::of_status(fault.status()),
            Some(fault.why()),
        );
    }

    fn conclude(&mut self, response: &facts::ResponseFacts<'_>, own: Option<&'static str>) {
        let Some(reading) = self.reading.take() else {
            return;
        };
        let context = Rc::clone(&self.context);
        context.metrics.response(response.status);
        let now = context.now();
        // If recording panics after the event was offered, don't offer it again.
        let mut offered = false;
        context.unharmed(|| {
            let mut verdict = self.offer(&reading, response, now);
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

    /// The response's head was sent, and it is not known yet whether the client is still there.
    pub(super) fn defer(&mut self, response: &facts::ResponseFacts<'_>) {
        self.deferred = Some(Box::new(DeferredResponse {
            status: response.status,
            content_type: response.content_type.map(<[u8]>::to_vec),
            attachment: response.attachment,
            words: response
                .words
                .iter()
                .map(|line| (line.name.to_owned(), line.value.to_vec()))
                .collect(),
        }));
    }

    /// The client was there: settles what was deferred.
    pub(super) fn settle_deferred(&mut self) {
        if let Some(deferred) = self.deferred.take() {
            let words: Vec<Header<'_>> = deferred
                .words
                .iter()
                .map(|(name, value)| Header { name, value })
                .collect();
            self.settle(&facts::ResponseFacts {
                status: deferred.status,
                content_type: deferred.content_type.as_deref(),
                attachment: deferred.attachment,
                words: &words,
            });
        }
    }

    /// To be called when the request is over, at the latest when the record is dropped: its duration ends.
    pub(super) fn end(&mut self, now: Instant) {
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
        now: Moment,
    ) -> Verdict {
        #[cfg(test)]
        assert!(
            memchr::memmem::find(&self.head, FAULT_AT_THE_END.as_bytes()).is_none_or(|at| at >= 10),
            "a fault in the statistics"
        );
        let verdict = match reading {
            RequestVerdict::Settled(verdict) => *verdict,
            RequestVerdict::Open(candidate) => {
                page::judge_response(&self.context.live.borrow().page, candidate, response)
            }
        };
        // A dedicated path is nobody's word and no rule's.
        if verdict.decision != Decision::Dedicated && self.has_more_than_its_page(response) {
            return self.offer_all(reading, response, verdict, now);
        }
        self.offer_page(reading, verdict, response.status, now)
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
        if self.is_repeated(reading, now.millis()) {
            return page::repeated();
        }
        // A pixel's request is another one than its page's.
        let is_pixel = verdict.decision == Decision::Dedicated;
        if !is_pixel && self.is_seen_twice(now.millis()) {
            return page::seen_twice();
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

    /// Whether this is the second of a service worker's two requests for one page.
    fn is_repeated(&self, reading: &RequestVerdict, now: u64) -> bool {
        let RequestVerdict::Open(candidate) = reading else {
            return false;
        };
        let Some(part) = candidate.service_worker() else {
            return false;
        };
        self.draft.sighting().is_some_and(|s| {
            !self
                .context
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
        if let Some(reading) = self.reading.take() {
            // The client left before a response's head reached it.
            let verdict = match reading {
                RequestVerdict::Settled(verdict) => verdict,
                RequestVerdict::Open(_) => page::aborted(),
            };
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
