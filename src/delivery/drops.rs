//! Notices when Plausible drops every event of a domain.

/// So many domains are watched at once; a sidecar seldom has more than a few.
const DOMAINS: usize = 64;
/// So many events in a row are dropped before it is said: where Plausible has recorded none yet, and
/// otherwise.
const DROPS: (u32, u32) = (3, 10);

/// The domains of which Plausible dropped the last events.
#[derive(Debug, Default)]
pub(super) struct DropWatch {
    domains: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    domain: String,
    /// Events dropped in a row.
    drops: u32,
    /// The visitor of the first one.
    visitor: u64,
    /// Whether others' were dropped too. One visitor's may be dropped for the visitor.
    of_several: bool,
    said: bool,
}

impl DropWatch {
    /// Whether no domain is watched. Then a recorded event is no news.
    pub(super) fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// An event was dropped. `any_recorded`: whether Plausible has recorded one since the start. True once it
    /// is time to say that all of this domain's are, and until one is recorded.
    pub(super) fn dropped(&mut self, domain: &str, visitor: u64, any_recorded: bool) -> bool {
        let found = self.domains.iter_mut().find(|watched| watched.domain == domain);
        let Some(watched) = found else {
            if self.domains.len() < DOMAINS {
                self.domains.push(Watched {
                    domain: domain.to_owned(),
                    drops: 1,
                    visitor,
                    of_several: false,
                    said: false,
                });
            }
            return false;
        };
        watched.drops = watched.drops.saturating_add(1);
        watched.of_several |= watched.visitor != visitor;
        let enough = if any_recorded {
            watched.drops >= DROPS.1 && watched.of_several
        } else {
            watched.drops >= DROPS.0
        };
        watched.said |= enough;
        watched.said
    }

    /// An event was recorded. True if it was said that all were dropped.
    pub(super) fn recorded(&mut self, domain: &str) -> bool {
        let found = self.domains.iter().position(|watched| watched.domain == domain);
        found.is_some_and(|index| self.domains.swap_remove(index).said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_of_which_nothing_was_ever_recorded_is_said_soon() {
        let mut watch = DropWatch::default();
        let said = [(); 5].map(|()| watch.dropped("a.example", 1, false));
        assert_eq!(said, [false, false, true, true, true]);
        assert!(watch.recorded("a.example"), "it is over");
        assert!(watch.is_empty() && !watch.recorded("a.example"));
    }

    #[test]
    fn one_visitor_whose_events_are_dropped_says_nothing_of_a_domain_that_works() {
        let mut watch = DropWatch::default();
        assert!((0..100).all(|_| !watch.dropped("a.example", 1, true)));
        assert!(watch.dropped("a.example", 2, true));
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let mut watch = DropWatch::default();
        for n in 0..1_000 {
            watch.dropped(&format!("{n}.example"), 1, false);
        }
        assert_eq!(watch.domains.len(), DOMAINS);
    }
}
