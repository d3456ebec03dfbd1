//! An event's body on its way in, and what becomes of it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    answer::{Answering, DedicatedAnswer},
    cors::Cors,
    metrics::{EventResult, TrackerMetrics},
    relay,
};
use crate::{
    delivery::{Desk, Hold, Mouth, Receipt, Source},
    event::{Event, PageKey, Sites},
    plausible::{AcceptedBody, FieldErrors, MAX_BODY, MAX_JSON_BODY, Members, accept_body},
};

/// Bytes of a body that take no room from others. The tracker's events are smaller, so that a flood of large
/// ones harms none of them.
const SMALL: usize = 16 * 1_024;
/// How long an event may take to be stored, before its sender is told that it was not.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an event's endpoint works with.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) desk: Desk,
    /// Bytes that the bodies which are larger than [`SMALL`] may take together.
    pub(super) room: Arc<Semaphore>,
    pub(super) metrics: TrackerMetrics,
}

/// Who sent an event.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) client: IpAddr,
    pub(super) user_agent: Vec<u8>,
    /// The rules say that this client's doings are not counted.
    pub(super) left_out: bool,
    /// How long pages wait for the script's page views of them; `None` if they don't.
    pub(super) tracker_wait: Option<Duration>,
}

/// Which body it is, and so how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyType {
    /// `application/json`
    Json,
    /// `text/plain`, or whatever else was sent.
    Text,
}

impl BodyType {
    pub(super) fn limit(self) -> usize {
        match self {
            BodyType::Json => MAX_JSON_BODY,
            BodyType::Text => MAX_BODY,
        }
    }

    /// The answer to a body beyond the limit.
    pub(super) fn too_long(self) -> DedicatedAnswer {
        match self {
            BodyType::Json => too_large(),
            BodyType::Text => {
                DedicatedAnswer::error(400, "request", &format!("body is longer than {MAX_BODY} bytes"))
            }
        }
    }
}

/// Takes an event's body, piece by piece.
#[derive(Debug)]
pub struct Receiving {
    counter: Arc<Counter>,
    sender: Sender,
    cors: Cors,
    body_type: BodyType,
    body: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Receiving {
    pub(super) fn new(counter: &Arc<Counter>, sender: Sender, cors: Cors, body_type: BodyType) -> Self {
        Receiving {
            counter: Arc::clone(counter),
            sender,
            cors,
            body_type,
            body: Vec::new(),
            room: None,
        }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// The answer, if the body is too long, or there is no room for it. The rest of it is not wanted.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), DedicatedAnswer> {
        let wanted = self.body.len() + piece.len();
        if wanted > self.body_type.limit() {
            return Err(self.end(EventResult::Invalid, self.body_type.too_long()));
        }
        if wanted > self.body.capacity() {
            let capacity = wanted.next_power_of_two().min(self.body_type.limit());
            if !self.make_room(capacity) {
                return Err(self.end(EventResult::Unavailable, unavailable()));
            }
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }

    /// Whether there is room for a body of this capacity.
    fn make_room(&mut self, capacity: usize) -> bool {
        if capacity <= SMALL {
            return true;
        }
        let more = capacity - self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        // At most the limit, which is a number of 32 bits.
        match Arc::clone(&self.counter.room).try_acquire_many_owned(more as u32) {
            Ok(permit) => {
                match &mut self.room {
                    Some(room) => room.merge(permit),
                    None => self.room = Some(permit),
                }
                true
            }
            Err(_) => false,
        }
    }

    /// The body is complete.
    pub fn finish(self, sites: &Sites) -> Answering {
        match self.accept(sites) {
            Ok(Some(receipt)) => {
                let Receiving { counter, cors, .. } = self;
                Answering::Later(Box::pin(answer(counter, cors, receipt)))
            }
            Ok(None) => {
                let answer = accepted().with("X-Plausible-Dropped", "1");
                Answering::Ready(self.end(EventResult::LeftOut, answer))
            }
            Err((result, answer)) => Answering::Ready(self.end(result, answer)),
        }
    }

    /// Hands the event in. `Ok(None)` if it is left out.
    fn accept(&self, sites: &Sites) -> Result<Option<Receipt>, (EventResult, DedicatedAnswer)> {
        let invalid = |errors: FieldErrors| {
            (
                EventResult::Invalid,
                DedicatedAnswer::json(400, &errors.to_json()),
            )
        };
        let members = Members::read(&self.body);
        let members = members.map_err(|error| invalid(FieldErrors::one("request", error.to_string())))?;
        let accepted = accept_body(&members).map_err(invalid)?;
        if !accepted.domains.iter().all(|domain| sites.has_domain(domain)) {
            let answer = DedicatedAnswer::error(400, "domain", "is not a site of this server");
            return Err((EventResult::Foreign, answer));
        }
        if self.sender.left_out {
            return Ok(None);
        }
        let body = relay::body(&self.body, &members).ok_or((EventResult::Invalid, too_large()))?;
        let event = Event::with_body(self.sender.client, &self.sender.user_agent, body);
        let report = self.report(&accepted);
        let receipt = self.counter.desk.submit(Source::Tracker, &event, report.as_ref());
        receipt
            .map(Some)
            .map_err(|_| (EventResult::Unavailable, unavailable()))
    }

    /// What a page view of the script ends, where pages wait for it.
    fn report(&self, accepted: &AcceptedBody) -> Option<Hold> {
        let wait = self.sender.tracker_wait?;
        (accepted.name == "pageview").then(|| Hold {
            page: PageKey::of(&accepted.host, &accepted.path),
            mouth: Mouth::Script,
            wait,
            request: None,
        })
    }

    fn end(&self, result: EventResult, answer: DedicatedAnswer) -> DedicatedAnswer {
        self.counter.metrics.event(result);
        self.cors.allow(answer)
    }
}

/// Answers once the event is durable.
async fn answer(counter: Arc<Counter>, cors: Cors, receipt: Receipt) -> DedicatedAnswer {
    let stored = timeout(PATIENCE, receipt.stored()).await.unwrap_or(false);
    let (result, answer) = if stored {
        (EventResult::Accepted, accepted())
    } else {
        (EventResult::Unavailable, unavailable())
    };
    counter.metrics.event(result);
    cors.allow(answer)
}

/// Plausible's own words.
fn accepted() -> DedicatedAnswer {
    DedicatedAnswer::words(202, "ok")
}

fn too_large() -> DedicatedAnswer {
    DedicatedAnswer::error(413, "request", "body is too large")
}

/// The event can't be stored now.
pub(super) fn unavailable() -> DedicatedAnswer {
    DedicatedAnswer::error(503, "request", "the event can't be taken now").with("Retry-After", "1")
}
