//! The workers' end of their rings: a ring of bytes for each worker, that it alone writes and the delivery thread alone
//! reads. An offer copies the sighting into it: no lock, no allocation, no waiting.

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
    account::{Account, End, Source},
    clock::Clock,
};
use crate::event::Sighting;

/// What stands before each sighting in a ring: its length (4 bytes), its source (1), its time (8).
pub(super) const PREFIX: usize = 13;
/// Bytes in one ring that do not wait for the next round.
const PLENTY: usize = 32 * 1_024;

/// Where one worker offers its events. A ring that is full drops the offer and counts it as overflow.
#[derive(Debug)]
pub struct Outbox {
    ring: Producer<u8>,
    scratch: Vec<u8>,
    /// Bytes offered since the delivery thread was last told of plenty.
    since_woken: usize,
    signal: Arc<Signal>,
    account: Arc<Account>,
    clock: Clock,
}

impl Outbox {
    pub(super) fn new(ring: Producer<u8>, signal: Arc<Signal>, account: Arc<Account>, clock: Clock) -> Self {
        Outbox {
            ring,
            scratch: Vec::new(),
            since_woken: 0,
            signal,
            account,
            clock,
        }
    }

    /// The clock that a sighting's times are to be read from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Hands an event on. Never blocks, never fails and never panics: an event that has no room is counted as overflow,
    /// one whose encoding panics as rejected.
    pub fn offer(&mut self, source: Source, sighting: &Sighting<'_>) {
        self.account.offered(source, 1);
        self.scratch.clear();
        self.scratch.extend_from_slice(&[0; PREFIX]);
        let encoded = catch_unwind(AssertUnwindSafe(|| sighting.encode(&mut self.scratch)));
        if encoded.is_err() {
            self.account.finished(End::Rejected, 1);
            return;
        }
        let len = (self.scratch.len() - PREFIX) as u32;
        self.scratch[..4].copy_from_slice(&len.to_le_bytes());
        self.scratch[4] = source.tag();
        self.scratch[5..PREFIX].copy_from_slice(&sighting.at_ns.to_le_bytes());
        // An abandoned ring is one whose reader's thread ended for good.
        if self.ring.is_abandoned() || self.ring.push_entire_slice(&self.scratch).is_err() {
            self.account.finished(End::Overflow, 1);
            return;
        }
        self.since_woken += self.scratch.len();
        if self.since_woken >= PLENTY {
            self.since_woken = 0;
            self.signal.tell_plenty();
        } else {
            self.signal.tell_first();
        }
    }
}

/// How a worker wakes the delivery thread.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Set while the reader rests, and wants to hear of the next offer.
    armed: AtomicBool,
    first: Notify,
    plenty: Notify,
}

impl Signal {
    /// The reader rests from now on, unless its next look into the rings finds something. The fence and the one in
    /// [`Signal::tell_first`] see to it that either that look finds the offer, or the offer finds the signal armed.
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Waits for the first offer after a rest.
    pub(super) async fn first(&self) {
        self.first.notified().await;
    }

    /// Waits for plenty.
    pub(super) async fn plenty(&self) {
        self.plenty.notified().await;
    }

    fn tell_first(&self) {
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::Relaxed) {
            self.first.notify_one();
        }
    }

    fn tell_plenty(&self) {
        self.plenty.notify_one();
    }
}
