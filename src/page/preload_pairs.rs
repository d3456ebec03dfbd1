//! Counts a page once where a service worker asks for it twice. With navigation preload the browser sends a
//! request while the worker starts. A worker that ignores the preloaded response fetches the page again. Each
//! of the two may also come alone: the worker may use the preload, and the browser may give it up. So neither
//! can be skipped by its own headers.
//!
//! The first of the two leaves a mark. A request of the other kind within [`PreloadPairs::WINDOW_MS`] removes
//! the mark and is not counted.

use std::net::IpAddr;

use super::marks::{Marks, Sight};
use super::request::ServiceWorker;

/// The pages of which one request has come.
#[derive(Debug)]
pub struct PreloadPairs(Marks);

impl PreloadPairs {
    /// How long the two requests of a pair may be apart, in milliseconds.
    pub const WINDOW_MS: u64 = 10_000;

    const SLOTS: usize = 1024;

    /// No marks.
    pub fn new() -> Self {
        PreloadPairs(Marks::new(Self::SLOTS, Self::WINDOW_MS))
    }

    /// Whether to count the page: false for the second request of a pair. Call it only for a request that
    /// would be counted. `now` is in milliseconds of any monotonic clock.
    pub fn first(
        &self,
        visitor: IpAddr,
        agent: &[u8],
        host: &[u8],
        target: &[u8],
        service_worker: ServiceWorker,
        now: u64,
    ) -> bool {
        let sight = Sight {
            visitor,
            agent,
            host,
            target,
        };
        self.0.first(sight, service_worker == ServiceWorker::Preload, now)
    }
}

impl Default for PreloadPairs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_and_the_workers_own_fetch_are_one_page_in_either_order() {
        for (one, two) in [
            (ServiceWorker::Preload, ServiceWorker::Fetch),
            (ServiceWorker::Fetch, ServiceWorker::Preload),
        ] {
            let pairs = PreloadPairs::new();
            let ask = |target: &[u8], worker, now| {
                pairs.first([203, 0, 113, 7].into(), b"UA", b"a.test", target, worker, now)
            };
            assert!(ask(b"/", one, 1_000));
            assert!(!ask(b"/", two, 1_200), "the second of the pair");
            assert!(ask(b"/", two, 1_300), "the mark is used up");
            assert!(ask(b"/b", two, 1_400), "another page");
        }
    }

    #[test]
    fn the_same_kind_again_or_the_other_much_later_is_another_view() {
        let pairs = PreloadPairs::new();
        let ask = |worker, now| pairs.first([203, 0, 113, 7].into(), b"UA", b"a.test", b"/", worker, now);
        assert!(ask(ServiceWorker::Fetch, 1_000));
        assert!(ask(ServiceWorker::Fetch, 1_500));
        assert!(ask(ServiceWorker::Preload, 1_500 + PreloadPairs::WINDOW_MS));
    }
}
