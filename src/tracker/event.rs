//! The endpoint of the tracker script's events, up to the request's body. It answers as Plausible's own does.

use std::{sync::Arc, time::Instant};

use super::{
    answer::DedicatedAnswer,
    cors::Cors,
    flood::FloodGate,
    metrics::EventResult,
    receive::{BodyType, Counter, Receiving, Sender, unavailable},
    request::{DedicatedRequest, Reply},
};
use crate::{event::Sites, field, page::PageRules};

/// Judges the request's head.
pub(super) fn reply(
    counter: &Arc<Counter>,
    gate: &FloodGate,
    request: &DedicatedRequest<'_>,
    sites: &Sites,
    rules: &PageRules,
) -> Reply {
    let facts = request.facts;
    let cors = Cors::read(facts.fields, sites);
    let end = |result, answer| {
        counter.metrics.event(result);
        Reply::from(cors.allow(answer))
    };
    match facts.method {
        "POST" => {}
        "OPTIONS" => return cors.preflight().into(),
        _ => {
            return end(
                EventResult::Invalid,
                DedicatedAnswer::wrong_method("POST, OPTIONS"),
            );
        }
    }
    if !accepts_json(facts.fields) {
        let answer = DedicatedAnswer::words(406, "406 Not Acceptable\n");
        return end(EventResult::Invalid, answer);
    }
    let Some(client) = request.client else {
        return end(EventResult::Unavailable, unavailable());
    };
    if let Err(wait) = gate.pass(client, Instant::now()) {
        return end(EventResult::Flood, DedicatedAnswer::too_many(wait));
    }
    let user_agent = facts.user_agent.unwrap_or_default();
    if user_agent.is_empty() {
        let answer = DedicatedAnswer::error(400, "user_agent", "can't be blank");
        return end(EventResult::Invalid, answer);
    }
    let body_type = match field::first(facts.fields, "content-type").map(field::without_parameters) {
        Some(kind) if kind.eq_ignore_ascii_case(b"application/json") => BodyType::Json,
        _ => BodyType::Text,
    };
    if request
        .length
        .is_some_and(|length| length > body_type.limit() as u64)
    {
        return end(EventResult::Invalid, body_type.too_long());
    }
    let sender = Sender {
        client,
        user_agent: user_agent.to_vec(),
        left_out: rules.leaves_out(&facts, Some(client)),
        tracker_wait: rules.tracker_wait(),
    };
    Reply::Body(Box::new(Receiving::new(counter, sender, cors, body_type)))
}

/// Whether `Accept` allows JSON; without one, all is allowed.
fn accepts_json(fields: &[httparse::Header<'_>]) -> bool {
    let mut any = false;
    for range in field::list(fields, "accept").map(field::without_parameters) {
        any = true;
        if [&b"*/*"[..], b"application/*", b"application/json"]
            .iter()
            .any(|allowed| range.eq_ignore_ascii_case(allowed))
        {
            return true;
        }
    }
    !any
}

#[cfg(test)]
mod tests {
    use httparse::Header;

    use super::*;

    #[test]
    fn only_an_accept_without_json_is_not_acceptable() {
        for (accept, accepted) in [
            (None, true),
            (Some("*/*"), true),
            (Some("text/html, application/*;q=0.1"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some(""), true),
            (Some("text/html"), false),
            (Some("application/xml, text/*"), false),
        ] {
            let fields: Vec<_> = accept
                .map(|accept| Header {
                    name: "accept",
                    value: accept.as_bytes(),
                })
                .into_iter()
                .collect();
            assert_eq!(accepts_json(&fields), accepted, "{accept:?}");
        }
    }
}
