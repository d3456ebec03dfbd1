//! A value as it was given, and what it is once its key's kind is known.

use std::fmt::Write;

use super::{keys::Kind, mistake::Origin};

/// A value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// From the environment or a flag: its kind is what the key wants.
    Loose(String),
    Text(String),
    /// A whole number of TOML's, in its own spelling where it is no `i64`.
    Integer(Result<i64, String>),
    Boolean(bool),
    List(Vec<Spot<Value>>),
    /// A kind that no key has, as it was written.
    Other(String),
}

/// Something with the place where it was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot<T> {
    pub(super) what: T,
    pub(super) origin: Origin,
}

/// A value of its key's kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Settled {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Spot<String>>),
}

impl Value {
    /// The value as its giver wrote it, for a mistake's text.
    pub(super) fn quoted(&self) -> String {
        match self {
            Value::Loose(text) | Value::Text(text) => quote(text),
            Value::Integer(Ok(number)) => number.to_string(),
            Value::Integer(Err(spelling)) | Value::Other(spelling) => spelling.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|i| i.what.quoted()).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

impl Spot<Value> {
    /// The value as one of `kind`; where it is none, the offending part with what is wanted.
    pub(super) fn settle(&self, kind: Kind) -> Result<Settled, (Spot<String>, &'static str)> {
        let wrong = |spot: &Spot<Value>, wanted| {
            let offending = Spot {
                what: spot.what.quoted(),
                origin: spot.origin.clone(),
            };
            (offending, wanted)
        };
        match (&self.what, kind) {
            (Value::Text(text) | Value::Loose(text), Kind::Text | Kind::Size) => {
                Ok(Settled::Text(text.clone()))
            }
            (Value::Text(text), Kind::TextOrList) => Ok(Settled::List(vec![self.with(text.clone())])),
            (Value::Integer(Ok(number)), Kind::Integer | Kind::Size) => Ok(Settled::Integer(*number)),
            (Value::Boolean(value), Kind::Boolean | Kind::BooleanOrList) => Ok(Settled::Boolean(*value)),
            (Value::List(items), Kind::List | Kind::TextOrList | Kind::BooleanOrList) => items
                .iter()
                .map(|item| match &item.what {
                    Value::Text(text) => Ok(item.with(text.clone())),
                    _ => Err(wrong(item, Kind::Text.wanted())),
                })
                .collect::<Result<_, _>>()
                .map(Settled::List),
            (Value::Loose(text), Kind::Integer) => match text.trim().parse() {
                Ok(number) => Ok(Settled::Integer(number)),
                Err(_) => Err(wrong(self, kind.wanted())),
            },
            (Value::Loose(text), Kind::Boolean | Kind::BooleanOrList) => match (text.trim(), kind) {
                ("true", _) => Ok(Settled::Boolean(true)),
                ("false", _) => Ok(Settled::Boolean(false)),
                (_, Kind::BooleanOrList) => Ok(Settled::List(self.separated(text))),
                _ => Err(wrong(self, kind.wanted())),
            },
            (Value::Loose(text), Kind::List | Kind::TextOrList) => Ok(Settled::List(self.separated(text))),
            _ => Err(wrong(self, kind.wanted())),
        }
    }

    /// The parts of a comma-separated list; an empty text is an empty list.
    fn separated(&self, text: &str) -> Vec<Spot<String>> {
        if text.trim().is_empty() {
            return Vec::new();
        }
        text.split(',')
            .map(|part| self.with(part.trim().to_owned()))
            .collect()
    }

    fn with<T>(&self, what: T) -> Spot<T> {
        Spot {
            what,
            origin: self.origin.clone(),
        }
    }
}

impl Settled {
    /// The value as TOML.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Settled::Text(text) => quote(text),
            Settled::Integer(number) => number.to_string(),
            Settled::Boolean(value) => value.to_string(),
            Settled::List(items) => list(items.iter().map(|i| i.what.as_str())),
        }
    }
}

/// A list of texts as TOML.
pub(super) fn list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let items: Vec<String> = items.into_iter().map(quote).collect();
    format!("[{}]", items.join(", "))
}

/// A text as a basic string of TOML's.
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
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
