//! The results for recent user agents, so that a browser is looked up once and not for each of its pages.

use super::bot::Bot;

/// The number of results kept: far more than the versions of browsers that a site sees in an hour.
const SLOTS: usize = 256;
/// The longest user agent that is kept, in bytes. So a memo takes at most 140 KiB, and 40 KiB with ordinary
/// browsers.
const MAX_AGENT: usize = 512;

/// Results by user agent. A checksum gives each its slot; a new user agent replaces the one that is there.
#[derive(Debug)]
pub(super) struct Memo {
    slots: Vec<MemoSlot>,
    /// The slot of the last lookup: the requests of one page come in a row.
    last: usize,
}

#[derive(Debug, Clone, Default)]
struct MemoSlot {
    agent: Vec<u8>,
    bot: Option<&'static Bot>,
}

impl Default for Memo {
    fn default() -> Self {
        Memo {
            slots: vec![MemoSlot::default(); SLOTS],
            last: 0,
        }
    }
}

impl Memo {
    /// The result for a user agent that is not empty. `read` finds it if it is not kept.
    pub(super) fn recall(
        &mut self,
        agent: &[u8],
        read: impl FnOnce(&[u8]) -> Option<&'static Bot>,
    ) -> Option<&'static Bot> {
        if agent.len() > MAX_AGENT {
            return read(agent);
        }
        if self.slots[self.last].agent == agent {
            return self.slots[self.last].bot;
        }
        self.last = crc32c::crc32c(agent) as usize % SLOTS;
        let slot = &mut self.slots[self.last];
        if slot.agent != agent {
            slot.bot = read(agent);
            slot.agent.clear();
            slot.agent.reserve_exact(agent.len());
            slot.agent.extend_from_slice(agent);
        }
        slot.bot
    }
}

#[cfg(test)]
mod tests {
    use super::super::bot::BotKind;
    use super::*;

    static SOME: Bot = Bot {
        name: "Other",
        kind: BotKind::Other,
        why: "A test.",
        line: None,
    };

    #[test]
    fn an_answer_is_found_once_and_never_taken_for_anothers() {
        let mut memo = Memo::default();
        let mut found = 0;
        for round in 0..3 {
            for agent in ["a/1", "b/1", "c/1"] {
                let bot = memo.recall(agent.as_bytes(), |_| {
                    found += 1;
                    (agent != "b/1").then_some(&SOME)
                });
                assert_eq!(bot.is_some(), agent != "b/1", "{agent} in round {round}");
            }
        }
        assert_eq!(found, 3);
        for number in 0..10 * SLOTS {
            let agent = format!("agent/{number}/{}", "x".repeat(number % (MAX_AGENT - 20)));
            let bot = memo.recall(agent.as_bytes(), |read| {
                assert_eq!(read, agent.as_bytes());
                (number % 2 == 0).then_some(&SOME)
            });
            assert_eq!(bot.is_some(), number % 2 == 0);
        }
        let kept: usize = memo.slots.iter().map(|slot| slot.agent.capacity()).sum();
        assert!(kept <= SLOTS * MAX_AGENT);
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut memo = Memo::default();
        let long = vec![b'a'; MAX_AGENT + 1];
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
