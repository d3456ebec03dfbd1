//! Takes in events from a source that can be read again, such as a log file, so that each is stored once
//! whatever kills the process.
//!
//! The source gives its events in portions, and waits for each. With every event goes the place in the source
//! that is reached with it. The delivery thread appends a portion's events, each with its place, and then
//! writes the last place into the queue's note; only after that it may send one of them. So whenever the
//! process dies, the newest place that the queue knows, be it in the note or in a record that has not ended,
//! says exactly which events are stored, and the source goes on from there.
//!
//! While the queue's disk is out of use, no portion is taken: the source itself keeps the events.

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::engine::Command;
use crate::event::Sighting;

/// Events in the order of their source.
#[derive(Debug, Default)]
pub struct Portion {
    /// Each event's sighting, and its place.
    bytes: Vec<u8>,
    events: Vec<PortionEvent>,
    place: Vec<u8>,
}

/// Where an event's parts are in a portion's bytes.
#[derive(Debug, Clone, Copy)]
struct PortionEvent {
    sighting: usize,
    place: usize,
    end: usize,
}

impl Portion {
    /// Adds an event. `place` is what the source was read up to with it, at most 1 KiB.
    pub fn push(&mut self, sighting: &Sighting<'_>, place: &[u8]) {
        let start = self.bytes.len();
        sighting.encode(&mut self.bytes);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(place);
        self.events.push(PortionEvent {
            sighting: start,
            place: middle,
            end: self.bytes.len(),
        });
    }

    /// Says what the source was read up to with this portion, which may be further than its last event.
    pub fn set_place(&mut self, place: &[u8]) {
        self.place.clear();
        self.place.extend_from_slice(place);
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Each event's sighting and place.
    pub(super) fn events(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.events.iter().map(|event| {
            (
                &self.bytes[event.sighting..event.place],
                &self.bytes[event.place..event.end],
            )
        })
    }

    pub(super) fn place(&self) -> &[u8] {
        &self.place
    }

    /// Makes room for the next events. The buffers stay.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
        self.place.clear();
    }
}

/// What became of a portion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its events and its place survive the process.
    Noted,
    /// Its events are in the queue, and its place is not noted: the disk failed just now, or the queue is in
    /// memory.
    Unnoted,
    /// None of it: the queue's disk is out of use. The same portion may be given again later.
    NotNow,
}

/// How far the source was read, as far as the queue knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownPlace {
    /// To this place.
    At(Vec<u8>),
    /// The source was never read.
    Nowhere,
    /// The queue is in memory: no place outlives the process.
    NeverKept,
    /// The queue's disk is out of use, or the queue is not recovered yet. It may be known later.
    NotNow,
}

/// Delivery has ended or has failed. After a failure it starts again, and knows a place again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLost;

/// What the source asks the delivery thread.
#[derive(Debug)]
pub(super) enum FeedRequest {
    Place(oneshot::Sender<KnownPlace>),
    Store(Portion, oneshot::Sender<(Taken, Portion)>),
}

/// A source's way to the delivery thread. There is one source of this kind.
#[derive(Debug)]
pub struct Feed(UnboundedSender<Command>);

impl Feed {
    pub(super) fn new(commands: UnboundedSender<Command>) -> Self {
        Feed(commands)
    }

    /// How far the source was read. Waits for the delivery thread, so not to be called on a runtime.
    pub fn place(&self) -> Result<KnownPlace, FeedLost> {
        let (reply, place) = oneshot::channel();
        self.ask(FeedRequest::Place(reply))?;
        place.blocking_recv().map_err(|_| FeedLost)
    }

    /// Stores a portion, and gives it back. Waits for the delivery thread, so not to be called on a runtime.
    /// After an error it is not known what was stored: the source goes on from [`place`](Self::place).
    pub fn store(&self, portion: Portion) -> Result<(Taken, Portion), FeedLost> {
        let (reply, taken) = oneshot::channel();
        self.ask(FeedRequest::Store(portion, reply))?;
        taken.blocking_recv().map_err(|_| FeedLost)
    }

    fn ask(&self, request: FeedRequest) -> Result<(), FeedLost> {
        self.0.send(Command::Feed(request)).map_err(|_| FeedLost)
    }
}
