//! The tables, and how a user agent is read by them.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind};

use super::bot::{Bot, BotKind, OTHER, TableLine};
use super::place::Place;
use super::shape;

pub(super) struct Tables {
    /// The texts of `known.txt` and `words.txt`.
    texts: AhoCorasick,
    /// What each of `texts` means, by its number.
    meanings: Vec<Meaning>,
    marks: AhoCorasick,
}

struct Meaning {
    clue: Clue,
    place: Place,
    /// Counts only at the user agent's end.
    at_end: bool,
    /// Counts beside a phone's browser too, as a product: with a version.
    beside_phones: bool,
    /// Who it is if this line decides.
    bot: Bot,
}

#[derive(Clone, Copy)]
enum Clue {
    /// A line of `known.txt`.
    Known,
    /// A general word that counts where it ends a word.
    Word,
    /// A general word that counts with any ending.
    Stem,
    /// An address, or another text that no browser has.
    Sure,
    /// No clue, and neither is what is inside it.
    Never,
}

static MAILBOX: Bot = Bot {
    name: OTHER,
    kind: BotKind::Other,
    why: "The user agent has a mailbox to complain to; no browser has one.",
    line: None,
};

static COMPATIBLE: Bot = Bot {
    name: OTHER,
    kind: BotKind::Other,
    why: "Behind a browser's user agent there is the name of something that is compatible with it.",
    line: None,
};

static BEHIND: Bot = Bot {
    name: OTHER,
    kind: BotKind::Other,
    why: "Behind a computer's browser and a semicolon there is another name; browsers write none there.",
    line: None,
};

static UNMARKED: Bot = Bot {
    name: OTHER,
    kind: BotKind::Tool,
    why: "The user agent has no mark of a browser.",
    line: None,
};

static IMPOSSIBLE: Bot = Bot {
    name: OTHER,
    kind: BotKind::Other,
    why: "The user agent claims a version of a browser that does not exist.",
    line: None,
};

impl Tables {
    pub(super) fn build() -> Self {
        let known = lines(include_str!("known.txt")).map(Meaning::of_known);
        let words = lines(include_str!("words.txt")).map(Meaning::of_word);
        let (texts, meanings): (Vec<_>, Vec<_>) = known.chain(words).unzip();
        Tables {
            texts: automaton(&texts, MatchKind::LeftmostLongest),
            meanings,
            marks: automaton(
                &lines(include_str!("marks.txt")).collect::<Vec<_>>(),
                MatchKind::LeftmostFirst,
            ),
        }
    }

    /// The bot, or `None` for a person's browser.
    pub(super) fn recognise(&'static self, agent: &[u8]) -> Option<&'static Bot> {
        let (mut sure, mut word, mut is_product) = (None, None, false);
        let mut from = 0;
        while let Some(hit) = self
            .texts
            .find(Input::new(agent).span(from..agent.len()).anchored(Anchored::No))
        {
            let meaning = &self.meanings[hit.pattern().as_usize()];
            let is_out_of_place = !meaning.place.is_at(agent, hit.start(), hit.end())
                || (meaning.at_end && hit.end() != agent.len())
                || (matches!(meaning.clue, Clue::Word) && !ends_a_word(agent, hit.end()));
            if is_out_of_place {
                from = hit.start() + 1;
                continue;
            }
            match meaning.clue {
                Clue::Known => return Some(&meaning.bot),
                Clue::Sure => sure = sure.or(Some(&meaning.bot)),
                Clue::Word | Clue::Stem if !is_in_model(agent, hit.start()) => {
                    word = word.or(Some(&meaning.bot));
                    is_product |= meaning.beside_phones && is_a_product(agent, hit.end());
                }
                Clue::Word | Clue::Stem | Clue::Never => {}
            }
            from = hit.end();
        }
        if sure.is_some() {
            return sure;
        }
        if names_a_mailbox(agent) {
            return Some(&MAILBOX);
        }
        if is_compatible_with_itself(agent) {
            return Some(&COMPATIBLE);
        }
        if shape::has_a_name_behind(agent) {
            return Some(&BEHIND);
        }
        if word.is_some() && (is_product || !is_phone_browser(agent)) {
            return word;
        }
        if !self.marks.is_match(agent) {
            return Some(&UNMARKED);
        }
        shape::has_impossible_version(agent).then_some(&IMPOSSIBLE)
    }
}

impl Meaning {
    /// A line of `known.txt`: the text to look for, and what it means.
    fn of_known(line: &'static str) -> (&'static str, Self) {
        let (entry, rest) = line.split_once(" | ").unwrap_or((line, ""));
        let (text, name) = entry.split_once(" = ").unwrap_or((entry, ""));
        let (place, text) = Place::of_text(text);
        let (at_end, text) = text.strip_suffix('$').map_or((false, text), |t| (true, t));
        let bot = Bot {
            name: if name.is_empty() {
                text.trim_end_matches(['/', ' '])
            } else {
                name
            },
            kind: kind_of(rest),
            why: "The user agent is a known crawler's or tool's.",
            line: Some(TableLine {
                table: "known.txt",
                text: line,
            }),
        };
        let meaning = Meaning {
            clue: Clue::Known,
            place,
            at_end,
            beside_phones: false,
            bot,
        };
        (text, meaning)
    }

