//! Hosts with a page whose own tracker script stands so late that gatecount had put in one before it was seen.
//! Their pages are looked through whole from then on, and get the script at their end.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU32, Ordering},
};

/// Hosts that are remembered, at most. Where two share a place, the older one is forgotten.
const HOSTS: usize = 1024;

/// See the module. Shared by all workers.
#[derive(Debug)]
pub(super) struct LateScripts {
    hosts: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl LateScripts {
    pub(super) fn new() -> Self {
        LateScripts {
            hosts: (0..HOSTS).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// A page of this host has a late script. Whether that was not known.
    pub(super) fn note(&self, host: &str) -> bool {
        let (place, hash) = self.place(host);
        place.swap(hash, Ordering::Relaxed) != hash
    }

    /// Whether a page of this host had one.
    pub(super) fn has(&self, host: &str) -> bool {
        let (place, hash) = self.place(host);
        place.load(Ordering::Relaxed) == hash
    }

    fn place(&self, host: &str) -> (&AtomicU32, u32) {
        let hash = self.hasher.hash_one(host);
        let place = &self.hosts[hash as usize % HOSTS];
        // Zero stands for none.
        (place, (hash >> 32) as u32 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_noted_once() {
        let late = LateScripts::new();
        assert!(!late.has("a.example"));
        assert!(late.note("a.example") && !late.note("a.example"));
        assert!(late.has("a.example") && !late.has("b.example"));
    }
}
