//! What the heads of request and response leave open. Few requests have such a doubt, so it is asked for by
//! itself, and whoever calls finds out what settles it.

use crate::facts::ResponseFacts;
use crate::field;

use super::known::Doubt;
use super::request::{Candidate, RequestVerdict};
use super::sniff;
use super::soft::{SoftRequest, soft_body_suffices, soft_doubt};

/// What settles the request, if the heads alone do not.
pub fn doubt(reading: &RequestVerdict, response: &ResponseFacts<'_>) -> Option<Doubt> {
    match reading {
        RequestVerdict::Settled(_) => None,
        RequestVerdict::Open(candidate) => of_navigation(candidate, response),
        RequestVerdict::Soft(soft) => of_script(*soft, response),
    }
}

/// Whether these first bytes of the body settle the request, so that more would change nothing.
pub fn body_suffices(reading: &RequestVerdict, body: &[u8]) -> bool {
    !sniff::needs_more(body)
        && match reading {
            RequestVerdict::Soft(soft) => soft_body_suffices(*soft, body),
            _ => true,
        }
}

fn of_navigation(candidate: &Candidate, response: &ResponseFacts<'_>) -> Option<Doubt> {
    if response.content_type.is_some() || candidate.saved || response.attachment {
        return None;
    }
    match response.status {
        304 if !candidate.post => Some(Doubt::LastType),
        204..=206 => None,
        200..=299 => (!forbids_sniffing(response)).then_some(Doubt::BodyStart),
        _ => None,
    }
}

fn of_script(soft: SoftRequest, response: &ResponseFacts<'_>) -> Option<Doubt> {
    match response.status {
        200 => soft_doubt(soft, response),
        304 if soft.is_plain() => Some(Doubt::FetchedAhead),
        304 if soft.is_htmx_part() => Some(Doubt::Announcement),
        _ => None,
    }
}

/// `X-Content-Type-Options: nosniff` (WHATWG Fetch §3.5).
fn forbids_sniffing(response: &ResponseFacts<'_>) -> bool {
    field::first(response.fields, "x-content-type-options")
        .and_then(|value| field::members(value).next())
        .is_some_and(|value| value.eq_ignore_ascii_case(b"nosniff"))
}
