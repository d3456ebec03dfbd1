//! Reads an event as Plausible's endpoint does.

use std::net::IpAddr;

use httparse::Header;
use serde_json::{Map, Value};

use crate::field;

use super::accepted::Accepted;
use super::errors::FieldErrors;
use super::{address, body};

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 1_000_000;

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

    let empty = Map::new();
    let parsed = object(body, &mut errors);
    let parts = body::read(parsed.as_ref().unwrap_or(&empty), &mut errors);
    match parts {
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
        _ if parsed.is_some() => Err(errors),
        // The fields of a body that could not be parsed are unknown, not missing.
        _ => {
            errors.keep_only(&["content-type", "user_agent", "request"]);
            Err(errors)
        }
    }
}

/// The body as a JSON object.
fn object(body: &[u8], errors: &mut FieldErrors) -> Option<Map<String, Value>> {
    if body.len() > MAX_BODY {
        errors.add("request", format!("body is longer than {MAX_BODY} bytes"));
        return None;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Some(map),
        Ok(_) => {
            errors.add("request", "body must be a JSON object");
            None
        }
        Err(e) => {
            errors.add("request", format!("Unable to parse request body as json: {e}"));
            None
        }
    }
}

/// Whether it is one of the two types that the reference lists; the body is JSON either way.
fn is_json_or_text(value: &[u8]) -> bool {
    let kind = field::without_parameters(value);
    kind.eq_ignore_ascii_case(b"application/json") || kind.eq_ignore_ascii_case(b"text/plain")
}
