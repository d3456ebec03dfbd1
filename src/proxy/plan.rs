//! Decides from a request's parsed head what becomes of it: who the client is, whether the request can be a
//! page view, what the app gets. No protocol's bytes are read here, so each rule is written once for HTTP/1.1
//! and HTTP/2.

use std::{net::IpAddr, rc::Rc};

use tokio::time::Instant;

use super::{
    activation::activate,
    asked::{Asked, Framing},
    context::Context,
    errors::Fault,
    heads::{self, Requester},
    live::Live,
    record::{Beginning, RequestRecord, Visited},
    settings::Upstream,
};
use crate::{
    client::{self, Peer, Visible},
    delivery::Draft,
    event::{Sighting, WebPage},
    facts,
    headers::ConnectionOptions,
    http1::{self, Refusal},
    page::{self, EventKind, PageMark, RequestVerdict, Verdict, VisitorPage},
    tracker::{
        self, DedicatedAnswer, DedicatedPath, DedicatedRequest, Tracker, ViewedPage,
        inject::{Asking, Injector, PageRequest},
    },
};

/// A path for which the statistics panic before the request is sent. A test asks for it.
#[cfg(test)]
pub(super) const FAULT_AHEAD: &str = "/a-fault-ahead";

/// Seconds within which two requests are of one moment. Nobody goes back and returns in that time.
const AT_ONCE: u64 = 1;

/// Who answers a request.
#[allow(clippy::large_enum_variant)] // the large one is the usual one
pub(super) enum Route {
    /// The app.
    App(Plan),
    /// gatecount itself.
    Answer(Box<OwnPlan>),
}

/// What a request needs that gatecount answers itself.
pub(super) struct OwnPlan {
    pub(super) record: RequestRecord,
    pub(super) answer: OwnAnswer,
    /// The method is HEAD, so the response has no body.
    pub(super) to_head: bool,
    /// As in [`Plan`].
    pub(super) keep_alive: bool,
    /// The client waits for a word before it sends the request's body (RFC 9110 §10.1.1).
    pub(super) expects_continue: bool,
}

/// What gatecount answers.
pub(super) enum OwnAnswer {
    /// A refusal.
    Fault(Fault),
    /// What a dedicated path answers; perhaps not before it has the request's body, or later.
    Dedicated(tracker::Reply),
}

/// Whether the client asks to switch protocols, and may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    No,
    /// As HTTP/1.1 does (RFC 9110 §7.8): the app may as well answer the request as it is.
    Protocol,
    /// A WebSocket over HTTP/2 (RFC 8441).
    WebSocket,
}

/// What a request for the app needs.
pub(super) struct Plan {
    /// The head for the app, and what is recorded when the response is there.
    pub(super) record: RequestRecord,
    /// How the app learns where the body ends.
    pub(super) framing: Framing,
    /// The method is HEAD, so the response has no body.
    pub(super) to_head: bool,
    pub(super) idempotent: bool,
    pub(super) upgrade: Upgrade,
    /// An HTTP/1.x client's connection may go on after this request (RFC 9112 §9.3).
    pub(super) keep_alive: bool,
    /// The response gets the tracker script, if it is a page.
    pub(super) page: Option<Box<PageRequest>>,
}

