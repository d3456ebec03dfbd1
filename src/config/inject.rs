//! `[tracker] inject`, and the keys that it goes by.

use crate::{delivery::Base, tracker::inject::Settings};

use super::{
    parse::{self, ParseResult},
    reader::KeyReader,
};

/// What is put into pages; `None`: nothing. `plausible` is where the script comes from if its source is a
/// path.
pub(super) fn resolve(r: &mut KeyReader<'_>, plausible: &Base) -> Option<Settings> {
    let script = r.text("tracker.script", |t, _| path(t));
    let source = r.text("tracker.source", |t, _| {
        if t.is_empty() {
            Ok(String::new())
        } else {
            source(t)
        }
    });
    let event = r.text("tracker.event", |t, _| {
        if t.is_empty() { Ok(String::new()) } else { path(t) }
    });
    if !r.boolean("tracker.inject") {
        return None;
    }
    if source.is_empty() {
        let problem = "inject = true puts the tracker script into pages: say where it comes from by tracker.source, \
                       such as \"/js/script.js\"";
        r.clash("tracker.inject", "tracker.source", problem);
    }
    if event.is_empty() {
        let problem = "inject = true puts the tracker script into pages, and without tracker.event nothing takes \
                       what it sends";
        r.clash("tracker.inject", "tracker.event", problem);
    }
    Some(Settings {
        needs_init: Settings::needs_init(&source),
        script,
        event,
        plausible: plausible.host.clone(),
    })
}

/// A path of the site's own hosts.
fn path(text: &str) -> ParseResult<String> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&b);
    if !text.starts_with('/') || text.starts_with("//") || !text.bytes().all(fits) {
        return Err("a path is wanted, such as \"/js/script.js\", without a query".to_owned());
    }
    Ok(text.to_owned())
}

/// Where the script comes from: a path of `[plausible] url`, or a URL.
fn source(text: &str) -> ParseResult<String> {
    let wanted = || "a path of plausible.url is wanted, such as \"/js/script.js\", or a whole URL".to_owned();
    match text.split_once("://") {
        None => path(text).map_err(|_| wanted()),
        Some(_) => match parse::base_url(text) {
            Ok(url) if !url.path.is_empty() => Ok(text.to_owned()),
            _ => Err(wanted()),
        },
    }
}
