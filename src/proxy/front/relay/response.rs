//! The response's way to the client: what the app sent is read as heads and data, and written in the framing
//! that this client understands.

use std::rc::Rc;

use super::{Broken, End, Relay, Response};
use crate::{
    facts, headers,
    http1::{self, Body, ResponseHead, Version, field_slots},
    proxy::{
        app::exchange::{Exchange, Head},
        context::Phase,
        front::client::Client,
        heads::{self, ResponseFraming},
        inject::Rewriting,
        stream::is_small,
    },
};

impl Relay<'_> {
    /// Bytes from the app: heads, or a piece of the body.
    pub(super) fn read_app(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        n: usize,
    ) -> Result<Option<End>, Broken> {
        let context = Rc::clone(&client.context);
        let scratch = context.scratch.borrow();
        let read = &scratch[..n];
        if exchange.has_head() {
            let mut out = context.assembly.borrow_mut();
            out.clear();
            self.pass_data(client, exchange, read, &mut out)?;
        } else {
            let joined = exchange.join(read);
            if let Some(end) = self.pass_heads(client, exchange, joined.as_deref().unwrap_or(read))? {
                return Ok(Some(end));
            }
        }
        if self.slow.is_none() && !client.is_flushed() {
            self.slow = Some(context.slow_reader());
        }
        self.arm(client, exchange);
        Ok(None)
    }

    /// Passes interim heads on, and the final one with the start of its body.
    fn pass_heads(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        mut bytes: &[u8],
    ) -> Result<Option<End>, Broken> {
        while !bytes.is_empty() {
            let mut slots = field_slots();
            match exchange.next_head(&mut bytes, &mut slots)? {
                Some(Head::Interim(head)) => self.pass_interim(client, &head)?,
                Some(Head::Switch(head)) => {
                    self.switch(client, &head, bytes)?;
                    return Ok(Some(End::Switched));
                }
                Some(Head::Final(head)) => {
                    self.pass_response(client, exchange, &head, bytes)?;
                    return Ok(None);
                }
                None => {
                    exchange.keep_partial(bytes)?;
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// A 1xx goes to clients of HTTP/1.1 only (RFC 9110 §15.2), and is never the response.
    fn pass_interim(&self, client: &mut Client, head: &ResponseHead<'_, '_>) -> Result<(), Broken> {
        if self.request.version == Version::Http10 {
            return Ok(());
        }
        let mut out = client.context.buffer();
        heads::write_interim(head, &mut out);
        let sent = client.send(&[&out]);
        client.context.give_back(out);
        sent.map_err(|_| Broken::Gone)
    }

    /// Passes on the app's 101 and the first bytes of the new protocol.
    fn switch(
        &mut self,
        client: &mut Client,
        head: &ResponseHead<'_, '_>,
        rest: &[u8],
    ) -> Result<(), Broken> {
        let mut out = Vec::new();
        heads::write_interim(head, &mut out);
        client.send(&[&out, rest]).map_err(|_| Broken::Gone)?;
        self.request
            .plan
            .record
            .settle(&facts::ResponseFacts::read(head.status, head.fields));
        Ok(())
    }

    /// Passes on the final head with the start of the body, and then settles the request.
    fn pass_response(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        head: &ResponseHead<'_, '_>,
        rest: &[u8],
    ) -> Result<(), Broken> {
        let context = Rc::clone(&client.context);
        self.rewriting = Rewriting::begin(&context, &self.request.plan, head);
        let response = self.response_to(client, head);
        let passed = {
            let mut out = context.assembly.borrow_mut();
            out.clear();
            let http10 = self.request.version == Version::Http10;
            let change = self.rewriting.change;
            heads::write_response(head, change, response.framing, response.close, http10, &mut out);
            self.response = Some(response);
            self.pass_data(client, exchange, rest, &mut out)
        };
        // If a fault follows this head, such as a malformed chunk, the client has got the head all the same.
        if !matches!(passed, Err(Broken::Gone)) {
            let response = facts::ResponseFacts::read(head.status, head.fields);
            if self.client_ended {
                self.request.plan.record.defer(&response);
            } else {
                let start = || head.body.peek(rest);
                self.request.plan.record.settle_with(&response, start);
                self.see_start(head.body.clone(), rest);
            }
        }
        passed
    }

    /// Shows the record what came of the body with the head, if it is not settled without.
    fn see_start(&mut self, mut body: Body, mut bytes: &[u8]) {
        let record = &mut self.request.plan.record;
        while record.wants_body() && !bytes.is_empty() {
            match body.step(bytes, &mut Vec::new()) {
                Ok(step) if step.used > 0 => {
                    record.see_body(step.data);
                    bytes = &bytes[step.used..];
                }
                _ => return,
            }
        }
    }

    /// How a response goes to the client. It is the connection's last if the request's body was not read to
    /// its end, because the next request could not be found.
    fn response_to(&self, client: &Client, head: &ResponseHead<'_, '_>) -> Response {
        let framing = match (&head.body, self.request.version) {
            (Body::Done, _) => ResponseFraming::Length,
            (Body::Length(_), _) if !self.rewriting.is_on() => ResponseFraming::Length,
            (_, Version::Http11) => ResponseFraming::Chunked,
            (_, Version::Http10) => ResponseFraming::Close,
        };
        let close = !self.request.plan.keep_alive
            || !self.request.body.is_done()
            || framing == ResponseFraming::Close
            || client.context.phase.get() != Phase::Serving;
        Response { framing, close }
    }

    /// Passes on a piece of the response's body, after what `out` holds.
    fn pass_data(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        if self.rewriting.is_on() {
            return self.pass_rewritten(client, exchange, bytes, out);
        }
        let chunked = self.is_chunked();
        let record = &mut self.request.plan.record;
        let is_seen = record.wants_body();
        let mut sent = Ok(());
        let fault = loop {
            let next = exchange.next_data(&mut bytes);
            if is_seen && let Ok(Some(data)) = next {
                record.see_body(data);
            }
            match next {
                Ok(Some(data)) if chunked => http1::write_chunk(data, out),
                Ok(Some(data)) if is_small(out.len(), data.len()) && !out.is_empty() => {
                    out.extend_from_slice(data);
                }
                Ok(Some(data)) => {
                    sent = if out.is_empty() {
                        client.send(&[data])
                    } else {
                        client.send(&[out, data])
                    };
                    out.clear();
                    if sent.is_err() {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
        };
        if fault.is_none() && chunked && exchange.is_over() {
            self.write_last_chunk(exchange, out);
        }
        if sent.is_ok() && !out.is_empty() {
            sent = client.send(&[out]);
        }
        sent.map_err(|_| Broken::Gone)?;
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// As [`pass_data`](Self::pass_data), for a page that is rewritten.
    fn pass_rewritten(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let mut page = client.context.buffer();
        let passed = self.rewriting.pass(&client.context, exchange, bytes, &mut page);
        self.write_page(&page, out);
        client.context.give_back(page);
        if passed.is_ok() && exchange.is_over() {
            self.write_last_chunk(exchange, out);
        }
        if !out.is_empty() {
            client.send(&[out]).map_err(|_| Broken::Gone)?;
        }
        Ok(passed?)
    }

    /// A piece of a rewritten page, in the response's framing.
    fn write_page(&self, page: &[u8], out: &mut Vec<u8>) {
        if self.is_chunked() {
            http1::write_chunk(page, out);
        } else {
            out.extend_from_slice(page);
        }
    }

    fn write_last_chunk(&self, exchange: &Exchange, out: &mut Vec<u8>) {
        if self.is_chunked() {
            let change = self.rewriting.change;
            let may_pass = |name: &str| headers::may_be_trailer(name) && change.may_be_trailer(name);
            http1::write_last_chunk(exchange.trailers(), may_pass, out);
        }
    }

    fn is_chunked(&self) -> bool {
        self.response
            .is_some_and(|r| r.framing == ResponseFraming::Chunked)
    }

    /// The body ended with the app's connection.
    pub(super) fn end_response(&mut self, client: &mut Client, exchange: &Exchange) -> Result<(), Broken> {
        let mut out = Vec::new();
        if self.rewriting.is_on() {
            let mut page = Vec::new();
            self.rewriting.finish(&client.context, &mut page)?;
            self.write_page(&page, &mut out);
        }
        self.write_last_chunk(exchange, &mut out);
        if !out.is_empty() {
            client.send(&[&out]).map_err(|_| Broken::Gone)?;
            self.arm(client, exchange);
        }
        Ok(())
    }
}