/// Decides a request.
pub(super) fn plan(context: &Rc<Context>, peer: Peer, asked: &Asked<'_>) -> Route {
    let started = Instant::now();
    let live = context.live.borrow();
    let resolved = client::resolve(&live.client, peer, asked.fields);
    context.note_client(&resolved, peer);
    let arrived = Visible {
        https: asked.https,
        host: asked.host,
    };
    let visible = client::visible(&live.client, &resolved, asked.fields, arrived);
    if let Some(tracker) = &context.tracker
        && let Some(path) = tracker.find(asked.target)
    {
        let by = Dedicated {
            tracker,
            path,
            live: &live,
        };
        return Route::Answer(Box::new(by.plan(context, started, asked, &resolved, &visible)));
    }
    if context.settings.app.upstream == Upstream::Nothing {
        let record = record_of_own(
            context,
            started,
            asked,
            &resolved,
            &visible,
            (page::no_app(), Draft::default()),
        );
        let refusal = http1::not_offered(asked.method, asked.fields);
        let answer = OwnAnswer::Fault(refusal.map_or(Fault::NoApp, Fault::from));
        return Route::Answer(Box::new(OwnPlan::new(asked, record, answer)));
    }
    let target = client::visited_target(&resolved, asked.fields, asked.target);
    let reading = context
        .unharmed(|| read(context, &live, asked, &target, &resolved, &visible))
        .unwrap_or_else(|| Reading::of(RequestVerdict::Settled(page::failed())));
    let is_refused = reading.is_refused;
    let page = context.injector.as_ref().and_then(|injector| {
        let ask = || ask_about_page(injector, &live, asked, &target, &resolved, &visible);
        context.unharmed(ask).flatten()
    });
    let connection = ConnectionOptions::read(asked.fields);
    let mut head = context.buffer();
    let requester = Requester {
        peer,
        resolved: &resolved,
        arrived: &arrived,
        visible: &visible,
    };
    let upstream = &context.settings.app.upstream;
    let upgrade = heads::write_request(
        &live.client,
        upstream,
        &requester,
        asked,
        &connection,
        page.as_deref(),
        &mut head,
    );
    let beginning = Beginning {
        visited: Visited::new(&visible, asked.host, *target != *asked.target, &head),
        head,
        reading: reading.verdict,
        draft: reading.draft,
        activates: reading.activates,
        client: resolved.client,
        client_from: resolved.from,
    };
    let record = RequestRecord::begin(context, started, beginning);
    if is_refused {
        let answer = OwnAnswer::Dedicated(DedicatedAnswer::no_prefetch().into());
        return Route::Answer(Box::new(OwnPlan::new(asked, record, answer)));
    }
    if let Some(refusal) = http1::not_offered(asked.method, asked.fields) {
        let answer = OwnAnswer::Fault(refusal.into());
        return Route::Answer(Box::new(OwnPlan::new(asked, record, answer)));
    }
    Route::App(Plan {
        record,
        framing: asked.framing,
        to_head: asked.method == "HEAD",
        idempotent: http1::is_idempotent(asked.method),
        upgrade: match (upgrade, asked.websocket) {
            (false, _) => Upgrade::No,
            (true, false) => Upgrade::Protocol,
            (true, true) => Upgrade::WebSocket,
        },
        keep_alive: may_go_on(asked, &connection),
        page,
    })
}

/// Whether the response may get the tracker script.
fn ask_about_page(
    injector: &Injector,
    live: &Live,
    asked: &Asked<'_>,
    target: &str,
    resolved: &client::ResolvedClient,
    visible: &client::Visible<'_>,
) -> Option<Box<PageRequest>> {
    injector.request(&Asking {
        rules: &live.page,
        facts: &facts::RequestFacts::read(asked.method, target, asked.fields),
        domain: live.sites.find(visible.host),
        client: resolved.client,
        visible,
    })
}

/// The record of a request that does not go to the app, about which it is decided.
fn record_of_own(
    context: &Rc<Context>,
    started: Instant,
    asked: &Asked<'_>,
    resolved: &client::ResolvedClient,
    visible: &Visible<'_>,
    (verdict, draft): (Verdict, Draft),
) -> RequestRecord {
    let mut head = context.buffer();
    heads::write_start(asked, &mut head);
    let beginning = Beginning {
        visited: Visited::new(visible, asked.host, false, &head),
        head,
        reading: RequestVerdict::Settled(verdict),
        draft,
        activates: false,
        client: resolved.client,
        client_from: resolved.from,
    };
    RequestRecord::begin(context, started, beginning)
}

/// Whether a client's connection may go on after this request.
fn may_go_on(asked: &Asked<'_>, connection: &ConnectionOptions<'_>) -> bool {
    match asked.version {
        http::Version::HTTP_10 => connection.keep_alive() && !connection.close(),
        _ => !connection.close(),
    }
}

