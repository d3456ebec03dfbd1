//! The fields of an event's body. The tracker script sends short keys; they override the long ones. A null
//! counts as absent. Unknown keys are ignored.

use serde_json::{Map, Value};

use super::accepted::Revenue;
use super::errors::FieldErrors;
use super::limits::{
    MAX_NAME_CHARS, MAX_PROP_KEY_BYTES, MAX_PROP_VALUE_BYTES, MAX_PROPS, MAX_REFERRER_CHARS, is_amount,
    is_currency,
};
use super::url::{Url, without_www};

/// The fields of a body that is valid.
pub(super) struct BodyFields {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) domains: Vec<String>,
    pub(super) referrer: Option<String>,
    pub(super) props: Vec<(String, String)>,
    pub(super) revenue: Option<Revenue>,
    pub(super) interactive: bool,
    pub(super) scroll_depth: Option<u8>,
    pub(super) engagement_ms: Option<u64>,
    pub(super) script_version: Option<u64>,
}

/// Reads every field and reports every mistake. None if name, url or domain is wrong.
pub(super) fn read(body: &Map<String, Value>, errors: &mut FieldErrors) -> Option<BodyFields> {
    let name = name(body, errors);
    let hash_mode =
        pick(body, &["h", "hashMode"]).is_some_and(|v| v == &Value::from(1) || v == &Value::Bool(true));
    let url = url(body, hash_mode, errors);
    let domains = domains(body, url.as_ref(), errors);
    let referrer = referrer(body, errors);
    let props = props(body, errors);
    let interactive = match pick(body, &["i", "interactive"]) {
        None => true,
        Some(Value::Bool(b)) => *b,
        Some(_) => {
            errors.add("interactive", "must be a boolean");
            true
        }
    };
    let script_version = pick(body, &["v"]).and_then(|v| {
        let version = v.as_u64();
        if version.is_none() {
            errors.add("v", "must be an integer");
        }
        version
    });

    let scroll_depth = pick(body, &["sd"])
        .and_then(Value::as_u64)
        .and_then(|n| u8::try_from(n).ok())
        .filter(|n| *n <= 100);
    let engagement_ms = pick(body, &["e"]).and_then(Value::as_u64);
    if name.as_deref() == Some("engagement") && scroll_depth.is_none() && engagement_ms.is_none() {
        errors.add(
            "event_name",
            "engagement event requires a valid integer value for at least one of 'sd' or 'e' fields",
        );
    }

    Some(BodyFields {
        name: name?,
        url: url?,
        domains: domains?,
        referrer,
        props,
        revenue: revenue(body),
        interactive,
        scroll_depth,
        engagement_ms,
        script_version,
    })
}

/// The first of the keys that is there and not null.
fn pick<'a>(body: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().filter_map(|k| body.get(*k)).find(|v| !v.is_null())
}

fn name(body: &Map<String, Value>, errors: &mut FieldErrors) -> Option<String> {
    let name = match pick(body, &["n", "name"]) {
        None => String::new(),
        Some(Value::String(s)) => s.clone(),
        Some(Value::Number(n)) if n.is_i64() || n.is_u64() => n.to_string(),
        Some(_) => {
            errors.add("event_name", "must be a string or an integer");
            return None;
        }
    };
    if name.trim().is_empty() {
        errors.add("event_name", "can't be blank");
        return None;
    }
    if name.chars().count() > MAX_NAME_CHARS {
        errors.add(
            "event_name",
            format!("should be at most {MAX_NAME_CHARS} character(s)"),
        );
        return None;
    }
    Some(name)
}

fn url(body: &Map<String, Value>, hash_mode: bool, errors: &mut FieldErrors) -> Option<Url> {
    let reason = match pick(body, &["u", "url"]) {
        None => "is required",
        Some(Value::String(text)) => match Url::read(text, hash_mode) {
            Ok(url) => return Some(url),
            Err(reason) => reason,
        },
        Some(_) => "must be a string",
    };
    errors.add("url", reason);
    None
}

fn domains(body: &Map<String, Value>, url: Option<&Url>, errors: &mut FieldErrors) -> Option<Vec<String>> {
    let listed = match pick(body, &["d", "domain"]) {
        Some(Value::String(text)) => text.as_str(),
        Some(_) => {
            errors.add("domain", "must be a string");
            return None;
        }
        None => match &url?.host {
            none if none == "(none)" => "",
            host => host,
        },
    };
    let domains: Vec<_> = listed.split(',').map(|d| without_www(d).to_owned()).collect();
    if domains.iter().any(String::is_empty) {
        errors.add("domain", "can't be blank");
        return None;
    }
    Some(domains)
}

fn referrer(body: &Map<String, Value>, errors: &mut FieldErrors) -> Option<String> {
    match pick(body, &["r", "referrer"])? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.chars().take(MAX_REFERRER_CHARS).collect()),
        _ => {
            errors.add("referrer", "must be a string");
            None
        }
    }
}

fn props(body: &Map<String, Value>, errors: &mut FieldErrors) -> Vec<(String, String)> {
    let Some(sent) = pick(body, &["m", "meta", "p", "props"]) else {
        return Vec::new();
    };
    let Some(map) = object_or_its_text(sent) else {
        errors.add("props", "must be an object, or an object as a JSON string");
        return Vec::new();
    };
    if map.len() > MAX_PROPS {
        errors.add("props", format!("should have at most {MAX_PROPS} keys"));
    }
    let kept: Vec<_> = map
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), prop_text(value)?)))
        .collect();
    let too_long = map.keys().any(|k| k.len() > MAX_PROP_KEY_BYTES)
        || kept.iter().any(|(_, v)| v.len() > MAX_PROP_VALUE_BYTES);
    if too_long {
        errors.add(
            "props",
            format!(
                "keys should have at most {MAX_PROP_KEY_BYTES} bytes and values {MAX_PROP_VALUE_BYTES} bytes"
            ),
        );
    }
    kept
}

/// A property's value as Plausible stores it. Null, empty, a list and an object are discarded.
fn prop_text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => (!s.is_empty()).then(|| s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The tracker's older versions send objects as JSON text.
fn object_or_its_text(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// The revenue if all of it is valid.
fn revenue(body: &Map<String, Value>) -> Option<Revenue> {
    let map = object_or_its_text(pick(body, &["$", "revenue"])?)?;
    let currency = map.get("currency")?.as_str()?;
    let amount = match map.get("amount")? {
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.clone(),
        _ => return None,
    };
    (is_currency(currency) && is_amount(&amount)).then(|| Revenue {
        currency: currency.to_owned(),
        amount,
    })
}
