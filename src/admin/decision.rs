//! One decision as `/decisions` and the live page show it.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::page::Decision;

use super::mask::Masked;

/// What was decided about one request, and why.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionRecord {
    /// Grows from one decision to the next.
    pub seq: u64,
    /// When it was taken.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// What was decided.
    #[serde(serialize_with = "label")]
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
    /// The client, if the request was counted.
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

fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn label<S: Serializer>(decision: &Decision, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(decision.label())
}
