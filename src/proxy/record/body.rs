//! Responses that settle nothing by their head: their arrival is in doubt, or what they are is told by the
//! first bytes of the body. Nothing is delayed by that.

use super::{
    RequestRecord,
    deferred::{CODED_START, DeferredResponse},
};
use crate::{
    facts::ResponseFacts,
    page::{self, BODY_START, Known},
};

impl RequestRecord {
    /// The response's head was sent, and it is not known yet whether the client is still there.
    pub(in crate::proxy) fn defer(&mut self, response: &ResponseFacts<'_>) {
        self.deferred = Some(Box::new(DeferredResponse::of(response, None)));
    }

    /// The client was there: settles what was deferred.
    pub(in crate::proxy) fn settle_deferred(&mut self) {
        if let Some(deferred) = self.deferred.take() {
            let fields = deferred.fields();
            self.settle(&ResponseFacts::read(deferred.status, &fields));
        }
    }

    /// Whether the first bytes of the body decide.
    #[inline]
    pub(in crate::proxy) fn wants_body(&self) -> bool {
        self.deferred.is_some()
    }

    /// Data of the body, in its order.
    pub(in crate::proxy) fn see_body(&mut self, data: &[u8]) {
        let Some(body) = self.deferred.as_mut().and_then(|deferred| deferred.body.as_mut()) else {
            return;
        };
        let room = CODED_START.saturating_sub(body.len());
        body.extend_from_slice(&data[..data.len().min(room)]);
        let is_full = body.len() == CODED_START;
        let start = self.start();
        let reading = self.reading.as_ref();
        if is_full
            || start.len() >= BODY_START
            || reading.is_none_or(|reading| page::body_suffices(reading, &start))
        {
            self.conclude_with(&start);
        }
    }

    /// The body is over, or nobody gets the rest of it.
    pub(super) fn end_body(&mut self) {
        if self
            .deferred
            .as_ref()
            .is_some_and(|deferred| deferred.body.is_some())
        {
            let start = self.start();
            self.conclude_with(&start);
        }
    }

    /// The body's first bytes, decoded.
    fn start(&self) -> Vec<u8> {
        let start = || self.deferred.as_ref().map(|deferred| deferred.start());
        self.context.unharmed(start).flatten().unwrap_or_default()
    }

    fn conclude_with(&mut self, start: &[u8]) {
        if let Some(deferred) = self.deferred.take() {
            let fields = deferred.fields();
            let response = ResponseFacts::read(deferred.status, &fields);
            self.conclude(&response, Known::BodyStart(start), None);
        }
    }
}
