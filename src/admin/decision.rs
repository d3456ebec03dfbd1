//! One decision as `/decisions` and the live page show it.

use std::time::SystemTime;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{client::Masked, page::Decision};

use super::words;

/// What was decided about one request, and why.
#[derive(Debug, Clone)]
pub struct DecisionRecord {
    /// Grows from one decision to the next.
    pub seq: u64,
    /// When it was taken.
    pub at: SystemTime,
    /// What was decided.
    pub decision: Decision,
    /// The reason in words.
    pub why: &'static str,
    /// The request's method.
    pub method: String,
    /// The request's host.
    pub host: String,
    /// The request's path, without its query.
    pub path: String,
    /// The status that the client got; 0 if it left before.
    pub status: u16,
    /// The client's network; none where the visitor or the app asked not to count.
    pub client: Option<Masked>,
    /// Where the client's address was read: `peer`, or a header's name.
    pub client_from: &'static str,
}

impl DecisionRecord {
    /// When it was taken, in RFC 3339 with milliseconds.
    pub(super) fn time(&self) -> String {
        humantime::format_rfc3339_millis(self.at).to_string()
    }
}

impl Serialize for DecisionRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("DecisionRecord", 11)?;
        record.serialize_field("seq", &self.seq)?;
        record.serialize_field("at", &self.time())?;
        record.serialize_field("decision", self.decision.label())?;
        record.serialize_field("in_words", words::of_decision(self.decision.label()).plain)?;
        record.serialize_field("why", self.why)?;
        record.serialize_field("method", &self.method)?;
        record.serialize_field("host", &self.host)?;
        record.serialize_field("path", &self.path)?;
        record.serialize_field("status", &self.status)?;
        record.serialize_field("client", &self.client)?;
        record.serialize_field("client_from", self.client_from)?;
        record.end()
    }
}
