//! Decides from a request's parsed head what becomes of it: who the client is, whether the request can be a
//! page view, what the app gets. No protocol's bytes are read here, so each rule is written once for HTTP/1.1
//! and HTTP/2.

use std::rc::Rc;

use tokio::time::Instant;

use super::{
    asked::{Asked, Framing},
    context::Context,
    errors::Fault,
    heads::{self, Requester},
    live::Live,
    record::{Beginning, RequestRecord, Visited},
};
use crate::{
    client::{self, Peer, Visible},
    delivery::Draft,
    event::Sighting,
    facts,
    headers::ConnectionOptions,
    http1,
    page::{self, EventKind, RequestVerdict},
    tracker::inject::{Asking, Injector, PageRequest},
};

/// A path for which the statistics panic before the request is sent. A test asks for it.
#[cfg(test)]
pub(super) const FAULT_AHEAD: &str = "/a-fault-ahead";

/// Who answers a request.
pub(super) enum Route {
    /// The app.
    App(Plan),
    /// gatecount itself, as this fault says.
    Answer(RequestRecord, Fault),
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
    let target = client::visited_target(&resolved, asked.fields, asked.target);
    let (reading, draft) = context
        .unharmed(|| read(context, &live, asked, &target, &resolved, &visible))
        .unwrap_or((RequestVerdict::Settled(page::failed()), Draft::default()));
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
        reading,
        draft,
        client: resolved.client,
        client_from: resolved.from,
    };
    let record = RequestRecord::begin(context, started, beginning);
    if let Some(refusal) = http1::not_offered(asked.method, asked.fields) {
        return Route::Answer(record, refusal.into());
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
        keep_alive: match asked.version {
            http::Version::HTTP_10 => connection.keep_alive() && !connection.close(),
            _ => !connection.close(),
        },
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
        has_client: resolved.client.is_some(),
        visible,
    })
}

/// What the request alone tells about being a page view, and the draft of its event.
fn read(
    context: &Context,
    live: &Live,
    asked: &Asked<'_>,
    target: &str,
    resolved: &client::ResolvedClient,
    visible: &client::Visible<'_>,
) -> (RequestVerdict, Draft) {
    #[cfg(test)]
    assert!(
        !asked.target.starts_with(FAULT_AHEAD),
        "a fault in the statistics"
    );
    let facts = facts::RequestFacts::read(asked.method, target, asked.fields);
    let domain = live.sites.find(visible.host);
    let reading = page::judge_request(&live.page, &facts, domain.is_some(), resolved.client.is_some());
    let (RequestVerdict::Open(_), Some(client), Some(domain)) = (&reading, resolved.client, domain) else {
        return (reading, Draft::default());
    };
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
    (reading, draft)
}
