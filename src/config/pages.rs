//! `[pages]`: the rules that decide, and the query parameters that an event's url keeps.

use std::{fmt::Display, time::Duration};

use crate::{
    event::QueryRule,
    page::{Bots, CountMode, DOWNLOADS, Glob, PageRules, PrefetchMode},
    tracker,
};

use super::{
    mistake::{Mistake, Origin},
    parse,
    reader::{KeyReader, each},
    value::{self, TypedValue},
};

/// The longest time that a page may wait for the tracker script: what waits is bounded.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Resolves the table.
pub(super) fn resolve(r: &mut KeyReader<'_>, tracker: &tracker::Settings) -> (PageRules, QueryRule) {
    let count = count(r, tracker);
    let include = r.list("pages.include", |t| t.parse().map_err(display));
    if include.is_empty() {
        let problem = "nothing would be counted; [\"/**\"] is every page, and count = \"never\" counts none";
        let origin = r.origin("pages.include").clone();
        r.mistakes
            .push(Mistake::value(&origin, "pages.include", "[]", problem));
    }
    let exclude: Vec<Glob> = r.list("pages.exclude", |t| t.parse().map_err(display));
    if exclude.contains(&Glob::all()) {
        let problem = "no page is counted; count = \"never\" says so, too";
        let origin = r.origin("pages.exclude").clone();
        r.warnings.push(Mistake::value(
            &origin,
            "pages.exclude",
            value::quote("/**"),
            problem,
        ));
    }
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

fn count(r: &mut KeyReader<'_>, tracker: &tracker::Settings) -> CountMode {
    let wait = r.text("pages.tracker_wait", |t, _| {
        let wait = parse::duration(t)?;
        if wait > LONGEST_WAIT {
            return Err("a time up to \"5m\" is wanted".to_owned());
        }
        Ok(wait)
    });
    let counts = [
        ("always", CountMode::Always),
        ("never", CountMode::Never),
        ("untracked", CountMode::Untracked(wait)),
    ];
    let count = r.text("pages.count", |t, _| parse::word(t, &counts));
    if matches!(count, CountMode::Untracked(_)) && tracker.event.is_none() && tracker.pixel.is_none() {
        let problem = "count = \"untracked\" counts the pages that the tracker script does not: it has to post its \
                       events here, by tracker.event";
        r.clash("pages.count", "tracker.event", problem);
    }
    let scripted = tracker.script.is_some() || tracker.event.is_some();
    if scripted && *r.origin("pages.count") == Origin::Default {
        // The script counts its pages by itself.
        if tracker.event.is_none() {
            // Nobody here learns which: twice is worse than without those who block it.
            r.show("pages.count", value::quote("never"));
            return CountMode::Never;
        }
        r.show("pages.count", value::quote("untracked"));
        return CountMode::Untracked(wait);
    }
    count
}

fn display(error: impl Display) -> String {
    error.to_string()
}
