//! What a dedicated path answers, and when.

use std::{borrow::Cow, pin::Pin, time::Duration};

use bytes::Bytes;
use serde_json::json;

/// A response, without the fields of its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedicatedAnswer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    /// The body. To HEAD only its length is told. Empty, with no length told, where the status has no body.
    pub body: Bytes,
}

/// An answer, now or later.
pub enum Answering {
    /// Now.
    Ready(DedicatedAnswer),
    /// Once this is done.
    Later(Pin<Box<dyn Future<Output = DedicatedAnswer>>>),
}

impl DedicatedAnswer {
    /// An answer that is never cached.
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        DedicatedAnswer {
            status,
            fields: vec![("Cache-Control", Cow::Borrowed("no-store"))],
            body: body.into(),
        }
    }

    /// A sentence for people.
    pub(super) fn words(status: u16, words: &'static str) -> Self {
        DedicatedAnswer::new(status, words).with("Content-Type", "text/plain; charset=utf-8")
    }

    /// A refusal in the form of Plausible's.
    pub(super) fn error(status: u16, field: &str, text: &str) -> Self {
        DedicatedAnswer::json(status, &json!({ "errors": { field: [text] } }))
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        DedicatedAnswer::new(status, body.to_string()).with("Content-Type", "application/json; charset=utf-8")
    }

    /// One more field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The method is not one of `allowed`.
    pub(super) fn wrong_method(allowed: &'static str) -> Self {
        DedicatedAnswer::words(405, "405 Method Not Allowed\n").with("Allow", allowed)
    }

    /// The client asks too often, and may come again after `wait`.
    pub(super) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000).max(1);
        DedicatedAnswer::words(429, "429 Too Many Requests\n").with("Retry-After", seconds.to_string())
    }

    /// No page is fetched ahead here: the browser asks again when it is to be shown.
    pub fn no_prefetch() -> Self {
        DedicatedAnswer::words(
            503,
            "503 Service Unavailable: pages are not fetched ahead here.\n",
        )
    }

    /// The body's length, as `Content-Length` has it; `None` for a status without a body (RFC 9110 §8.6).
    pub fn length(&self) -> Option<usize> {
        (!matches!(self.status, 204 | 304)).then_some(self.body.len())
    }
}
