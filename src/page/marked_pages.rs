//! Marks of pages by visitor, each for some minutes: pages that were fetched ahead and are counted when they
//! are shown, pages that were counted ahead of their own request, and pages to which the app has sent a
//! script.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is marked of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageMark {
    /// A browser has asked for it ahead, and the response is not here. A true request for it ends that.
    AskedAhead,
    /// The visitor has just asked for it, and has not gone on from there. What is fetched ahead of it comes too late.
    JustAsked,
    /// It was fetched ahead. It counts at the first sign that it is shown.
    Prefetched,
    /// It is counted already. The next request for it is the same view.
    CountedAhead,
    /// It was counted by the response that leads to it. A request for it is the same view.
    Redirected,
    /// The app has sent a script there. The script's next request for it is a page view.
    Announced,
    /// Of two pages, see [`VisitorPage::beside`]: what was fetched ahead of the one has led to the other.
    Led,
    /// It was fetched ahead, and is counted since a request showed that it is shown. A service worker that answered
    /// with what it had may ask for it at the same time, as the same view; so may Turbo, which shows what it has.
    Activated,
    /// Of the way to a page, see [`VisitorPage::coming_from`]: a script has fetched the page, to show it there. If it
    /// cannot, for the site is another version by now, the browser loads the page from there: the same view.
    ByScript,
    /// A service worker's view of it was counted. If the browser then gives the worker up, it asks for the same view.
    ByWorker,
}

impl PageMark {
    /// How long it holds, in seconds. Browsers keep what they fetch ahead for five minutes.
    fn lasts(self) -> u64 {
        match self {
            PageMark::Prefetched | PageMark::CountedAhead | PageMark::Led => 300,
            PageMark::Activated | PageMark::ByWorker => 5,
            PageMark::Redirected | PageMark::ByScript => 10,
            PageMark::Announced | PageMark::AskedAhead | PageMark::JustAsked => 30,
        }
    }

    fn code(self) -> u64 {
        match self {
            PageMark::Prefetched => 1,
            PageMark::CountedAhead => 2,
            PageMark::Redirected => 3,
            PageMark::Announced => 4,
            PageMark::AskedAhead => 5,
            PageMark::JustAsked => 6,
            PageMark::Led => 7,
            PageMark::Activated => 8,
            PageMark::ByScript => 9,
            PageMark::ByWorker => 10,
        }
    }
}

/// A page as one visitor sees it.
#[derive(Clone, Copy, Debug)]
pub struct VisitorPage {
    /// Of address, user agent and host.
    visitor: u32,
    /// Of the path.
    path: u32,
}

impl VisitorPage {
    /// The page with this path, without the query.
    pub fn new(client: IpAddr, user_agent: &[u8], host: &[u8], path: &[u8]) -> Self {
        let visitor = match client.to_canonical() {
            IpAddr::V4(v4) => crc32c::crc32c(&v4.octets()),
            IpAddr::V6(v6) => crc32c::crc32c(&v6.octets()),
        };
        let visitor = crc32c::crc32c_append(visitor, user_agent);
        VisitorPage {
            visitor: crc32c::crc32c_append(visitor, host),
            path: crc32c::crc32c(path),
        }
    }

    /// This page and another one, in any order.
    #[must_use]
    pub fn beside(self, other: VisitorPage) -> Self {
        VisitorPage {
            path: self.path ^ other.path,
            ..self
        }
    }

    /// The way to it from the page with this url.
    #[must_use]
    pub fn coming_from(self, url: &[u8]) -> Self {
        VisitorPage {
            path: crc32c::crc32c_append(self.path, url),
            ..self
        }
    }
}

/// The marks, shared by all threads: a fixed table without locks, which takes no memory before the first
/// mark. A visitor's marks share some places with those of others. Where all are taken, the oldest goes: a
/// page that was fetched ahead is not counted then.
#[derive(Debug, Default)]
pub struct MarkedPages {
    /// `path << 32 | visitor's upper bits << 21 | code << 17 | seconds`; 0 is nothing.
    slots: OnceLock<Box<[AtomicU64]>>,
}

/// Bits of the time, which wraps after a day and a half.
const TIME: u64 = (1 << 17) - 1;

impl MarkedPages {
    const GROUPS: usize = 1 << 12;
    /// Places of a group: the links of a page that are fetched ahead as they come into view.
    const PLACES: usize = 32;

    /// No marks.
    pub fn new() -> Self {
        MarkedPages::default()
    }

    /// Whether no page was ever marked, at the cost of one load.
    pub fn is_unused(&self) -> bool {
        self.slots.get().is_none()
    }

