//! The fields of an event's body. The tracker script sends short keys; they override the long ones. A null
//! counts as absent. Unknown keys are ignored.

use serde_json::value::RawValue;

use super::accepted::Revenue;
use super::errors::FieldErrors;
use super::limits::{
    MAX_NAME_CHARS, MAX_PROP_KEY_BYTES, MAX_PROP_VALUE_BYTES, MAX_PROPS, MAX_REFERRER_CHARS, is_amount,
    is_currency,
};
use super::members::{Members, for_each_member};
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
pub(super) fn read(body: &Members<'_>, errors: &mut FieldErrors) -> Option<BodyFields> {
    let name = name(body, errors);
    let hash_mode = body
        .pick(&["h", "hashMode"])
        .is_some_and(|v| matches!(v.get(), "1" | "true"));
    let url = url(body, hash_mode, errors);
    let domains = domains(body, url.as_ref(), errors);
    let referrer = referrer(body, errors);
    let props = props(body, errors);
    let interactive = match body.pick(&["i", "interactive"]).map(RawValue::get) {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => {
            errors.add("interactive", "must be a boolean");
            true
        }
    };
    let script_version = body.pick(&["v"]).and_then(|v| {
        let version = v.get().parse().ok();
        if version.is_none() {
            errors.add("v", "must be an integer");
        }
        version
    });

    let scroll_depth = body.pick(&["sd"]).and_then(|v| v.get().parse::<u64>().ok());
    let engagement_ms = body.pick(&["e"]).and_then(|v| v.get().parse().ok());
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
        scroll_depth: scroll_depth.map(|depth| depth.min(100) as u8),
        engagement_ms,
        script_version,
    })
}

/// The text of a JSON string; `None` for other JSON.
fn text(value: &RawValue) -> Option<String> {
    // Every other JSON begins with another character.
    value
        .get()
        .starts_with('"')
        .then(|| serde_json::from_str(value.get()).ok())?
}

fn name(body: &Members<'_>, errors: &mut FieldErrors) -> Option<String> {
    let name = match body.pick(&["n", "name"]) {
        None => String::new(),
        Some(value) => match text(value) {
            Some(name) => name,
            None if is_integer(value.get()) => value.get().to_owned(),
            None => {
                errors.add("event_name", "must be a string or an integer");
                return None;
            }
        },
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

fn is_integer(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn url(body: &Members<'_>, hash_mode: bool, errors: &mut FieldErrors) -> Option<Url> {
    let reason = match body.pick(&["u", "url"]).map(text) {
        None => "is required",
        Some(Some(text)) => match Url::read(&text, hash_mode) {
            Ok(url) => return Some(url),
            Err(reason) => reason,
        },
        Some(None) => "must be a string",
    };
    errors.add("url", reason);
    None
}

fn domains(body: &Members<'_>, url: Option<&Url>, errors: &mut FieldErrors) -> Option<Vec<String>> {
    let listed = match body.pick(&["d", "domain"]).map(text) {
        Some(Some(text)) => text,
        Some(None) => {
            errors.add("domain", "must be a string");
            return None;
        }
        None => match &url?.host {
            none if none == "(none)" => String::new(),
            host => host.clone(),
        },
    };
    let domains: Vec<_> = listed.split(',').map(|d| without_www(d).to_owned()).collect();
    if domains.iter().any(String::is_empty) {
        errors.add("domain", "can't be blank");
        return None;
    }
    Some(domains)
}

fn referrer(body: &Members<'_>, errors: &mut FieldErrors) -> Option<String> {
    match text(body.pick(&["r", "referrer"])?) {
        Some(text) if text.is_empty() => None,
        Some(text) => Some(text.chars().take(MAX_REFERRER_CHARS).collect()),
        None => {
            errors.add("referrer", "must be a string");
            None
        }
    }
}

/// The props that Plausible keeps. Null, empty, a list and an object are discarded before they are counted.
fn props(body: &Members<'_>, errors: &mut FieldErrors) -> Vec<(String, String)> {
    let Some(sent) = body.pick(&["m", "meta", "p", "props"]) else {
        return Vec::new();
    };
    let mut kept: Vec<(String, String)> = Vec::new();
    let (mut too_many, mut too_long) = (false, false);
    let read = with_object(sent, |object| {
        for_each_member(
            object,
            |key| Some(key.to_owned()),
            |key, value| {
                // The last of several values of a key counts.
                kept.retain(|(other, _)| *other != key);
                let Some(value) = prop_text(value) else { return };
                too_long |= key.len() > MAX_PROP_KEY_BYTES || value.len() > MAX_PROP_VALUE_BYTES;
                too_many |= kept.len() == MAX_PROPS;
                if !too_many {
                    kept.push((key, value));
                }
            },
        )
        .unwrap_or(false)
    });
    if !read {
        errors.add("props", "must be an object, or an object as a JSON string");
        return Vec::new();
    }
    if too_many {
        errors.add("props", format!("should have at most {MAX_PROPS} keys"));
    }
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

/// A property's value as Plausible stores it; `None` for one that it discards.
fn prop_text(value: &RawValue) -> Option<String> {
    match value.get().as_bytes() {
        [b'"', ..] => text(value).filter(|text| !text.is_empty()),
        [b'[' | b'{', ..] | b"null" => None,
        // A number, true or false.
        _ => Some(value.get().to_owned()),
    }
}

/// Reads an object. The tracker's older versions send objects as JSON text.
fn with_object<T>(value: &RawValue, read: impl FnOnce(&str) -> T) -> T {
    match text(value) {
        Some(json) => read(&json),
        None => read(value.get()),
    }
}

/// The revenue if all of it is valid.
fn revenue(body: &Members<'_>) -> Option<Revenue> {
    with_object(body.pick(&["$", "revenue"])?, |object| {
        let members = Members::of(object, &["currency", "amount"]).ok()??;
        let currency = text(members.get("currency")?)?;
        let amount = members.get("amount")?;
        let amount = text(amount).unwrap_or_else(|| amount.get().to_owned());
        (is_currency(&currency) && is_amount(&amount)).then_some(Revenue { currency, amount })
    })
}
