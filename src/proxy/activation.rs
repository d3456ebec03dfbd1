//! Counts a page that was fetched ahead at the first request that shows that it is shown: the page's own
//! requests have it as their `Referer`.

use std::net::IpAddr;

use super::{context::Context, live::Live};
use crate::{
    delivery::{Draft, Hold, Mouth, Source},
    event::{PageKey, Sighting, WebPage},
    facts::{Library, RequestFacts},
    field,
    page::{self, EventKind, PageMark, VisitorPage},
};

/// Offers the event of the page that the request comes from, if that was fetched ahead. Where nothing was,
/// that costs one load.
pub(super) fn activate(
    context: &Context,
    live: &Live,
    facts: &RequestFacts<'_>,
    client: Option<IpAddr>,
    host: Option<&str>,
) -> bool {
    if context.memory.marked.is_unused() || !facts.is_of_a_shown_page() {
        return false;
    }
    let (Some(client), Some(shown)) = (client, facts.referer.and_then(WebPage::split)) else {
        return false;
    };
    // To another origin a page sends no path with its own.
    if shown.path() == b"/" && Some(shown.host) != host.map(str::as_bytes) {
        return false;
    }
    let by = Activating {
        context,
        live,
        facts,
        client,
    };
    if by.count(&shown) {
        return true;
    }
    // Where the app has the referrer cut to the host, the page's path is here all the same.
    let next = (facts.library == Some(Library::Next)).then(|| field::first(facts.fields, "next-url"));
    next.flatten().is_some_and(|target| {
        let shown = WebPage { target, ..shown };
        target.starts_with(b"/") && by.count(&shown)
    })
}

struct Activating<'a> {
    context: &'a Context,
    live: &'a Live,
    facts: &'a RequestFacts<'a>,
    client: IpAddr,
}

impl Activating<'_> {
    fn count(&self, shown: &WebPage<'_>) -> bool {
        let Activating {
            context,
            live,
            facts,
            client,
        } = self;
        let agent = facts.user_agent.unwrap_or_default();
        let page = VisitorPage::new(*client, agent, shown.host, shown.path());
        let (now, marked) = (context.now(), &context.memory.marked);
        let mark = PageMark::Prefetched;
        if !marked.take(page, mark, now.millis()) && !marked.take_led(page, mark, now.millis()) {
            return false;
        }
        marked.mark(page, PageMark::Activated, now.millis());
        let (Ok(host), Ok(path)) = (std::str::from_utf8(shown.host), std::str::from_utf8(shown.path()))
        else {
            return false;
        };
        let Some(domain) = live.sites.find(Some(host)) else {
            return false;
        };
        if !page::may_activate(&live.page, facts, path, true, Some(*client)) {
            return false;
        }
        let mut draft = Draft::over(context.buffer());
        draft.write(&Sighting {
            at_ns: 0,
            at_ms: 0,
            kind: EventKind::PageView,
            client: *client,
            user_agent: agent,
            https: shown.https,
            host: shown.host,
            target: shown.target,
            // What led to the page is not known any more; mostly it was a page of the same site.
            referrer: None,
            domain: domain.as_bytes(),
            members: b"",
        });
        let mut outbox = context.outbox.borrow_mut();
        match live.page.tracker_wait() {
            None => outbox.offer(Source::Page, &mut draft, now.nanos, now.millis()),
            // About this request it is decided already.
            Some(wait) => {
                let hold = Hold {
                    page: PageKey::of(host, path),
                    mouth: Mouth::Server,
                    wait,
                    request: None,
                };
                outbox.offer_held(Source::Page, &mut draft, &hold, now.nanos, now.millis());
            }
        }
        drop(outbox);
        context.give_back(draft.into_buffer());
        true
    }
}
