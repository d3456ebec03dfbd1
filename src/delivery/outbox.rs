//! The workers' end of the rings. Each worker has a ring of bytes, which it alone writes and the delivery
//! thread alone reads. An offer copies the sighting into the ring, without a lock, an allocation or a wait.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
};

use rtrb::Producer;
use tokio::sync::Notify;

use super::{
    account::{Account, EventEnd, Source, WITH_HOLD},
    held::Hold,
};
use crate::{clock::Clock, event::Sighting};

/// What stands before each sighting in a ring: its length (4 bytes), its tag (1), its time (8). A hold, if the
/// tag says that there is one, stands after the sighting.
pub(super) const PREFIX: usize = 13;
/// After so many bytes a worker wakes the delivery thread before the next round: a quarter of its ring, and
/// far more than ordinary pages bring in a round.
const PLENTY: usize = 256 * 1_024;

/// Where one worker offers its events. A ring that is full drops the offer and counts it as overflow.
#[derive(Debug)]
pub struct Outbox {
    ring: Producer<u8>,
    /// Bytes offered since this worker last woke the delivery thread for their number.
    since_woken: usize,
    signal: Arc<Signal>,
    account: Arc<Account>,
    clock: Clock,
}

impl Outbox {
    pub(super) fn new(ring: Producer<u8>, signal: Arc<Signal>, account: Arc<Account>, clock: Clock) -> Self {
        Outbox {
            ring,
            since_woken: 0,
            signal,
            account,
            clock,
        }
    }

    /// The clock from which a sighting's times have to be read.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Offers a drafted event with these times, its `at_ns` and `at_ms`. Never blocks, fails or panics:
    /// without room for it the event counts as overflow, and if drafting it panicked it counts as rejected.
    pub fn offer(&mut self, source: Source, draft: &mut Draft, order: u64, time: u64) {
        self.push(source, source.tag(), draft, order, time);
    }

    /// As [`offer`](Self::offer), of a page view that is held. False if it was not taken: then nobody decides
    /// about its request any more.
    pub fn offer_held(
        &mut self,
        source: Source,
        draft: &mut Draft,
        hold: &Hold,
        order: u64,
        time: u64,
    ) -> bool {
        if !draft.0.is_empty() {
            draft.0.extend_from_slice(&hold.encoded());
        }
        self.push(source, source.tag() | WITH_HOLD, draft, order, time)
    }

    fn push(&mut self, source: Source, tag: u8, draft: &mut Draft, order: u64, time: u64) -> bool {
        self.account.offered(source, 1);
        let Some((prefix, sighting)) = draft.0.split_first_chunk_mut::<PREFIX>() else {
            self.account.finished(EventEnd::Rejected, 1);
            return false;
        };
        let [l0, l1, l2, l3] = (sighting.len() as u32).to_le_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = order.to_le_bytes();
        *prefix = [l0, l1, l2, l3, tag, t0, t1, t2, t3, t4, t5, t6, t7];
        Sighting::stamp(sighting, order, time);
        // The ring is abandoned once the delivery thread has ended for good.
        if self.ring.is_abandoned() || self.ring.push_entire_slice(&draft.0).is_err() {
            self.account.finished(EventEnd::Overflow, 1);
            return false;
        }
        self.since_woken += draft.0.len();
        if self.since_woken >= PLENTY {
            self.since_woken = 0;
            self.signal.wake_for_plenty();
        } else {
            self.signal.wake_first();
        }
        true
    }
}

#[cfg(test)]
impl Outbox {
    /// Drafts a sighting and hands it on.
    pub(super) fn offer_sighting(&mut self, source: Source, sighting: &Sighting<'_>) {
        let mut draft = Draft::default();
        draft.write(sighting);
        self.offer(source, &mut draft, sighting.at_ns, sighting.at_ms);
    }
}

/// A sighting in the form of an offer, written before it is known whether and when it will be offered.
#[derive(Debug, Default)]
pub struct Draft(Vec<u8>);

impl Draft {
    /// An empty draft that uses this buffer.
    pub fn over(buffer: Vec<u8>) -> Self {
        Draft(buffer)
    }

    /// Replaces the draft by a sighting. If encoding it panics, the draft is empty.
    pub fn write(&mut self, sighting: &Sighting<'_>) {
        self.0.clear();
        self.0.extend_from_slice(&[0; PREFIX]);
        if catch_unwind(AssertUnwindSafe(|| sighting.encode(&mut self.0))).is_err() {
            self.0.clear();
        }
    }

    /// The drafted sighting; `None` in an empty draft.
    pub fn sighting(&self) -> Option<Sighting<'_>> {
        Sighting::decode(self.0.get(PREFIX..)?)
    }

    /// The buffer, for another use.
    pub fn into_buffer(self) -> Vec<u8> {
        self.0
    }
}

/// How a worker wakes the delivery thread.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Set while the reader rests and has to be woken by the next offer.
    armed: AtomicBool,
    first: Notify,
    plenty: Notify,
}

impl Signal {
    /// The reader is about to rest, and looks into the rings once more after this. The fences here and in
    /// [`Signal::wake_first`] guarantee that either this look finds an offer, or the offer finds the signal
    /// armed.
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Waits for the first offer after [`Signal::arm`].
    pub(super) async fn first(&self) {
        self.first.notified().await;
    }

    /// Waits until a worker has offered [`PLENTY`] bytes.
    pub(super) async fn plenty(&self) {
        self.plenty.notified().await;
    }

    fn wake_first(&self) {
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::Relaxed) {
            self.first.notify_one();
        }
    }

    fn wake_for_plenty(&self) {
        self.plenty.notify_one();
    }
}
