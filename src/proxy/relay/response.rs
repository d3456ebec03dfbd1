//! The way back: the app's heads and the response's body, to the client.

use std::{rc::Rc, time::Duration};

use super::{Failure, Relay, Response};
use crate::{
    facts, headers,
    http1::{self, Body, Version, field_slots},
    proxy::{connection::Connection, errors::Fault, pool, service, stream::is_small},
};

/// The longest head of the app's that is put together from several reads, in bytes.
const MAX_HEAD: usize = 256 * 1024;

impl Relay {
    /// Bytes from the app: a head, interim or final, or a piece of the body.
    pub(super) fn read_response(&mut self, c: &mut Connection, n: usize) -> Result<(), Failure> {
        let worker = Rc::clone(&c.worker);
        let scratch = worker.scratch.borrow();
        if self.down.is_some() {
            worker.assembly.borrow_mut().clear();
            self.pass_down(c, &scratch[..n])?;
            self.slow_client |= !c.unsent.is_empty();
            self.arm(c);
            return Ok(());
        }
        if self.received.is_empty() {
            let rest = self.read_heads(c, &scratch[..n])?;
            if !rest.is_empty() {
                self.received = worker.buffer();
                self.received.extend_from_slice(rest);
            }
        } else {
            self.received.extend_from_slice(&scratch[..n]);
            let received = std::mem::take(&mut self.received);
            let rest = self.read_heads(c, &received)?.len();
            let used = received.len() - rest;
            self.received = received;
            self.received.drain(..used);
        }
        if self.received.len() > MAX_HEAD {
            return Err(Failure::Fault(http1::BadResponse::TooLarge.into()));
        }
        Ok(())
    }

