//! Why an event is refused, in the form of Plausible's 400.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Why an event is refused: texts by field, never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(BTreeMap<&'static str, Vec<String>>);

impl FieldErrors {
    /// The texts of one field; none if it is valid.
    pub fn of(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    /// Field and text of each mistake.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .iter()
            .flat_map(|(field, texts)| texts.iter().map(|t| (*field, t.as_str())))
    }

    /// The body of Plausible's 400.
    pub fn to_json(&self) -> Value {
        json!({ "errors": self.0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One mistake.
    pub fn one(field: &'static str, text: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, text);
        errors
    }

    pub(super) fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.0.entry(field).or_default().push(text.into());
    }
}
