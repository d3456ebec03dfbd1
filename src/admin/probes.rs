//! Counts how `/readyz` was answered. A drain ends its waiting once a prober has been told "not ready".

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// How often `/readyz` was answered yes and no.
#[derive(Debug, Default)]
pub struct Probes {
    ready: AtomicU64,
    not_ready: AtomicU64,
    changed: Notify,
}

impl Probes {
    /// How often the answer was 200.
    pub fn ready(&self) -> u64 {
        self.ready.load(Ordering::Acquire)
    }

    /// How often the answer was 503.
    pub fn not_ready(&self) -> u64 {
        self.not_ready.load(Ordering::Acquire)
    }

    /// Waits until a 503 has been sent; returns at once if one has.
    pub async fn seen_not_ready(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.not_ready() > 0 {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn count(&self, ready: bool) {
        let counter = if ready { &self.ready } else { &self.not_ready };
        counter.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}
