//! What happens to a request, in one place: who is the client, what the request tells, what the app gets; and, when the
//! response is there, whether it was a page and what the client gets. The bytes are moved by [`super::relay`].

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::time::Instant;

use super::{
    Live,
    errors::Fault,
    worker::{Phase, Worker},
};
use crate::{
    client::{self, Peer},
    clock::Moment,
    delivery::{Draft, Source},
    event::Sighting,
    facts,
    headers::{self, ConnectionOptions},
    http1::{self, Body, RequestHead, ResponseHead, Version, field_slots},
    page::{self, EventKind, RequestVerdict, Verdict},
};

/// A request that was understood, and what is to be done with it.
#[allow(clippy::struct_excessive_bools)] // facts that are independent of each other
pub(super) struct Plan {
    /// The head for the app: request line, `Host`, the rest.
    pub(super) request: Vec<u8>,
    /// Bytes of the client's that the head took.
    pub(super) len: usize,
    /// The body that follows.
    pub(super) body: Body,
    pub(super) version: Version,
    /// The method is HEAD, so no body follows the response.
    pub(super) to_head: bool,
    pub(super) keep_alive: bool,
    pub(super) idempotent: bool,
    /// The client asked to switch protocols, and may.
    pub(super) upgrade: bool,
    pub(super) started: Instant,
    ahead: RequestVerdict,
    /// What the event would need; empty where there will be none.
    draft: Draft,
    client: Option<IpAddr>,
    from: client::ClientFrom,
}

/// Reads a request head and writes the one for the app. `Ok(None)`: more bytes are needed.
///
/// # Errors
/// [`Fault::Refused`]
pub(super) fn plan(worker: &Worker, peer: Peer, bytes: &[u8], now: Instant) -> Result<Option<Plan>, Fault> {
    let mut slots = field_slots();
    let Some(head) = http1::parse_request(bytes, &mut slots)? else {
        return Ok(None);
    };
    if head.len > worker.settings.max_head_bytes {
        return Err(http1::Refusal::TooLarge.into());
    }
    let live = worker.live.borrow();
    let resolved = client::resolve(&live.client, peer, head.fields);
    worker.note_client(&resolved, peer);
    let visible = client::visible(&live.client, &resolved, head.fields, head.host);
    let (ahead, draft) = unharmed(worker, || look(worker, &live, &head, &resolved, &visible))
        .unwrap_or((RequestVerdict::Settled(page::failed()), Draft::default()));
    let connection = ConnectionOptions::read(head.fields);
    let mut request = worker.buffer();
    let asker = Asker {
        peer,
        resolved: &resolved,
        seen: &visible,
    };
    let upgrade = write_request(worker, &live.client, &asker, &head, &connection, &mut request);
    Ok(Some(Plan {
        request,
        len: head.len,
        to_head: head.method == "HEAD",
        keep_alive: match head.version {
            Version::Http11 => !connection.close(),
            Version::Http10 => connection.keep_alive() && !connection.close(),
        },
        idempotent: http1::is_idempotent(head.method),
        upgrade,
        version: head.version,
        body: head.body,
        started: now,
        ahead,
        draft,
        client: resolved.client,
        from: resolved.from,
    }))
}

/// What the request alone says of being a page, and what its event would need.
fn look(
    worker: &Worker,
    live: &Live,
    head: &RequestHead<'_, '_>,
    resolved: &client::ResolvedClient,
    visible: &client::Visible<'_>,
) -> (RequestVerdict, Draft) {
    #[cfg(test)]
    assert!(!head.target.starts_with(FAULT_AHEAD), "a fault in the statistics");
    let facts = facts::RequestFacts::read(head.method, head.target, head.fields);
    let domain = live.sites.find(visible.host);
    let ahead = page::judge_request(&live.page, &facts, domain.is_some(), resolved.client.is_some());
    let (RequestVerdict::Open(_), Some(client), Some(domain)) = (&ahead, resolved.client, domain) else {
        return (ahead, Draft::default());
    };
    let mut draft = Draft::over(worker.buffer());
    draft.write(&Sighting {
        at_ns: 0,
        at_ms: 0,
        kind: EventKind::PageView,
        client,
        user_agent: facts.user_agent.unwrap_or_default(),
        https: visible.https,
        host: visible.host.unwrap_or_default().as_bytes(),
        target: head.target.as_bytes(),
        referrer: facts.referer,
        domain: domain.as_bytes(),
    });
    (ahead, draft)
}

/// Who asks, as far as that is known.
struct Asker<'a> {
    peer: Peer,
    resolved: &'a client::ResolvedClient,
    seen: &'a client::Visible<'a>,
}

