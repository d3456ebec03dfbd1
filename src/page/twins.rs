//! Counts a page once where two see it: this process in the request's way, and from aside, by a copy of the
//! request or a line of a log about it. Whoever sees it first leaves a mark, and the other one's sight within
//! [`Twins::WINDOW_MS`] takes the mark away and is not counted.

use std::net::IpAddr;

use super::marks::{Marks, Sight};

/// How a page was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenBy {
    /// In the request's way.
    Proxy,
    /// From aside.
    Observer,
}

/// The pages that one of the two has seen.
#[derive(Debug)]
pub struct Twins(Marks);

impl Twins {
    /// How far apart the two may be, in milliseconds. A log's line comes when the response is over, and a
    /// server may write its lines some seconds later.
    pub const WINDOW_MS: u64 = 60_000;

    /// A thousand pages a second leave a few hundred marks at a time.
    const SLOTS: usize = 1 << 16;

    /// No marks.
    pub fn new() -> Self {
        Twins(Marks::new(Self::SLOTS, Self::WINDOW_MS))
    }

    /// Whether to count the page: false for what the other one has seen before. Call it only for a request
    /// that would be counted. `now` is when the request was, in milliseconds of one clock for both.
    pub fn first(
        &self,
        visitor: IpAddr,
        agent: &[u8],
        host: &[u8],
        target: &[u8],
        seen: SeenBy,
        now: u64,
    ) -> bool {
        let sight = Sight {
            visitor,
            agent,
            host,
            target,
        };
        self.0.first(sight, seen == SeenBy::Observer, now)
    }
}

impl Default for Twins {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: u64 = 1_795_687_200_000;

    fn see(twins: &Twins, target: &str, seen: SeenBy, now: u64) -> bool {
        twins.first(
            Ipv4Addr::new(203, 0, 113, 7).into(),
            b"agent",
            b"example.com",
            target.as_bytes(),
            seen,
            now,
        )
    }

    #[test]
    fn a_page_that_two_have_seen_counts_once_whoever_came_first() {
        let twins = Twins::new();
        assert!(see(&twins, "/a", SeenBy::Proxy, NOW));
        assert!(!see(&twins, "/a", SeenBy::Observer, NOW + 300));
        assert!(see(&twins, "/a", SeenBy::Observer, NOW + 400));
        assert!(!see(&twins, "/a", SeenBy::Proxy, NOW + 200));
        assert!(see(&twins, "/a", SeenBy::Proxy, NOW + 500));
        assert!(see(&twins, "/b", SeenBy::Observer, NOW + 500));
    }

    #[test]
    fn each_sight_takes_one_mark() {
        let twins = Twins::new();
        for _ in 0..3 {
            assert!(see(&twins, "/a", SeenBy::Proxy, NOW));
        }
        for _ in 0..3 {
            assert!(!see(&twins, "/a", SeenBy::Observer, NOW));
        }
        assert!(see(&twins, "/a", SeenBy::Observer, NOW));
    }

    #[test]
    fn a_mark_is_for_a_while() {
        let twins = Twins::new();
        assert!(see(&twins, "/a", SeenBy::Proxy, NOW));
        assert!(see(&twins, "/a", SeenBy::Observer, NOW + Twins::WINDOW_MS));
        // Lines of a time in which nobody was in the way.
        assert!(see(&twins, "/b", SeenBy::Proxy, NOW));
        assert!(see(&twins, "/b", SeenBy::Observer, NOW - Twins::WINDOW_MS));
    }
}
