//! What gatecount answers itself to an HTTP/1.x client: refusals, and the dedicated paths. A refusal is its
//! connection's last response.

use std::{future::poll_fn, rc::Rc, task::Poll};

use tokio::time::Instant;

use super::{
    client::{After, Client},
    pace::BodyPace,
};
use crate::{
    facts,
    http1::{Body, Version},
    proxy::{
        context::Phase,
        errors::Fault,
        heads,
        plan::{OwnAnswer, OwnPlan},
        record::RequestRecord,
    },
    tracker::{Answering, DedicatedAnswer, Receiving, Reply},
};

/// Bytes of a response that are sent at once, because what a slow client does not take is kept.
const PIECE: usize = 16 * 1024;

/// A request that gatecount answers itself.
pub(super) struct OwnRequest {
    pub(super) plan: OwnPlan,
    /// What is left to read of its body.
    pub(super) body: Body,
    pub(super) version: Version,
}

/// Why a request's body does not come to its end.
enum NoBody {
    /// The client left.
    Gone,
    Fault(Fault),
}

/// Answers a request.
pub(super) async fn answer(client: &mut Client, request: OwnRequest) -> After {
    let OwnRequest {
        plan,
        mut body,
        version,
    } = request;
    let reply = match plan.answer {
        OwnAnswer::Fault(fault) => return refuse(client, Some((plan.record, plan.to_head)), &fault),
        OwnAnswer::Dedicated(reply) => reply,
    };
    let answering = match reply {
        Reply::Answer(answering) => answering,
        Reply::Body(receiving) => {
            if plan.expects_continue
                && client.inbuf.is_empty()
                && client.send(&[b"HTTP/1.1 100 Continue\r\n\r\n"]).is_err()
            {
                return After::Close;
            }
            match receive(client, &mut body, receiving).await {
                Ok(answering) => answering,
                Err(NoBody::Gone) => return After::Close,
                Err(NoBody::Fault(fault)) => {
                    return refuse(client, Some((plan.record, plan.to_head)), &fault);
                }
            }
        }
    };
    let answer = match answering {
        Answering::Ready(answer) => answer,
        Answering::Later(answer) => answer.await,
    };
    skip(client, &mut body);
    let close = !plan.keep_alive
        || !body.is_done()
        || version == Version::Http10
        || client.context.phase.get() != Phase::Serving;
    let mut record = plan.record;
    if !send(client, &mut record, &answer, plan.to_head, close).await {
        return After::Close;
    }
    record.end(Instant::now());
    match (close, body.is_done()) {
        (false, _) => After::KeepAlive,
        (true, true) => After::Linger,
        (true, false) => After::Discard,
    }
}

/// Reads the request's body.
async fn receive(
    client: &mut Client,
    body: &mut Body,
    mut receiving: Box<Receiving>,
) -> Result<Answering, NoBody> {
    let context = Rc::clone(&client.context);
    let (mut pace, mut trailers) = (BodyPace::default(), Vec::new());
    loop {
        let bytes = std::mem::take(&mut client.inbuf);
        let mut rest = &bytes[..];
        let mut taken = Ok(());
        while taken.is_ok() && !rest.is_empty() && !body.is_done() {
            let step = body.step(rest, &mut trailers);
            let step = step.map_err(|error| NoBody::Fault(Fault::RequestBody(error)))?;
            rest = &rest[step.used..];
            taken = receiving.take(step.data);
        }
        // What follows belongs to the next request.
        client.inbuf.extend_from_slice(rest);
        if let Err(answer) = taken {
            return Ok(Answering::Ready(answer));
        }
        if body.is_done() {
            return Ok(receiving.finish(&context.live.borrow().sites));
        }
        client.timer.set(pace.wait(&context.settings, Instant::now()));
        let read = poll_fn(|cx| {
            let mut scratch = context.scratch.borrow_mut();
            if let Poll::Ready(read) = client.poll_read(cx, &mut scratch) {
                return Poll::Ready(Some(read));
            }
            client.timer.poll(cx).map(|()| None)
        });
        match read.await {
            Some(Ok(n)) if n > 0 => {
                pace.received(n);
                client.inbuf.extend_from_slice(&context.scratch.borrow()[..n]);
            }
            Some(_) => return Err(NoBody::Gone),
            None => return Err(NoBody::Fault(Fault::SlowBody)),
        }
    }
}

/// Steps over what has come of a body that nobody wants, so that the connection can go on if that was all.
fn skip(client: &mut Client, body: &mut Body) {
    let bytes = std::mem::take(&mut client.inbuf);
    let mut rest = &bytes[..];
    while !rest.is_empty() && !body.is_done() {
        match body.step(rest, &mut Vec::new()) {
            Ok(step) => rest = &rest[step.used..],
            // The connection ends with the response.
            Err(_) => return,
        }
    }
    client.inbuf.extend_from_slice(rest);
}

/// Sends an answer, and settles its request when the head is on its way. False if the client left.
async fn send(
    client: &mut Client,
    record: &mut RequestRecord,
    answer: &DedicatedAnswer,
    to_head: bool,
    close: bool,
) -> bool {
    let context = Rc::clone(&client.context);
    let mut head = context.buffer();
    heads::write_own(answer, close, &mut head);
    let body = if to_head { &[] } else { &answer.body[..] };
    let (first, rest) = body.split_at(body.len().min(PIECE));
    let sent = client.send(&[&head, first]).is_ok();
    context.give_back(head);
    if !sent {
        return false;
    }
    record.settle(&facts::ResponseFacts::of_status(answer.status));
    for piece in rest.chunks(PIECE) {
        if !flush(client).await || client.send(&[piece]).is_err() {
            return false;
        }
    }
    flush(client).await
}

/// Waits until the client's socket has taken all. False if it does not.
async fn flush(client: &mut Client) -> bool {
    while !client.is_flushed() {
        client
            .timer
            .set(Instant::now() + client.context.settings.idle_timeout);
        let ready = poll_fn(|cx| {
            if let Poll::Ready(ready) = client.poll_write_ready(cx) {
                return Poll::Ready(Some(ready));
            }
            client.timer.poll(cx).map(|()| None)
        });
        if ready.await.is_none_or(|ready| client.flush(ready).is_err()) {
            return false;
        }
    }
    true
}

/// Answers a client that speaks no protocol of this port.
pub(super) async fn refuse_and_close(client: &mut Client, fault: &Fault) {
    if refuse(client, None, fault) == After::Linger {
        client.linger().await;
    }
}

/// Answers in the app's place. The connection ends with it. Of what was a request there is a record, and
/// whether its method is HEAD.
pub(super) fn refuse(client: &mut Client, request: Option<(RequestRecord, bool)>, fault: &Fault) -> After {
    let to_head = request.as_ref().is_some_and(|(_, to_head)| *to_head);
    let sent = client.send(&[&fault.response(to_head, true)]).is_ok();
    match request {
        Some((mut record, _)) if sent => record.settle_fault(fault),
        None if sent => client.context.metrics.response(fault.status()),
        _ => {}
    }
    client.context.report(fault, sent.then(|| fault.status()));
    if sent { After::Linger } else { After::Close }
}
