//! A value as it was written, and the same once its key's kind is known.

use std::fmt::Write;

use super::{keys::ValueKind, mistake::Origin};

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawValue {
    /// From the environment or a flag: its kind follows from the key.
    Untyped(String),
    Text(String),
    /// A whole number; its text if it is not an `i64`.
    Integer(Result<i64, String>),
    Boolean(bool),
    List(Vec<Located<RawValue>>),
    /// A table within a table, in its order.
    Table(Vec<(String, Located<RawValue>)>),
    /// A value of a kind that no key has, as text.
    Other(String),
}

/// A value with the place where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// A value of its key's kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TypedValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Located<String>>),
}

impl RawValue {
    /// The value as its author wrote it, for a mistake's message.
    pub(super) fn quoted(&self) -> String {
        match self {
            RawValue::Untyped(text) | RawValue::Text(text) => quote(text),
            RawValue::Integer(Ok(number)) => number.to_string(),
            RawValue::Integer(Err(spelling)) | RawValue::Other(spelling) => spelling.clone(),
            RawValue::Boolean(value) => value.to_string(),
            RawValue::Table(_) => "a table".to_owned(),
            RawValue::List(items) => {
                let items: Vec<String> = items.iter().map(|i| i.value.quoted()).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

impl Located<RawValue> {
    /// Reads the value as one of `kind`. The error is the offending part and what is wanted instead.
    pub(super) fn typed(&self, kind: ValueKind) -> Result<TypedValue, (Located<String>, &'static str)> {
        let wrong = |located: &Located<RawValue>, wanted| {
            let offending = Located {
                value: located.value.quoted(),
                origin: located.origin.clone(),
            };
            (offending, wanted)
        };
        match (&self.value, kind) {
            (RawValue::Text(text) | RawValue::Untyped(text), ValueKind::Text | ValueKind::Size) => {
                Ok(TypedValue::Text(text.clone()))
            }
            (RawValue::Text(text), ValueKind::TextOrList) => {
                Ok(TypedValue::List(vec![self.with(text.clone())]))
            }
            (RawValue::Integer(Ok(number)), ValueKind::Integer | ValueKind::Size) => {
                Ok(TypedValue::Integer(*number))
            }
            (RawValue::Boolean(value), ValueKind::Boolean | ValueKind::BooleanOrList) => {
                Ok(TypedValue::Boolean(*value))
            }
            (RawValue::List(items), ValueKind::List | ValueKind::TextOrList | ValueKind::BooleanOrList) => {
                items
                    .iter()
                    .map(|item| match &item.value {
                        RawValue::Text(text) => Ok(item.with(text.clone())),
                        _ => Err(wrong(item, ValueKind::Text.wanted())),
                    })
                    .collect::<Result<_, _>>()
                    .map(TypedValue::List)
            }
            (RawValue::Untyped(text), ValueKind::Integer) => match text.trim().parse() {
                Ok(number) => Ok(TypedValue::Integer(number)),
                Err(_) => Err(wrong(self, kind.wanted())),
            },
            (RawValue::Untyped(text), ValueKind::Boolean | ValueKind::BooleanOrList) => {
                match (text.trim(), kind) {
                    ("true", _) => Ok(TypedValue::Boolean(true)),
                    ("false", _) => Ok(TypedValue::Boolean(false)),
                    (_, ValueKind::BooleanOrList) => Ok(TypedValue::List(self.separated(text))),
                    _ => Err(wrong(self, kind.wanted())),
                }
            }
            (RawValue::Untyped(text), ValueKind::List | ValueKind::TextOrList) => {
                Ok(TypedValue::List(self.separated(text)))
            }
            _ => Err(wrong(self, kind.wanted())),
        }
    }

    /// The items of a comma-separated list. An empty text is an empty list.
    fn separated(&self, text: &str) -> Vec<Located<String>> {
        if text.trim().is_empty() {
            return Vec::new();
        }
        text.split(',')
            .map(|part| self.with(part.trim().to_owned()))
            .collect()
    }

    fn with<T>(&self, value: T) -> Located<T> {
        Located {
            value,
            origin: self.origin.clone(),
        }
    }
}

impl TypedValue {
    /// The value as TOML.
    pub(super) fn to_toml(&self) -> String {
        match self {
            TypedValue::Text(text) => quote(text),
            TypedValue::Integer(number) => number.to_string(),
            TypedValue::Boolean(value) => value.to_string(),
            TypedValue::List(items) => list(items.iter().map(|i| i.value.as_str())),
        }
    }
}

/// A list of texts as TOML.
pub(super) fn list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let items: Vec<String> = items.into_iter().map(quote).collect();
    format!("[{}]", items.join(", "))
}

/// A table of texts as TOML.
pub(super) fn table<'t>(entries: impl IntoIterator<Item = (&'t str, String)>) -> String {
    let entries: Vec<String> = entries
        .into_iter()
        .map(|(key, text)| format!("{} = {}", quote(key), quote(&text)))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A text as a TOML string.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
