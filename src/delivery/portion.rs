//! What a source that can be read again gives and asks: [`feed`](super::feed) says how.

use tokio::sync::oneshot;

use super::held::Hold;
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
    hold: Option<Hold>,
    sighting: usize,
    place: usize,
    end: usize,
}

impl Portion {
    /// Adds an event, with what it is held for. `place` is what the source was read up to with it, at most 1
    /// KiB.
    pub fn push(&mut self, sighting: &Sighting<'_>, hold: Option<Hold>, place: &[u8]) {
        let start = self.bytes.len();
        sighting.encode(&mut self.bytes);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(place);
        self.events.push(PortionEvent {
            hold,
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

    /// Each event's sighting, hold and place.
    pub(super) fn events(&self) -> impl Iterator<Item = (&[u8], Option<&Hold>, &[u8])> {
        self.events.iter().map(|event| {
            (
                &self.bytes[event.sighting..event.place],
                event.hold.as_ref(),
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
