//! What was said of the last user agents, so that a browser is looked up once and not with each of its pages.

/// Places for answers: far more than the versions of browsers that a site sees in an hour.
const SLOTS: usize = 256;
/// The longest user agent that is kept, in bytes. So a memo holds 140 KiB at the most, and 40 KiB where it sees browsers.
const LONGEST: usize = 512;

/// Answers by user agent, each in the one place that its checksum gives, where the next with that place replaces it.
#[derive(Debug)]
pub(super) struct Memo {
    slots: Vec<Slot>,
    /// The place that was last looked into: a page's requests come in a row.
    last: usize,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    agent: Vec<u8>,
    name: Option<&'static str>,
}

impl Default for Memo {
    fn default() -> Self {
        Memo {
            slots: vec![Slot::default(); SLOTS],
            last: 0,
        }
    }
}

impl Memo {
    /// The answer for a user agent, which is not empty; `read` finds it where it is not kept.
    pub(super) fn recall(
        &mut self,
        agent: &[u8],
        read: impl FnOnce(&[u8]) -> Option<&'static str>,
    ) -> Option<&'static str> {
        if agent.len() > LONGEST {
            return read(agent);
        }
        if self.slots[self.last].agent == agent {
            return self.slots[self.last].name;
        }
        self.last = crc32c::crc32c(agent) as usize % SLOTS;
        let slot = &mut self.slots[self.last];
        if slot.agent != agent {
            slot.name = read(agent);
            slot.agent.clear();
            slot.agent.reserve_exact(agent.len());
            slot.agent.extend_from_slice(agent);
        }
        slot.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_once_and_never_taken_for_anothers() {
        let mut memo = Memo::default();
        let mut found = 0;
        for round in 0..3 {
            for agent in ["a/1", "b/1", "c/1"] {
                let name = memo.recall(agent.as_bytes(), |_| {
                    found += 1;
                    (agent != "b/1").then_some("Other")
                });
                assert_eq!(name.is_some(), agent != "b/1", "{agent} in round {round}");
            }
        }
        assert_eq!(found, 3);
        for number in 0..10 * SLOTS {
            let agent = format!("agent/{number}/{}", "x".repeat(number % (LONGEST - 20)));
            let name = memo.recall(agent.as_bytes(), |read| {
                assert_eq!(read, agent.as_bytes());
                (number % 2 == 0).then_some("Other")
            });
            assert_eq!(name.is_some(), number % 2 == 0);
        }
        let kept: usize = memo.slots.iter().map(|slot| slot.agent.capacity()).sum();
        assert!(kept <= SLOTS * LONGEST);
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut memo = Memo::default();
        let long = vec![b'a'; LONGEST + 1];
        let mut found = 0;
        for _ in 0..2 {
            memo.recall(&long, |_| {
                found += 1;
                None
            });
        }
        assert_eq!(found, 2);
        assert!(memo.slots.iter().all(|slot| slot.agent.is_empty()));
    }
}