    /// Reads interim heads and the final one, which takes the rest of the bytes with it. What is left is half a head.
    fn read_heads<'b>(&mut self, c: &mut Connection, mut bytes: &'b [u8]) -> Result<&'b [u8], Failure> {
        while !bytes.is_empty() {
            let mut slots = field_slots();
            let Some(head) = http1::parse_response(bytes, self.plan.to_head, &mut slots)
                .map_err(|e| Failure::Fault(e.into()))?
            else {
                return Ok(bytes);
            };
            let rest = &bytes[head.len..];
            match head.status {
                // Where the request's body is not through, nobody could tell its rest from the new protocol.
                101 if !self.plan.upgrade || !self.upload.is_done() => {
                    return Err(Failure::Fault(Fault::Unasked));
                }
                101 => return Err(self.switch(c, &head, rest)),
                100..200 => self.pass_interim(c, &head)?,
                _ => {
                    self.begin(c, &head, rest)?;
                    return Ok(&[]);
                }
            }
            bytes = rest;
        }
        Ok(bytes)
    }

    /// A 1xx is passed to who can read it (RFC 9110 §15.2) and is never the response.
    fn pass_interim(
        &mut self,
        c: &mut Connection,
        head: &http1::ResponseHead<'_, '_>,
    ) -> Result<(), Failure> {
        if self.plan.version == Version::Http10 {
            return Ok(());
        }
        self.interim = true;
        let mut out = c.worker.buffer();
        service::write_interim(head, &mut out);
        let sent = c.unsent.send(&c.stream, &[&out]);
        c.worker.give_back(out);
        sent.map_err(|_| Failure::Gone)
    }

    fn switch(&mut self, c: &mut Connection, head: &http1::ResponseHead<'_, '_>, rest: &[u8]) -> Failure {
        let mut out = Vec::new();
        service::write_interim(head, &mut out);
        if c.unsent.send(&c.stream, &[&out, rest]).is_err() {
            return Failure::Gone;
        }
        self.plan
            .settle(&c.worker, &facts::ResponseFacts::read(101, head.fields));
        c.worker.metrics.response(101);
        Failure::Switched
    }

    /// The final head: what the request was is settled now, and the response begins.
    fn begin(
        &mut self,
        c: &mut Connection,
        head: &http1::ResponseHead<'_, '_>,
        rest: &[u8],
    ) -> Result<(), Failure> {
        let worker = Rc::clone(&c.worker);
        let to = {
            let mut out = worker.assembly.borrow_mut();
            out.clear();
            service::write_response(&worker, &self.plan, head, !self.upload.is_done(), &mut out)
        };
        let keep = Self::keep(c, head);
        self.down = Some(Response {
            body: head.body.clone(),
            to,
            trailers: Vec::new(),
            keep,
        });
        if let Err(failure) = self.pass_down(c, rest) {
            // A fault after this head (a malformed chunk right behind it) still met a client that got the head.
            if matches!(failure, Failure::Gone) {
                self.down = None;
                return Err(failure);
            }
            self.settle(c, head);
            return Err(failure);
        }
        self.settle(c, head);
        self.arm(c);
        Ok(())
    }

    fn settle(&mut self, c: &Connection, head: &http1::ResponseHead<'_, '_>) {
        self.plan
            .settle(&c.worker, &facts::ResponseFacts::read(head.status, head.fields));
        c.worker.metrics.response(head.status);
    }

    /// How long the connection may be kept after this response, if at all.
    fn keep(c: &Connection, head: &http1::ResponseHead<'_, '_>) -> Option<Duration> {
        let connection = headers::ConnectionOptions::read(head.fields);
        let persists = match head.version {
            Version::Http11 => !connection.close(),
            Version::Http10 => connection.keep_alive() && !connection.close(),
        };
        if !persists || head.last || matches!(head.body, Body::UntilClose) {
            return None;
        }
        let keep = c.worker.settings.app.keep_alive;
        let told = head
            .fields
            .iter()
            .find(|f| f.name.len() == 10 && f.name.eq_ignore_ascii_case("keep-alive"))
            .and_then(|f| pool::keep_alive_hint(f.value));
        Some(told.map_or(keep, |t| t.min(keep)))
    }

    /// Passes a piece of the body on, behind what the assembly holds.
    fn pass_down(&mut self, c: &mut Connection, mut bytes: &[u8]) -> Result<(), Failure> {
        let Some(down) = &mut self.down else { return Ok(()) };
        let mut out = c.worker.assembly.borrow_mut();
        if !down.to.chunked && !matches!(down.body, Body::Chunked(_)) {
            let step = down
                .body
                .step(bytes, &mut down.trailers)
                .map_err(|e| Failure::Fault(Fault::ResponseBody(e)))?;
            if step.used < bytes.len() {
                down.keep = None;
            }
            let sent = if out.is_empty() {
                c.unsent.send(&c.stream, &[step.data])
            } else if is_small(out.len(), step.data.len()) {
                out.extend_from_slice(step.data);
                c.unsent.send(&c.stream, &[&out])
            } else {
                c.unsent.send(&c.stream, &[&out, step.data])
            };
            return sent.map_err(|_| Failure::Gone);
        }
        let mut fault = None;
        while !bytes.is_empty() && !down.body.is_done() {
            match down.body.step(bytes, &mut down.trailers) {
                Ok(step) if down.to.chunked => {
                    http1::write_chunk(step.data, &mut out);
                    bytes = &bytes[step.used..];
                }
                Ok(step) => {
                    out.extend_from_slice(step.data);
                    bytes = &bytes[step.used..];
                }
                Err(e) => {
                    fault = Some(Failure::Fault(Fault::ResponseBody(e)));
                    break;
                }
            }
        }
        if !bytes.is_empty() {
            down.keep = None;
        }
        if down.body.is_done() && down.to.chunked {
            http1::write_last_chunk(&down.trailers, headers::may_be_trailer, &mut out);
        }
        c.unsent.send(&c.stream, &[&out]).map_err(|_| Failure::Gone)?;
        fault.map_or(Ok(()), Err)
    }

    /// The app's connection ended: before a response, at the end of one, or in the middle.
    pub(super) fn app_ended(&mut self, c: &mut Connection) -> Result<(), Failure> {
        let Some(down) = &mut self.down else {
            return Err(if self.received.is_empty() && !self.interim {
                Failure::Lost { untouched: false }
            } else {
                Failure::Fault(Fault::Cut)
            });
        };
        if down.body != Body::UntilClose {
            return Err(Failure::Fault(Fault::Cut));
        }
        down.body = Body::Done;
        if down.to.chunked {
            c.unsent
                .send(&c.stream, &[b"0\r\n\r\n"])
                .map_err(|_| Failure::Gone)?;
            self.arm(c);
        }
        Ok(())
    }
}
