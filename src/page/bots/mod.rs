//! Who asks without being a person's browser, told by the user agent alone: crawlers, tools, monitors, headless
//! browsers. The tables beside this file are data, each with its form at the top:
//!
//! | table | holds |
//! | --- | --- |
//! | `known.txt` | crawlers and tools by name |
//! | `words.txt` | general words (`bot`, `crawl`, an address) and where such a word means nothing |
//! | `marks.txt` | marks of a browser: whoever has none is a tool |
//! | `listed.txt` | whole user agents that count as a person's, whatever the rest says |
//!
//! A user agent is read once, from the left: the first line of `known.txt` found gives the name, else any general word,
//! a mailbox, or the lack of every mark make it [`OTHER`].

mod memo;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind};

use memo::Memo;

/// The name of a bot that no line of the tables names.
pub const OTHER: &str = "Other";

/// The name where no user agent was sent at all.
pub const NONE: &str = "No user agent";

/// The bot's name, or `None` for what looks like a person's browser.
pub fn recognise(user_agent: Option<&[u8]>) -> Option<&'static str> {
    let Some(agent) = user_agent.map(<[u8]>::trim_ascii).filter(|a| !a.is_empty()) else {
        return Some(NONE);
    };
    MEMO.with_borrow_mut(|memo| memo.recall(agent, |agent| TABLES.recognise(agent)))
}

thread_local! {
    /// The answer depends on the user agent alone, and a site's visitors have few of them.
    static MEMO: RefCell<Memo> = RefCell::default();
}

/// Builds the tables before the first request needs them.
pub fn warm_up() {
    LazyLock::force(&TABLES);
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::build);

struct Tables {
    texts: AhoCorasick,
    /// What each of `texts` means, by its number.
    meanings: Vec<Meaning>,
    marks: AhoCorasick,
    listed: HashSet<&'static [u8]>,
}

#[derive(Clone, Copy)]
struct Meaning {
    sign: Sign,
    /// Counts at the user agent's start alone.
    start: bool,
    /// Counts at its end alone.
    end: bool,
}

#[derive(Clone, Copy)]
enum Sign {
    /// A line of `known.txt`, with the bot's name.
    Known(&'static str),
    /// A general word.
    Word,
    /// An address: a general word that counts in a device's model, too.
    Address,
    /// No sign, and what is inside it is none either.
    Never,
}

impl Tables {
    fn build() -> Self {
        let mut texts = Vec::new();
        let mut meanings = Vec::new();
        for line in lines(include_str!("known.txt")) {
            let (text, name) = line.split_once(" = ").unwrap_or((line, ""));
            let (start, text) = text.strip_prefix('^').map_or((false, text), |t| (true, t));
            let (end, text) = text.strip_suffix('$').map_or((false, text), |t| (true, t));
            let name = if name.is_empty() {
                text.trim_end_matches(['/', ' '])
            } else {
                name
            };
            texts.push(text);
            meanings.push(Meaning {
                sign: Sign::Known(name),
                start,
                end,
            });
        }
        for line in lines(include_str!("words.txt")) {
            let (kind, text) = line.split_at(1);
            let sign = match kind {
                "-" => Sign::Never,
                _ if text.contains("://") => Sign::Address,
                _ => Sign::Word,
            };
            texts.push(text);
            meanings.push(Meaning {
                sign,
                start: false,
                end: false,
            });
        }
        Tables {
            texts: automaton(&texts, MatchKind::LeftmostLongest),
            meanings,
            marks: automaton(
                &lines(include_str!("marks.txt")).collect::<Vec<_>>(),
                MatchKind::LeftmostFirst,
            ),
            listed: lines(include_str!("listed.txt")).map(str::as_bytes).collect(),
        }
    }

    fn recognise(&self, agent: &[u8]) -> Option<&'static str> {
        let name = self.read(agent)?;
        (!self.listed.contains(agent)).then_some(name)
    }

    fn read(&self, agent: &[u8]) -> Option<&'static str> {
        let mut word = false;
        let mut from = 0;
        while let Some(hit) = self
            .texts
            .find(Input::new(agent).span(from..agent.len()).anchored(Anchored::No))
        {
            let meaning = self.meanings[hit.pattern().as_usize()];
            if (meaning.start && hit.start() != 0) || (meaning.end && hit.end() != agent.len()) {
                from = hit.start() + 1;
                continue;
            }
            match meaning.sign {
                Sign::Known(name) => return Some(name),
                Sign::Address => word = true,
                Sign::Word => word |= !in_model(agent, hit.start()),
                Sign::Never => {}
            }
            from = hit.end();
        }
        (word || names_a_mailbox(agent) || self.lacks_marks(agent)).then_some(OTHER)
    }

    /// No browser gives itself away. What is too short to say so (three bytes, a bare number) is not held against it.
    fn lacks_marks(&self, agent: &[u8]) -> bool {
        agent.len() > 3 && !agent.iter().all(u8::is_ascii_digit) && !self.marks.is_match(agent)
    }
}

fn automaton(texts: &[&str], kind: MatchKind) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(kind)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(texts)
        .expect("the tables are part of the program and a test builds them")
}

/// A table's lines without blank ones and comments.
fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|l| !l.is_empty() && !l.starts_with('#'))
}

/// Whether a place is inside the device's model, which Android puts between the first brackets: makers call their
/// phones `M bot 51` and `Spider 4`. A crawler says `compatible;` there.
fn in_model(agent: &[u8], at: usize) -> bool {
    let Some(open) = memchr::memchr(b'(', agent).filter(|open| *open < at) else {
        return false;
    };
    let close = memchr::memchr(b')', &agent[open..]).map_or(agent.len(), |n| open + n);
    let says = |text: &[u8], what: &[u8]| text.windows(what.len()).any(|w| w.eq_ignore_ascii_case(what));
    at < close && says(&agent[open..at], b"android") && !says(&agent[open..close], b"compatible;")
}

/// Whether somebody can be written to: `name@host.tld`. Browsers and their apps put an `@` before versions only.
fn names_a_mailbox(agent: &[u8]) -> bool {
    memchr::memchr_iter(b'@', agent).any(|at| {
        let host = &agent[at + 1..];
        let len = host
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')));
        let host = host[..len.unwrap_or(host.len())].trim_ascii_end();
        let host = host.strip_suffix(b".").unwrap_or(host);
        let named = at
            .checked_sub(1)
            .is_some_and(|i| agent[i].is_ascii_alphanumeric());
        let top = host.rsplit(|b| *b == b'.').next().unwrap_or_default();
        named
            && host.first().is_some_and(u8::is_ascii_alphabetic)
            && top.len() < host.len()
            && top.len() >= 2
            && top.iter().all(u8::is_ascii_alphabetic)
    })
}

#[cfg(test)]
mod tests;