    /// Marks a page. `now` is in milliseconds of any monotonic clock.
    pub fn mark(&self, page: VisitorPage, mark: PageMark, now: u64) {
        let slots = self.slots.get_or_init(|| {
            (0..Self::GROUPS * Self::PLACES)
                .map(|_| AtomicU64::new(0))
                .collect()
        });
        let now = now / 1000;
        let identity = identity(page, mark);
        let group = group(slots, page);
        // The same mark, else an empty place, else the oldest.
        let (mut place, mut oldest) = (0, 0);
        for (at, slot) in group.iter().enumerate() {
            let found = slot.load(Ordering::Relaxed);
            if found & !TIME == identity {
                place = at;
                break;
            }
            let age = if found == 0 {
                u64::MAX
            } else {
                now.wrapping_sub(found) & TIME
            };
            if age >= oldest {
                (place, oldest) = (at, age);
            }
        }
        group[place].store(identity | (now & TIME), Ordering::Relaxed);
    }

    /// Whether what is fetched ahead of a page comes too late, after the click on its link. `in_pieces`: by a router that
    /// fetches pages in pieces, for as long as its click takes. That is long on a slow machine, where else the two
    /// come at the same moment.
    pub fn comes_too_late(&self, page: VisitorPage, in_pieces: bool, now: u64) -> bool {
        const AT_ITS_CLICK: u64 = 5;
        let mark = PageMark::JustAsked;
        let seconds = if in_pieces { mark.lasts() } else { AT_ITS_CLICK };
        self.holds_within(page, mark, seconds, now)
    }

    /// Whether a page has a mark that still holds.
    pub fn holds(&self, page: VisitorPage, mark: PageMark, now: u64) -> bool {
        self.holds_within(page, mark, mark.lasts(), now)
    }

    fn holds_within(&self, page: VisitorPage, mark: PageMark, seconds: u64, now: u64) -> bool {
        let Some(slots) = self.slots.get() else {
            return false;
        };
        let identity = identity(page, mark);
        let found = group(slots, page).iter().map(|slot| slot.load(Ordering::Relaxed));
        let mut found = found.filter(|found| found & !TIME == identity);
        found
            .next()
            .is_some_and(|found| (now / 1000).wrapping_sub(found) & TIME <= seconds)
    }

    /// As [`take`](Self::take), with the mark of a page to which this one has [led](PageMark::Led).
    pub fn take_led(&self, page: VisitorPage, mark: PageMark, now: u64) -> bool {
        let Some(slots) = self.slots.get() else {
            return false;
        };
        let pairs = identity(VisitorPage { path: 0, ..page }, PageMark::Led);
        group(slots, page).iter().any(|slot| {
            let found = slot.load(Ordering::Relaxed);
            let pair = VisitorPage {
                path: (found >> 32) as u32,
                ..page
            };
            found & !TIME & u64::from(u32::MAX) == pairs && self.take(page.beside(pair), mark, now)
        })
    }

    /// Takes a page's mark away. Whether there was one that still held. Of two threads only one gets it.
    pub fn take(&self, page: VisitorPage, mark: PageMark, now: u64) -> bool {
        self.take_within(page, mark, mark.lasts(), now)
    }

