//! What is kept of a response that settles nothing by its head.

use httparse::Header;

use crate::{
    facts::ResponseFacts,
    page::{self, BODY_START, ContentCoding, RequestVerdict},
    tracker::inject::decoded_start,
};

/// As many bytes of a coded body are kept, at most: a block of some codings is decoded as a whole.
pub(super) const CODED_START: usize = 32 * 1024;

/// A response's head, kept beyond its time.
pub(super) struct DeferredResponse {
    pub(super) status: u16,
    fields: Vec<(String, Vec<u8>)>,
    /// The first bytes of the body, if they are waited for.
    pub(super) body: Option<Vec<u8>>,
}

/// Whether these bytes settle the request, if they are all that is known of the body.
pub(super) fn suffices(reading: &RequestVerdict, response: &ResponseFacts<'_>, start: &[u8]) -> bool {
    page::body_suffices(reading, start)
        && page::content_coding(response.fields) == Some(ContentCoding::Identity)
}

impl DeferredResponse {
    pub(super) fn of(response: &ResponseFacts<'_>, body: Option<Vec<u8>>) -> Self {
        let line = |line: &Header<'_>| (line.name.to_owned(), line.value.to_vec());
        DeferredResponse {
            status: response.status,
            fields: response.fields.iter().map(line).collect(),
            body,
        }
    }

    /// It waits for the body's first bytes.
    pub(super) fn until_body(response: &ResponseFacts<'_>) -> Self {
        DeferredResponse::of(response, Some(Vec::new()))
    }

    pub(super) fn fields(&self) -> Vec<Header<'_>> {
        self.fields
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect()
    }

    /// The body's first bytes, decoded.
    pub(super) fn start(&self) -> Vec<u8> {
        let body = self.body.as_deref().unwrap_or_default();
        match page::content_coding(&self.fields()) {
            Some(ContentCoding::Identity) => body.to_vec(),
            Some(coding) => decoded_start(coding, body, BODY_START),
            None => Vec::new(),
        }
    }
}
