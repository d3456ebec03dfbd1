//! `[pages]`: the rules that decide, and the query parameters that an event's url keeps.

use std::fmt::Display;

use crate::{
    event::QueryRule,
    page::{Bots, CountMode, DOWNLOADS, PageRules, PrefetchMode},
};

use super::{
    mistake::{Mistake, Origin},
    parse,
    reader::{KeyReader, each},
    value::{self, TypedValue},
};

/// Resolves the table. `scripted`: gatecount serves the tracker script, or takes its events.
pub(super) fn resolve(r: &mut KeyReader<'_>, scripted: bool) -> (PageRules, QueryRule) {
    let counts = [("always", CountMode::Always), ("never", CountMode::Never)];
    let count = r.text("pages.count", |t, _| {
        parse::word_or_later(t, &counts, &["untracked"])
    });
    let count = if scripted && *r.origin("pages.count") == Origin::Default {
        // The script counts each page by itself: twice is worse than without those who block it.
        r.show("pages.count", value::quote("never"));
        CountMode::Never
    } else {
        count
    };
    let include = r.list("pages.include", |t| t.parse().map_err(display));
    if include.is_empty() {
        let problem = "nothing would be counted; [\"/**\"] is every page, and count = \"never\" counts none";
        let origin = r.origin("pages.include").clone();
        r.mistakes
            .push(Mistake::value(&origin, "pages.include", "[]", problem));
    }
    let exclude = r.list("pages.exclude", |t| t.parse().map_err(display));
    let query = r.list("pages.query", |t| match t {
        "" => Err("a query parameter's name or \"*\" is wanted".to_owned()),
        name => Ok(name.to_owned()),
    });
    let prefetch = [
        ("activation", PrefetchMode::Activation),
        ("skip", PrefetchMode::Skip),
        ("count", PrefetchMode::Count),
        ("refuse", PrefetchMode::Refuse),
    ];
    let soft_navigations = r.boolean("pages.soft_navigations");
    let prefetch = r.text("pages.prefetch", |t, _| parse::word(t, &prefetch));
    let bots = r.text("pages.bots", |t, _| match t {
        "skip" => Ok(Bots::Skip),
        "count" => Ok(Bots::Count),
        other => parse::domain(other)
            .map(Bots::Domain)
            .map_err(|_| "\"skip\", \"count\" or a site's name at Plausible is wanted".to_owned()),
    });
    let not_found = r.boolean("pages.not_found");
    let downloads = r.take("pages.downloads", |typed, _, _| match typed {
        TypedValue::Boolean(false) => Ok(None),
        TypedValue::Boolean(true) => Ok(Some(DOWNLOADS.iter().map(|e| (*e).to_owned()).collect())),
        TypedValue::List(items) => each("pages.downloads", items, |item, _| parse::extension(item)).map(Some),
        _ => Err(Vec::new()),
    });
    let rules = PageRules {
        count,
        include,
        exclude,
        soft_navigations,
        prefetch,
        bots,
        mask: r.list("pages.mask", |t| t.parse().map_err(display)),
        ignore_clients: r.list("pages.ignore_clients", parse::range),
        not_found,
        downloads: downloads.flatten(),
        respect_gpc: r.boolean("pages.respect_gpc"),
        exclude_when: r.list("pages.exclude_when", |t| t.parse().map_err(display)),
    };
    let query = if query.iter().any(|name| name == "*") {
        QueryRule::All
    } else {
        QueryRule::Names(query)
    };
    (rules, query)
}

fn display(error: impl Display) -> String {
    error.to_string()
}