/// Writes the head that the app gets; whether it asks to switch protocols.
fn write_request(
    worker: &Worker,
    settings: &client::Settings,
    asker: &Asker<'_>,
    head: &RequestHead<'_, '_>,
    connection: &ConnectionOptions<'_>,
    out: &mut Vec<u8>,
) -> bool {
    line(
        out,
        &[head.method.as_bytes(), b" ", head.target.as_bytes(), b" HTTP/1.1"],
    );
    match head.host {
        Some(host) => line(out, &[b"Host: ", host.as_bytes()]),
        None => line(
            out,
            &[b"Host: ", worker.settings.app.upstream.authority().as_bytes()],
        ),
    }
    let skip = |name: &str| {
        name.eq_ignore_ascii_case("host") || client::is_forwarding(settings, asker.resolved, name)
    };
    headers::to_app(head.fields, connection, skip, out);
    client::forward(
        settings,
        asker.resolved,
        asker.peer,
        head.fields,
        head.host,
        asker.seen,
        &mut |name, value| {
            line(out, &[name.as_bytes(), b": ", value]);
        },
    );
    match &head.body {
        Body::Length(n) => line(
            out,
            &[b"Content-Length: ", itoa::Buffer::new().format(*n).as_bytes()],
        ),
        Body::Chunked(_) => line(out, &[b"Transfer-Encoding: chunked"]),
        // RFC 9110 §8.6: a method that means something with a body says that there is none.
        _ if matches!(head.method, "POST" | "PUT" | "PATCH") => line(out, &[b"Content-Length: 0"]),
        _ => {}
    }
    if head.expects_continue && !head.body.is_done() {
        line(out, &[b"Expect: 100-continue"]);
    }
    let upgrade = head.version == Version::Http11 && connection.upgrade() && write_upgrade(head.fields, out);
    if !upgrade && headers::accepts_trailers(head.fields) {
        line(out, &[b"TE: trailers\r\nConnection: TE"]);
    }
    out.extend_from_slice(b"\r\n");
    upgrade
}

/// Passes the asked-for protocols on, other versions of HTTP excepted: `h2c` would carry requests past every rule here
/// (RFC 9113 §3.1 has dropped it). A server may ignore an upgrade (RFC 9110 §7.8), and the request is served as it is.
fn write_upgrade(fields: &[httparse::Header<'_>], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for f in fields.iter().filter(|f| f.name.eq_ignore_ascii_case("upgrade")) {
        for protocol in f.value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            let is_http = protocol.eq_ignore_ascii_case(b"h2c")
                || protocol.eq_ignore_ascii_case(b"h2")
                || protocol.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"http"));
            if !is_http && !protocol.is_empty() {
                out.extend_from_slice(if out.len() == start {
                    b"Connection: upgrade\r\nUpgrade: "
                } else {
                    b", "
                });
                out.extend_from_slice(protocol);
            }
        }
    }
    if out.len() == start {
        return false;
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// How the response goes to the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Down {
    /// The body is sent in chunks.
    pub(super) chunked: bool,
    /// The connection ends with this response.
    pub(super) close: bool,
}

/// Writes the head that the client gets. `upload_open`: the request's body has not all been read, so nothing that
/// follows on the connection could be told from it.
pub(super) fn write_response(
    worker: &Worker,
    plan: &Plan,
    head: &ResponseHead<'_, '_>,
    upload_open: bool,
    out: &mut Vec<u8>,
) -> Down {
    let connection = ConnectionOptions::read(head.fields);
    write_status(head, out);
    headers::to_client(head.fields, &connection, out);
    let unknown_length = matches!(head.body, Body::Chunked(_) | Body::UntilClose);
    let chunked = unknown_length && plan.version == Version::Http11;
    if chunked {
        line(out, &[b"Transfer-Encoding: chunked"]);
    } else if let Some(length) = head.content_length {
        line(
            out,
            &[b"Content-Length: ", itoa::Buffer::new().format(length).as_bytes()],
        );
    }
    let close = !plan.keep_alive
        || upload_open
        || worker.phase.get() != Phase::Serving
        || (unknown_length && !chunked);
    if close {
        line(out, &[b"Connection: close"]);
    } else if plan.version == Version::Http10 {
        line(out, &[b"Connection: keep-alive"]);
    }
    out.extend_from_slice(b"\r\n");
    Down { chunked, close }
}

