//! Which requests are not a person's browser: crawlers, tools, monitors, headless browsers. The tables beside
//! this file are data; the form of each is at its top, and CONTRIBUTING.md says how they are kept up to date:
//!
//! | table | contents |
//! | --- | --- |
//! | `known.txt` | crawlers and tools by name, with their kind, their source and its date |
//! | `words.txt` | general words (`bot`, `crawl`) and addresses, and where such a text means nothing |
//! | `marks.txt` | marks of a browser; a user agent without any is a tool's |
//!
//! A user agent is read once, from the left. The first line of `known.txt` that is found gives the name. Else
//! it is [`OTHER`] if it has a general word, an address or a mailbox, no mark of a browser, another name behind a
//! whole browser's, or an impossible version. Beside it count `Signature-Agent`, `From` and `Sec-CH-UA`.
//!
//! There is no list of whole user agents that overrules these rules.

mod bot;
mod memo;
mod place;
mod shape;
mod tables;

use std::cell::RefCell;
use std::sync::LazyLock;

use crate::facts::RequestFacts;

use memo::Memo;
use tables::Tables;

pub use bot::{Bot, BotKind, OTHER, TableLine};

static NO_AGENT: Bot = Bot {
    name: "No user agent",
    kind: BotKind::Other,
    why: "There is no user agent; every browser sends one.",
    line: None,
};

static DECLARED: Bot = Bot {
    name: OTHER,
    kind: BotKind::Other,
    why: "The client says that it is a bot, by Signature-Agent or From.",
    line: None,
};

static HEADLESS: Bot = Bot {
    name: "Headless Chrome",
    kind: BotKind::Tool,
    why: "The browser says that it is headless, by Sec-CH-UA.",
    line: None,
};

/// The bot that a request is from, or `None` for what looks like a person's browser.
pub fn of_request(request: &RequestFacts<'_>) -> Option<&'static Bot> {
    if let Some(bot) = recognise(request.user_agent) {
        return Some(bot);
    }
    if request.declared_bot {
        return Some(&DECLARED);
    }
    request
        .brands
        .is_some_and(shape::says_headless)
        .then_some(&HEADLESS)
}

/// The bot of a user agent, or `None` for what looks like a person's browser.
pub fn recognise(user_agent: Option<&[u8]>) -> Option<&'static Bot> {
    let Some(agent) = user_agent.map(<[u8]>::trim_ascii).filter(|a| !a.is_empty()) else {
        return Some(&NO_AGENT);
    };
    MEMO.with_borrow_mut(|memo| memo.recall(agent, |agent| TABLES.recognise(agent)))
}

thread_local! {
    /// The answer depends on the user agent alone, and a site's visitors have few different ones.
    static MEMO: RefCell<Memo> = RefCell::default();
}

/// Builds the tables before the first request needs them.
pub fn warm_up() {
    LazyLock::force(&TABLES);
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::build);

#[cfg(test)]
mod tests;
