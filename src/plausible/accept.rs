//! Reads an event as Plausible's endpoint does.

use std::net::IpAddr;

use httparse::Header;

use crate::field;

use super::accepted::Accepted;
use super::errors::FieldErrors;
use super::members::Members;
use super::{address, body};

/// The longest body that is read, in bytes, of any type but [`MAX_JSON_BODY`]'s.
pub const MAX_BODY: usize = 1_000_000;
/// The longest body of the type `application/json`, in bytes. A longer one is answered 413.
pub const MAX_JSON_BODY: usize = 8_000_000;

/// Reads one event: the request's header lines, the peer that sent it, and its body.
///
/// # Errors
/// Every mistake, by field.
pub fn accept(fields: &[Header<'_>], peer: IpAddr, body: &[u8]) -> Result<Accepted, FieldErrors> {
    let mut errors = FieldErrors::default();

    if !field::first(fields, "content-type").is_some_and(is_json_or_text) {
        errors.add("content-type", "must be application/json or text/plain");
    }
    let user_agent = field::first(fields, "user-agent").unwrap_or_default();
    if user_agent.is_empty() {
        errors.add("user_agent", "can't be blank");
    }

    let members = match members(body) {
        Ok(members) => members,
        // The fields of a body that could not be parsed are unknown, not missing.
        Err(text) => {
            errors.add("request", text);
            return Err(errors);
        }
    };
    match body::read(&members, &mut errors) {
        Some(parts) if errors.is_empty() => {
            let (client, client_from) = address::client(fields, peer);
            Ok(Accepted {
                name: parts.name,
                host: parts.url.host,
                path: parts.url.path,
                tags: parts.url.tags,
                url: parts.url.text,
                domains: parts.domains,
                referrer: parts.referrer,
                props: parts.props,
                revenue: parts.revenue,
                interactive: parts.interactive,
                scroll_depth: parts.scroll_depth,
                engagement_ms: parts.engagement_ms,
                script_version: parts.script_version,
                client,
                client_from,
                user_agent: user_agent.to_vec(),
                data_centre: field::first(fields, "x-plausible-ip-type").is_some_and(|v| v == b"dc_ip"),
            })
        }
        _ => Err(errors),
    }
}

/// What a body says of its event.
#[derive(Debug)]
pub struct AcceptedBody {
    /// The event's name.
    pub name: String,
    /// The sites that it is for.
    pub domains: Vec<String>,
    /// The host of its url, in lower case and without a port.
    pub host: String,
    /// The path of its url.
    pub path: String,
}

/// Reads an event's body, if the event is valid as far as its body goes.
///
/// # Errors
/// Every mistake, by field.
pub fn accept_body(members: &Members<'_>) -> Result<AcceptedBody, FieldErrors> {
    let mut errors = FieldErrors::default();
    match body::read(members, &mut errors) {
        Some(parts) if errors.is_empty() => Ok(AcceptedBody {
            name: parts.name,
            domains: parts.domains,
            host: parts.url.host,
            path: parts.url.path,
        }),
        _ => Err(errors),
    }
}

/// The body's members, or the mistake.
fn members(body: &[u8]) -> Result<Members<'_>, String> {
    if body.len() > MAX_BODY {
        return Err(format!("body is longer than {MAX_BODY} bytes"));
    }
    Members::read(body).map_err(|error| error.to_string())
}

/// Whether it is one of the two types that the reference lists; the body is JSON either way.
fn is_json_or_text(value: &[u8]) -> bool {
    let kind = field::without_parameters(value);
    kind.eq_ignore_ascii_case(b"application/json") || kind.eq_ignore_ascii_case(b"text/plain")
}