impl OwnPlan {
    fn new(asked: &Asked<'_>, record: RequestRecord, answer: OwnAnswer) -> Self {
        OwnPlan {
            record,
            answer,
            to_head: asked.method == "HEAD",
            keep_alive: may_go_on(asked, &ConnectionOptions::read(asked.fields)),
            expects_continue: asked.expects_continue,
        }
    }
}

/// A dedicated path that was asked for.
struct Dedicated<'a> {
    tracker: &'a Tracker,
    path: DedicatedPath,
    live: &'a Live,
}

impl Dedicated<'_> {
    fn plan(
        &self,
        context: &Rc<Context>,
        started: Instant,
        asked: &Asked<'_>,
        resolved: &client::ResolvedClient,
        visible: &Visible<'_>,
    ) -> OwnPlan {
        let request = DedicatedRequest {
            facts: facts::RequestFacts::read(asked.method, asked.target, asked.fields),
            client: resolved.client,
            length: match asked.framing {
                Framing::Length(length) => Some(length),
                Framing::None | Framing::Chunked => None,
            },
        };
        let refusal = match http1::not_offered(asked.method, asked.fields) {
            // A 2xx would say that the tunnel is open (RFC 8441 §5).
            None if asked.websocket => Some(Refusal::Connect),
            refusal => refusal,
        };
        let mut viewed = None;
        let answer = if let Some(refusal) = refusal {
            OwnAnswer::Fault(refusal.into())
        } else {
            let Live { sites, page, .. } = self.live;
            let reply = self.tracker.reply(self.path, &request, sites, page);
            if self.path == DedicatedPath::Pixel && reply.is_success() {
                viewed = context.unharmed(|| self.view(context, &request));
            }
            OwnAnswer::Dedicated(reply)
        };
        let judged = viewed.unwrap_or_else(|| (page::dedicated(), Draft::default()));
        let record = record_of_own(context, started, asked, resolved, visible, judged);
        OwnPlan::new(asked, record, answer)
    }

    /// What a request for the pixel tells about its page being viewed, and the draft of the event.
    fn view(&self, context: &Context, request: &DedicatedRequest<'_>) -> (Verdict, Draft) {
        let Live { sites, page, .. } = self.live;
        let DedicatedRequest { facts, client, .. } = request;
        let viewed = ViewedPage::of(facts.target, facts.referer);
        let viewed = viewed.and_then(|viewed| sites.find(Some(&viewed.host)).map(|domain| (viewed, domain)));
        let path = viewed.as_ref().map(|(viewed, _)| viewed.path());
        let verdict = page::judge_pixel(page, facts, path, *client);
        let mut draft = Draft::default();
        if let (Some(kind), Some((viewed, domain)), Some(client)) = (verdict.event, &viewed, client) {
            draft = Draft::over(context.buffer());
            draft.write(&viewed.sighting(kind, *client, facts, page.domain(kind, domain.as_bytes())));
        }
        (verdict, draft)
    }
}

/// What the request alone tells about being a page view.
struct Reading {
    verdict: RequestVerdict,
    /// The draft of its event.
    draft: Draft,
    /// It shows that a page is shown that was fetched ahead.
    activates: bool,
    /// It is a page fetched ahead, which is not to be.
    is_refused: bool,
}

impl Reading {
    fn of(verdict: RequestVerdict) -> Self {
        Reading {
            verdict,
            draft: Draft::default(),
            activates: false,
            is_refused: false,
        }
    }
}

/// The page that this request for another one comes from has been there for a moment: what is fetched ahead of it from
/// now on is for another view.
fn go_on(context: &Context, facts: &facts::RequestFacts<'_>, client: IpAddr) {
    let Some(from) = facts.referer.and_then(WebPage::split) else {
        return;
    };
    if from.path() != facts.path().as_bytes() {
        let agent = facts.user_agent.unwrap_or_default();
        let page = VisitorPage::new(client, agent, from.host, from.path());
        let now = context.now().millis();
        let marked = &context.memory.marked;
        marked.take(page, PageMark::JustAsked, now);
        // A visitor who has Turbo fetch another page there does not wait for this one: Turbo's next request for it is
        // a return.
        if facts.library == Some(facts::Library::Turbo) {
            marked.take(page, PageMark::Activated, now);
        }
    }
}

