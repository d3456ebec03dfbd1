//! Which user agents are not a person's browser: crawlers, tools, monitors, headless browsers. The tables
//! beside this file are data; the form of each is at its top:
//!
//! | table | contents |
//! | --- | --- |
//! | `known.txt` | crawlers and tools by name |
//! | `words.txt` | general words (`bot`, `crawl`) and addresses, and where such a text means nothing |
//! | `marks.txt` | marks of a browser; a user agent without any is a tool's |
//!
//! A user agent is read once, from the left. The first line of `known.txt` that is found gives the name. Else
//! it is [`OTHER`] if it has a general word, an address or a mailbox, or no mark of a browser.
//!
//! There is no list of whole user agents that overrules these rules.

mod memo;
mod tables;

use std::cell::RefCell;
use std::sync::LazyLock;

use memo::Memo;
use tables::Tables;

pub use tables::OTHER;

/// The name where no user agent was sent.
pub const NONE: &str = "No user agent";

/// The name of a browser without a person that says so in `Sec-CH-UA`.
pub const HEADLESS: &str = "Headless Chrome";

/// The bot's name, or `None` for what looks like a person's browser.
pub fn recognise(user_agent: Option<&[u8]>) -> Option<&'static str> {
    let Some(agent) = user_agent.map(<[u8]>::trim_ascii).filter(|a| !a.is_empty()) else {
        return Some(NONE);
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
