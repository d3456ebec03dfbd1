//! Offers the events that a request has beside its page view: those of `[[events]]`, and what the app says in
//! its response. Few requests have any, so nothing is kept for them ahead: what is needed is read again from
//! the head that the app got.

use std::rc::Rc;

use super::RequestRecord;
use crate::{
    client,
    clock::Moment,
    delivery::{Draft, Source},
    event::custom::{self, Occasion, ReportedBy, Reporting, Reports},
    facts::{RequestFacts, ResponseFacts},
    http1,
    page::{Decision, RequestVerdict, Verdict},
};

impl RequestRecord {
    /// Whether the app says something about this request, or a rule takes it.
    #[inline]
    pub(super) fn has_more_than_its_page(&self, response: &ResponseFacts<'_>) -> bool {
        !response.words.is_empty()
            || (!self.context.live.borrow().events.is_empty() && self.is_of_a_rule(response.status))
    }

    fn is_of_a_rule(&self, status: u16) -> bool {
        let request = self.head.split(|b| *b == b'\r').next().unwrap_or_default();
        let request = std::str::from_utf8(request).ok();
        let Some((method, target)) = request.and_then(|line| line.split_once(' ')) else {
            return false;
        };
        if self.visited.is_rewritten {
            // The rules are about the visitor's path, which is looked at in full.
            return true;
        }
        let path = target.split(['?', ' ']).next().unwrap_or_default();
        let live = self.context.live.borrow();
        live.events.iter().any(|rule| rule.takes(method, path, status))
    }

    /// Offers all events of the request, about whose page the rules came to `verdict`. Returns what the app
    /// made of it.
    pub(super) fn offer_all(
        &mut self,
        reading: &RequestVerdict,
        response: &ResponseFacts<'_>,
        verdict: Verdict,
        now: Moment,
    ) -> Verdict {
        let context = Rc::clone(&self.context);
        let live = context.live.borrow();
        let mut slots = http1::field_slots();
        let Ok(Some(head)) = http1::parse_request(&self.head, &mut slots) else {
            // It has more lines than a request may have, now that the forwarding headers are among them.
            return self.offer_page(reading, verdict, response.status, now);
        };
        let host = self.visited.host(&self.head);
        let target = if self.visited.is_rewritten {
            client::target_before(head.fields, head.target)
        } else {
            head.target.into()
        };
        let mut request = RequestFacts::read(head.method, &target, head.fields);
        let place = self
            .draft
            .sighting()
            .filter(|_| verdict.decision == Decision::SoftNavigation);
        if let Some(seen) = &place {
            request.target = std::str::from_utf8(seen.target).unwrap_or(request.target);
            request.referer = seen.referrer;
        }
        let occasion = Occasion {
            mask: &live.page.mask,
            request,
            https: self.visited.https,
            host,
            client: self.client,
            domain: live.sites.find(host),
            response,
        };
        let by = Reporting {
            pages: &live.page,
            sites: &live.sites,
            rules: &live.events,
        };
        let Reports {
            verdict,
            reports,
            complaints,
        } = custom::report(&by, &occasion, verdict);
        for complaint in &complaints {
            context.complain(complaint);
        }
        if verdict.event.is_some()
            && let Some(verdict) = self.counted_before(reading, now)
        {
            return verdict;
        }
        let hold = self.hold(&verdict, response.status);
        let mut draft = Draft::over(context.buffer());
        for report in &reports {
            let Some(sighting) = report.sighting(&live.page, &occasion) else {
                continue;
            };
            let source = match report.by {
                ReportedBy::Pages => Source::Page,
                ReportedBy::Rule => Source::Rule,
                ReportedBy::App => Source::App,
            };
            draft.write(&sighting);
            let mut outbox = context.outbox.borrow_mut();
            match hold.filter(|_| report.by == ReportedBy::Pages) {
                None => outbox.offer(source, &mut draft, now.nanos, now.millis()),
                Some(hold) => {
                    self.held = outbox.offer_held(source, &mut draft, &hold, now.nanos, now.millis());
                }
            }
        }
        context.give_back(draft.into_buffer());
        verdict
    }
}
