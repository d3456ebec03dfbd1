//! One request as it was seen from aside, from whatever it was seen, and the decision about it.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use httparse::Header;

use super::rules::ObserveRules;
use crate::{
    client::{self, ClientFrom, Peer, Visible},
    delivery::{HeldRequest, Hold, Mouth},
    event::{PageKey, Sighting},
    facts::RequestFacts,
    page::{self, JudgedFromAside, PreloadPairs, SeenBy, SeenResponse, Twins, Verdict},
};

/// What was seen of a request.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// Who sent it to the server that tells of it.
    pub(super) peer: Peer,
    /// Empty where it is not known.
    pub(super) method: &'a str,
    /// Path and query; empty where they are not known.
    pub(super) target: &'a str,
    pub(super) fields: &'a [Header<'a>],
    /// What that server was asked by.
    pub(super) arrived: Visible<'a>,
    /// It is known what the browser said of the request (`Sec-Fetch-*`, `Accept`).
    pub(super) signs: bool,
    pub(super) response: SeenResponse<'a>,
}

/// What was decided about a request.
#[derive(Debug)]
pub(super) struct Decided<'a> {
    pub(super) verdict: Verdict,
    pub(super) client: Option<IpAddr>,
    pub(super) from: ClientFrom,
    /// The host that the visitor used; empty where it is not known.
    pub(super) host: &'a str,
    pub(super) https: bool,
    /// The event, if there is one. Its order among others is not set.
    pub(super) sighting: Option<Sighting<'a>>,
    /// What the event is held for; then it is decided later about the request.
    pub(super) hold: Option<Hold>,
}

/// What was counted already.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Service workers' pages.
    pub(super) pairs: PreloadPairs,
    /// Pages that the data path sees too; none without one.
    pub(super) twins: Option<Arc<Twins>>,
}

/// Decides about a request that was made at `at`, in milliseconds since 1970, and shows the decision to `see`.
pub(super) fn decide<R>(
    rules: &ObserveRules,
    counted: &Counted,
    seen: &Observed<'_>,
    at: u64,
    see: impl FnOnce(&Decided<'_>) -> R,
) -> R {
    let resolved = client::resolve(&rules.client, seen.peer, seen.fields);
    let visible = client::visible(&rules.client, &resolved, seen.fields, seen.arrived);
    let target = client::visited_target(&resolved, seen.fields, seen.target);
    let facts = RequestFacts::read(seen.method, &target, seen.fields);
    let domain = rules.sites.find(visible.host);
    let known = domain.is_some();
    let JudgedFromAside {
        mut verdict,
        service_worker,
        place,
    } = page::judge_from_aside(
        &rules.page,
        &facts,
        seen.signs,
        known,
        resolved.client,
        &seen.response,
    );
    let (target, referrer) = match place {
        Some(place) => (place.target, place.referrer),
        None => (Cow::Borrowed(facts.target), facts.referer),
    };
    let host = visible.host.unwrap_or_default();
    let mut sighting = None;
    if let (Some(kind), Some(client), Some(domain)) = (verdict.event, resolved.client, domain) {
        let user_agent = facts.user_agent.unwrap_or_default();
        let (host, page) = (host.as_bytes(), target.as_bytes());
        let repeated = |part| !counted.pairs.first(client, user_agent, host, page, part, at);
        let seen_twice = |twins: &Twins| !twins.first(client, user_agent, host, page, SeenBy::Observer, at);
        if service_worker.is_some_and(repeated) {
            verdict = page::repeated();
        } else if counted.twins.as_deref().is_some_and(seen_twice) {
            verdict = page::seen_twice();
        } else {
            sighting = Some(Sighting {
                at_ns: 0,
                at_ms: at,
                kind,
                client,
                user_agent,
                https: visible.https,
                host,
                target: page,
                referrer,
                domain: rules.page.domain(kind, domain.as_bytes()),
                members: b"",
            });
        }
    }
    let hold = rules.page.holds(&verdict).map(|wait| Hold {
        page: PageKey::of(host, &target),
        mouth: Mouth::Server,
        wait,
        request: Some(HeldRequest {
            decision: verdict.decision,
            post: seen.method == "POST",
            status: seen.response.status(),
            from: resolved.from,
        }),
    });
    see(&Decided {
        verdict,
        client: resolved.client,
        from: resolved.from,
        host,
        https: visible.https,
        hold: hold.filter(|_| sighting.is_some()),
        sighting,
    })
}