/// Writes a 1xx for the client: interim ones have fields and no framing; 101 says to which protocol.
pub(super) fn write_interim(head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    write_status(head, out);
    headers::to_client(head.fields, &ConnectionOptions::read(head.fields), out);
    if head.status == 101 {
        line(out, &[b"Connection: upgrade"]);
        for f in head
            .fields
            .iter()
            .filter(|f| f.name.eq_ignore_ascii_case("upgrade"))
        {
            line(out, &[b"Upgrade: ", f.value]);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status(head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let status = digits.format(head.status).as_bytes();
    line(out, &[b"HTTP/1.1 ", status, b" ", head.reason.as_bytes()]);
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// Does what only the statistics need: a panic in it is counted, and is not the request's.
fn unharmed<T>(worker: &Worker, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        worker.metrics.faults.inc();
    }
    done.ok()
}

/// Paths over which the statistics panic, so that a test sees what becomes of the request.
#[cfg(test)]
pub(super) const FAULT_AHEAD: &str = "/a-fault-ahead";
#[cfg(test)]
pub(super) const FAULT_AT_THE_END: &str = "/a-fault-at-the-end";

impl Plan {
    /// The response's head has reached the client: what the request was, and its event if it has one.
    pub(super) fn settle(&mut self, worker: &Worker, response: &facts::ResponseFacts<'_>) {
        let now = worker.now();
        // Where recording panics, what was told is told all the same, and not once more.
        let mut told = false;
        unharmed(worker, || {
            let verdict = self.tell(worker, response, now);
            told = true;
            self.record(worker, &verdict, response.status, now);
        });
        if !told {
            unharmed(worker, || {
                self.record(worker, &page::failed(), response.status, now);
            });
        }
    }

    /// The verdict, its event offered.
    fn tell(&mut self, worker: &Worker, response: &facts::ResponseFacts<'_>, now: Moment) -> Verdict {
        #[cfg(test)]
        assert!(
            memchr::memmem::find(&self.request, FAULT_AT_THE_END.as_bytes()).is_none_or(|at| at >= 10),
            "a fault in the statistics"
        );
        let verdict = match &self.ahead {
            RequestVerdict::Settled(verdict) => *verdict,
            RequestVerdict::Open(candidate) => {
                page::judge_response(&worker.live.borrow().page, candidate, response)
            }
        };
        let Some(what) = verdict.event else { return verdict };
        if self.is_repeated(worker, now.millis()) {
            return page::repeated();
        }
        self.take_down(worker, what);
        worker
            .outbox
            .borrow_mut()
            .offer(Source::Page, &mut self.draft, now.nanos, now.millis());
        verdict
    }

    /// Drafts the event anew where it is other than a page view, which it was drafted as.
    fn take_down(&mut self, worker: &Worker, what: EventKind<'_>) {
        if what == EventKind::PageView {
            return;
        }
        let mut draft = Draft::over(worker.buffer());
        if let Some(sighting) = self.draft.sighting() {
            let live = worker.live.borrow();
            draft.write(&Sighting {
                kind: what,
                domain: live.page.domain(what, sighting.domain),
                ..sighting
            });
        }
        let before = std::mem::replace(&mut self.draft, draft);
        worker.give_back(before.into_buffer());
    }

    /// Whether this is the second of a service worker's two requests for one page.
    fn is_repeated(&self, worker: &Worker, now: u64) -> bool {
        let RequestVerdict::Open(candidate) = &self.ahead else {
            return false;
        };
        let Some(part) = candidate.service_worker() else {
            return false;
        };
        self.draft.sighting().is_some_and(|s| {
            !worker
                .pairs
                .first(s.client, s.user_agent, s.host, s.target, part, now)
        })
    }

    /// The client left before a response's head reached it.
    pub(super) fn abort(&self, worker: &Worker) {
        let verdict = match &self.ahead {
            RequestVerdict::Settled(verdict) => *verdict,
            RequestVerdict::Open(_) => page::aborted(),
        };
        let now = worker.now();
        unharmed(worker, || self.record(worker, &verdict, 0, now));
    }

    fn record(&self, worker: &Worker, verdict: &Verdict, status: u16, now: Moment) {
        worker.metrics.decision(verdict.decision);
        let client = self.client.filter(|_| verdict.event.is_some());
        worker
            .recent
            .borrow_mut()
            .push(now, verdict, status, client, self.from.label(), &self.request);
    }

    /// Gives the buffers back.
    pub(super) fn done(self, worker: &Worker) {
        worker
            .metrics
            .duration
            .observe(self.started.elapsed().as_secs_f64());
        worker.give_back(self.request);
        worker.give_back(self.draft.into_buffer());
    }
}
