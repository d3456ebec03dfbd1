//! What the queue holds, and whether the thread that looks after it goes on.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::clock::Clock;

/// What the queue holds, as the delivery thread last saw it.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// Whether the queue is to be on a disk.
    pub(super) on_disk: AtomicBool,
    /// Bytes that the queue takes.
    pub(super) bytes: AtomicU64,
    /// When the oldest pending event happened, in milliseconds since 1970; 0 for none.
    pub(super) oldest: AtomicU64,
    /// Page views that wait for the tracker script.
    pub(super) held: AtomicU64,
    /// Whether the disk is out of use.
    pub(super) alarm: AtomicBool,
    /// When the delivery thread last did its round, in milliseconds since 1970; 0 while it does none.
    pub(super) beat: AtomicU64,
}

/// The delivery thread, which rests for two seconds at the most, is held up if it has done nothing for so
/// long, in milliseconds.
const HELD_UP: u64 = 5_000;

/// The delivery thread has done nothing for a while. The disk holds it up, or the process gets no CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldUp {
    /// For how long.
    pub seconds: u64,
    /// Whether it has a disk to wait for.
    pub on_disk: bool,
}

impl fmt::Display for HeldUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        if self.on_disk {
            write!(
                f,
                "the disk has not answered for {seconds} s; events wait in memory until it does"
            )
        } else {
            write!(
                f,
                "delivery has stood still for {seconds} s; events wait until it goes on"
            )
        }
    }
}

impl Holdings {
    /// Whether the delivery thread is held up, and for how long it has been.
    pub(super) fn held_up(&self, clock: &Clock) -> Option<HeldUp> {
        let beat = self.beat.load(Ordering::Relaxed);
        let silent = clock.millis().saturating_sub(beat);
        (beat > 0 && silent > HELD_UP).then(|| HeldUp {
            seconds: silent / 1_000,
            on_disk: self.on_disk.load(Ordering::Relaxed),
        })
    }

    /// Whether something is wrong with the queue's storage.
    pub(super) fn is_alarmed(&self, clock: &Clock) -> bool {
        self.alarm.load(Ordering::Relaxed) || self.held_up(clock).is_some_and(|held_up| held_up.on_disk)
    }

    /// The age of the oldest pending event in seconds, 0 for none.
    pub(super) fn oldest_seconds(&self, clock: &Clock) -> f64 {
        match self.oldest.load(Ordering::Relaxed) {
            0 => 0.0,
            at => clock.millis().saturating_sub(at) as f64 / 1_000.0,
        }
    }
}