    /// A line of `words.txt`: the text to look for, and what it means.
    fn of_word(line: &'static str) -> (&'static str, Self) {
        let (entry, rest) = line.split_once(" | ").unwrap_or((line, ""));
        let (sign, text) = entry.split_at(1);
        let (clue, text) = match (sign, text.strip_suffix('*')) {
            ("+" | "&", Some(stem)) => (Clue::Stem, stem),
            ("+" | "&", None) => (Clue::Word, text),
            ("!", _) => (Clue::Sure, text),
            _ => (Clue::Never, text),
        };
        let bot = Bot {
            name: OTHER,
            kind: kind_of(rest),
            why: "The user agent is a crawler's or a tool's.",
            line: Some(TableLine {
                table: "words.txt",
                text: line,
            }),
        };
        let meaning = Meaning {
            clue,
            place: Place::Anywhere,
            at_end: false,
            beside_phones: sign == "&",
            bot,
        };
        (text, meaning)
    }
}

/// The kind at the start of what follows a line's text.
fn kind_of(rest: &str) -> BotKind {
    let label = rest.split_once(" | ").map_or(rest, |(label, _)| label);
    BotKind::of(label).unwrap_or(BotKind::Other)
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
pub(super) fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|l| !l.is_empty() && !l.starts_with('#'))
}

/// Whether a word ends here: `bot/`, `bot;`, `bot)`, not the `bot` of `Botswana`.
fn ends_a_word(agent: &[u8], end: usize) -> bool {
    !agent.get(end).is_some_and(u8::is_ascii_alphabetic)
}

/// Whether what ends here is a product's name behind the first brackets: `Foobot/1.0`, `Foocrawler/1.0`.
fn is_a_product(agent: &[u8], end: usize) -> bool {
    let rest = &agent[end..];
    let rest = rest.strip_prefix(b"er").unwrap_or(rest);
    let has_slash = agent[..end].ends_with(b"/");
    let version = if has_slash {
        Some(rest)
    } else {
        rest.strip_prefix(b"/")
    };
    version.is_some_and(|v| v.first().is_some_and(u8::is_ascii_digit))
        && first_brackets(agent).is_some_and(|(brackets, start)| end > start + brackets.len())
}

/// Whether a place is inside the device's model, which Android puts between the first brackets. Makers call
/// their phones `M bot 51` and `Spider 4`; a crawler says `compatible;` there.
fn is_in_model(agent: &[u8], at: usize) -> bool {
    let Some((brackets, start)) = first_brackets(agent) else {
        return false;
    };
    let before = at.checked_sub(start).and_then(|len| brackets.get(..len));
    before.is_some_and(|before| has(before, b"android")) && !has(brackets, b"compatible;")
}

/// Whether this is a phone's or tablet's browser with all its parts. The rest of such a user agent names the
/// app that shows the page, and apps have names like `CamScanner`. A crawler that poses as a phone says
/// `compatible;`.
fn is_phone_browser(agent: &[u8]) -> bool {
    let Some((brackets, _)) = first_brackets(agent).filter(|_| agent.starts_with(b"Mozilla/5.0 (")) else {
        return false;
    };
    let is_phone = [&b"android"[..], b"iphone", b"ipad", b"ipod"]
        .iter()
        .any(|name| has(brackets, name));
    let is_whole = (has(agent, b"applewebkit/") && (has(agent, b" mobile") || has(agent, b" safari/")))
        || (has(agent, b" gecko/") && has(agent, b" firefox/"));
    is_phone && is_whole && !has(agent, b"compatible;")
}

/// What is between the first brackets, and where it starts.
fn first_brackets(agent: &[u8]) -> Option<(&[u8], usize)> {
    let start = memchr::memchr(b'(', agent)? + 1;
    let rest = &agent[start..];
    let end = memchr::memchr(b')', rest).unwrap_or(rest.len());
    Some((&rest[..end], start))
}

/// Whether a text contains another, which is in lower case.
fn has(text: &[u8], lower: &[u8]) -> bool {
    text.windows(lower.len()).any(|w| w.eq_ignore_ascii_case(lower))
}

/// Whether `compatible;` follows `like Gecko`. Browsers that are compatible say so first, and then they are like
/// nothing else. An exception are two whole user agents in one, which old versions of Internet Explorer sent.
fn is_compatible_with_itself(agent: &[u8]) -> bool {
    let after = |text: &'_ [u8], lower: &[u8]| {
        let at = text
            .windows(lower.len())
            .position(|w| w.eq_ignore_ascii_case(lower))?;
        Some(at + lower.len())
    };
    after(agent, b"like gecko")
        .and_then(|at| Some((at, after(&agent[at..], b"compatible;")?)))
        .is_some_and(|(at, name)| !agent[at + name..].trim_ascii_start().starts_with(b"MSIE"))
}

/// Whether there is a mailbox: `name@host.tld`. Browsers and their apps write an `@` only before a version.
fn names_a_mailbox(agent: &[u8]) -> bool {
    memchr::memchr_iter(b'@', agent).any(|at| {
        let host = &agent[at + 1..];
        let len = host
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')));
        let host = &host[..len.unwrap_or(host.len())];
        let host = host.strip_suffix(b".").unwrap_or(host);
        let has_name = at
            .checked_sub(1)
            .is_some_and(|i| agent[i].is_ascii_alphanumeric());
        let top = host.rsplit(|b| *b == b'.').next().unwrap_or_default();
        has_name
            && host.first().is_some_and(u8::is_ascii_alphabetic)
            && top.len() < host.len()
            && top.len() >= 2
            && top.iter().all(u8::is_ascii_alphabetic)
    })
}