/// Reads what the request alone tells.
fn read(
    context: &Context,
    live: &Live,
    asked: &Asked<'_>,
    target: &str,
    resolved: &client::ResolvedClient,
    visible: &client::Visible<'_>,
) -> Reading {
    #[cfg(test)]
    assert!(
        !asked.target.starts_with(FAULT_AHEAD),
        "a fault in the statistics"
    );
    let facts = facts::RequestFacts::read(asked.method, target, asked.fields);
    let domain = live.sites.find(visible.host);
    let verdict = page::judge_request(&live.page, &facts, domain.is_some(), resolved.client);
    let mut reading = Reading {
        activates: activate(context, live, &facts, resolved.client, visible.host),
        is_refused: facts.prefetch && page::is_refused_prefetch(&live.page, &facts),
        ..Reading::of(verdict)
    };
    let (Some(client), Some(domain)) = (resolved.client, domain) else {
        return reading;
    };
    let marked = &context.memory.marked;
    let page = |path: &str| {
        let agent = facts.user_agent.unwrap_or_default();
        VisitorPage::new(
            client,
            agent,
            visible.host.unwrap_or_default().as_bytes(),
            path.as_bytes(),
        )
    };
    let is_for_a_page = match &reading.verdict {
        RequestVerdict::Open(_) => true,
        RequestVerdict::Soft(soft) => !soft.is_plain(),
        RequestVerdict::Settled(_) => false,
    };
    if is_for_a_page && !marked.is_unused() {
        go_on(context, &facts, client);
    }
    let candidate = match &reading.verdict {
        RequestVerdict::Open(candidate) => candidate,
        RequestVerdict::Soft(soft) => {
            // Whatever becomes of it, its own response tells it.
            if soft.is_marked() {
                let (page, now) = (page(page::page_path(*soft, &facts)), context.now().millis());
                marked.take(page, PageMark::Prefetched, now);
                // Turbo shows what it has while it asks, and of the two a part of the shown page may come first.
                if soft.is_turbos() && marked.take_within(page, PageMark::Activated, AT_ONCE, now) {
                    marked.mark(page, PageMark::CountedAhead, now);
                }
                marked.mark(page, PageMark::JustAsked, now);
            } else if soft.is_ahead_of_a_click() && !marked.is_unused() {
                // The visitor may go on before the response is here, and then nothing tells that it was late.
                let (page, now) = (page(page::page_path(*soft, &facts)), context.now().millis());
                if marked.comes_too_late(page, soft.comes_in_pieces(), now) {
                    reading.verdict = RequestVerdict::Settled(page::fetched_ahead(*soft));
                }
            }
            return reading;
        }
        RequestVerdict::Settled(_) => return reading,
    };
    if candidate.is_held() {
        let page = page(facts.path());
        let now = context.now().millis();
        // A click that comes just as its page begins to be fetched ahead is sent first.
        if !marked.comes_too_late(page, false, now) {
            marked.mark(page, PageMark::AskedAhead, now);
        }
        return reading;
    }
    // Whatever becomes of it, its own response tells it. A service worker may show the page before that, whose parts
    // ask then.
    if !marked.is_unused() {
        let (page, now) = (page(facts.path()), context.now().millis());
        marked.take(page, PageMark::Prefetched, now);
        marked.take(page, PageMark::AskedAhead, now);
        marked.mark(page, PageMark::JustAsked, now);
    }
    let mut draft = Draft::over(context.buffer());
    draft.write(&Sighting {
        at_ns: 0,
        at_ms: 0,
        kind: EventKind::PageView,
        client,
        user_agent: facts.user_agent.unwrap_or_default(),
        https: visible.https,
        host: visible.host.unwrap_or_default().as_bytes(),
        target: target.as_bytes(),
        referrer: facts.referer,
        domain: domain.as_bytes(),
        members: b"",
    });
    reading.draft = draft;
    reading
}