    /// As [`take`](Self::take), of a mark that holds only so many seconds, as the clock's full ones count.
    pub fn take_within(&self, page: VisitorPage, mark: PageMark, seconds: u64, now: u64) -> bool {
        let Some(slots) = self.slots.get() else {
            return false;
        };
        let identity = identity(page, mark);
        let now = now / 1000;
        for slot in group(slots, page) {
            let found = slot.load(Ordering::Relaxed);
            if found & !TIME == identity {
                let age = now.wrapping_sub(found) & TIME;
                return slot
                    .compare_exchange(found, 0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                    && age <= seconds;
            }
        }
        false
    }
}

fn group(slots: &[AtomicU64], page: VisitorPage) -> &[AtomicU64] {
    let start = page.visitor as usize % MarkedPages::GROUPS * MarkedPages::PLACES;
    &slots[start..start + MarkedPages::PLACES]
}

/// All bits of a mark but its time.
fn identity(page: VisitorPage, mark: PageMark) -> u64 {
    let visitor = u64::from(page.visitor >> 21);
    u64::from(page.path) << 32 | visitor << 21 | mark.code() << 17
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_687_200_000;

    fn page(visitor: u8, path: &str) -> VisitorPage {
        VisitorPage::new([203, 0, 113, visitor].into(), b"UA", b"a.test", path.as_bytes())
    }

    #[test]
    fn a_mark_is_taken_once_by_its_own_visitor_and_page() {
        let pages = MarkedPages::new();
        assert!(pages.is_unused());
        pages.mark(page(1, "/a"), PageMark::Prefetched, NOW);
        assert!(!pages.is_unused());
        assert!(!pages.take(page(2, "/a"), PageMark::Prefetched, NOW));
        assert!(!pages.take(page(1, "/b"), PageMark::Prefetched, NOW));
        assert!(!pages.take(page(1, "/a"), PageMark::CountedAhead, NOW));
        assert!(pages.take(page(1, "/a"), PageMark::Prefetched, NOW + 1000));
        assert!(!pages.take(page(1, "/a"), PageMark::Prefetched, NOW + 1000));
    }

    #[test]
    fn a_mark_ends_with_its_time() {
        let pages = MarkedPages::new();
        for (mark, lasts) in [(PageMark::Prefetched, 300_000), (PageMark::Announced, 30_000)] {
            pages.mark(page(1, "/a"), mark, NOW);
            assert!(pages.take(page(1, "/a"), mark, NOW + lasts));
            pages.mark(page(1, "/a"), mark, NOW);
            assert!(!pages.take(page(1, "/a"), mark, NOW + lasts + 2000));
        }
        // Fetched again, it begins anew.
        pages.mark(page(1, "/a"), PageMark::Prefetched, NOW);
        pages.mark(page(1, "/a"), PageMark::Prefetched, NOW + 200_000);
        assert!(pages.take(page(1, "/a"), PageMark::Prefetched, NOW + 400_000));
        assert!(!pages.take(page(1, "/a"), PageMark::Prefetched, NOW + 400_000));
    }

    #[test]
    fn a_mark_is_looked_at_and_stays() {
        let pages = MarkedPages::new();
        assert!(!pages.holds(page(1, "/a"), PageMark::JustAsked, NOW));
        pages.mark(page(1, "/a"), PageMark::JustAsked, NOW);
        for _ in 0..2 {
            assert!(pages.holds(page(1, "/a"), PageMark::JustAsked, NOW + 30_000));
        }
        assert!(!pages.holds(page(1, "/b"), PageMark::JustAsked, NOW));
        assert!(!pages.holds(page(1, "/a"), PageMark::Prefetched, NOW));
        assert!(!pages.holds(page(1, "/a"), PageMark::JustAsked, NOW + 32_000));
    }

    /// As Next.js was recorded on a busy machine: the click on a page, and the rest of it ahead more than five seconds
    /// later.
    #[test]
    fn what_comes_in_pieces_comes_too_late_for_longer() {
        let pages = MarkedPages::new();
        pages.mark(page(1, "/a"), PageMark::JustAsked, NOW);
        for (later, at_once, in_pieces) in [(5000, true, true), (7000, false, true), (32_000, false, false)] {
            let is_late = |pieces| pages.comes_too_late(page(1, "/a"), pieces, NOW + later);
            assert_eq!((is_late(false), is_late(true)), (at_once, in_pieces), "{later}");
        }
        // Unless the visitor goes on from there.
        pages.take(page(1, "/a"), PageMark::JustAsked, NOW);
        assert!(!pages.comes_too_late(page(1, "/a"), true, NOW));
    }

    #[test]
    fn a_page_that_led_to_another_stands_for_it() {
        let pages = MarkedPages::new();
        let (old, new) = (page(1, "/old"), page(1, "/new"));
        pages.mark(old.beside(new), PageMark::Led, NOW);
        assert!(!pages.take_led(old, PageMark::Prefetched, NOW));
        pages.mark(new, PageMark::Prefetched, NOW);
        assert!(!pages.take_led(page(2, "/old"), PageMark::Prefetched, NOW));
        assert!(!pages.take_led(page(1, "/a"), PageMark::Prefetched, NOW));
        assert!(pages.take_led(old, PageMark::Prefetched, NOW));
        assert!(!pages.take_led(old, PageMark::Prefetched, NOW));
        assert!(!pages.take(new, PageMark::Prefetched, NOW));
    }

    #[test]
    fn a_full_group_loses_its_oldest_marks() {
        let pages = MarkedPages::new();
        let paths: Vec<String> = (0..=MarkedPages::PLACES).map(|n| format!("/{n}")).collect();
        for (second, path) in paths.iter().enumerate() {
            pages.mark(page(1, path), PageMark::Prefetched, NOW + 1000 * second as u64);
        }
        let now = NOW + 60_000;
        assert!(!pages.take(page(1, &paths[0]), PageMark::Prefetched, now));
        for path in &paths[1..] {
            assert!(pages.take(page(1, path), PageMark::Prefetched, now), "{path}");
        }
    }
}
