//! What would become of visits: a browser's to each site, decided as the proxy decides, and the events that
//! wait in the queue, as Plausible would take them.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    ops::ControlFlow,
};

use crate::{
    config::{Config, DecisionRules},
    event::Event,
    page::Decision,
    plausible::likely_drop,
    queue::{At, inspect},
};

use super::{
    super::explain::{AppResponse, Case, Story},
    report::Report,
};

/// A browser's user agent, for what must not be taken for a bot.
pub(super) const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// The visitor's address: one that is nobody's (RFC 5737).
pub(super) const VISITOR: &str = "203.0.113.7";
/// Waiting events that are looked at.
const MOST: usize = 10_000;

/// The domains at Plausible, each once.
pub(super) fn domains(config: &Config) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for (_, of_site) in config.sites() {
        for domain in of_site {
            if !domains.contains(domain) {
                domains.push(domain.clone());
            }
        }
    }
    domains
}

/// A host of the first site.
pub(super) fn host(config: &Config) -> String {
    let first = config.sites().next();
    first.map_or_else(
        || "localhost".to_owned(),
        |(hosts, domains)| host_of(hosts, domains),
    )
}

/// A host that a site's patterns take.
pub(super) fn host_of(hosts: &[String], domains: &[String]) -> String {
    let plain = hosts.iter().find(|host| !host.contains('*'));
    let below = || {
        Some(format!(
            "www.{}",
            hosts.iter().find_map(|host| host.strip_prefix("*."))?
        ))
    };
    let domain = || {
        domains
            .first()
            .and_then(|domain| domain.split('/').next())
            .unwrap_or("localhost")
    };
    plain
        .cloned()
        .or_else(below)
        .unwrap_or_else(|| domain().to_owned())
}

/// A browser asks each site for `/`.
pub(super) fn of_browsers(
    config: &Config,
    rules: &DecisionRules,
    report: &mut Report<impl Write>,
) -> io::Result<()> {
    let https = config.proxy.as_ref().is_some_and(|proxy| proxy.tls.is_some());
    let scheme = if https { "https" } else { "http" };
    for (hosts, domains) in config.sites() {
        let host = host_of(hosts, domains);
        let url = format!("{scheme}://{host}/");
        let headers = [
            ("User-Agent", BROWSER),
            ("Accept", "text/html"),
            ("Upgrade-Insecure-Requests", "1"),
        ];
        let case = Case {
            peer: VISITOR.parse().map_err(io::Error::other)?,
            method: "GET".to_owned(),
            url: url.clone(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            response: AppResponse::page(),
        };
        let story = match Story::tell(rules, &case) {
            Ok(story) => story,
            Err(why) => {
                report.failed("visit", format!("{url}: {why}"), "correct hosts in [[sites]]")?;
                continue;
            }
        };
        let all = domains.join(", ");
        let risk = story.events.first().and_then(|event| event.risk.as_ref());
        match risk {
            Some(risk) => {
                let advice = format!("see the settings of {all} at Plausible, or correct [[sites]]");
                report.warned(
                    "visit",
                    format!("a browser's visit to {url} counts for {all}, but {risk}"),
                    advice,
                )?;
            }
            None if !story.events.is_empty() => {
                report.passed("visit", format!("a browser's visit to {url} counts for {all}"))?;
            }
            None if story.decision == Decision::Excluded.label() && !config.tracker.is_off() => {
                report.passed(
                    "visit",
                    format!("a browser's visit to {url} is the tracker script's to count"),
                )?;
            }
            None => {
                let said = format!(
                    "a browser's visit to {url} is not counted ({}): {}",
                    story.decision, story.why
                );
                report.warned("visit", said, "see [pages], if that is not meant")?;
            }
        }
    }
    Ok(())
}

/// The events that wait on the disk, by why Plausible would drop them.
pub(super) fn waiting(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let At::Disk(path) = &config.queue.at else {
        return Ok(());
    };
    let mut seen = 0;
    let mut risks: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
    let read = inspect::pending_records(path, &mut |item| {
        seen += 1;
        if let Some(event) = Event::decode(item.record.bytes)
            && let Some(risk) = likely_drop(&event.user_agent, &event.body)
            && risk.is_general()
        {
            let (count, _) = risks
                .entry(risk.label())
                .or_insert_with(|| (0, risk.subject().to_owned()));
            *count += 1;
        }
        if seen < MOST {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    // A queue that is not there or can't be read has its line already.
    if read.is_err() || seen == 0 {
        return Ok(());
    }
    if risks.is_empty() {
        return report.passed(
            "waiting",
            format!("of {seen} waiting events Plausible would drop none, as far as can be told"),
        );
    }
    let told: Vec<String> = risks
        .iter()
        .map(|(label, (count, example))| format!("{count} with {label} ({example})"))
        .collect();
    let said = format!(
        "of {seen} waiting events Plausible will probably drop {}",
        told.join(", ")
    );
    let advice =
        "bots = \"skip\" in [pages] keeps bots out; what Plausible drops is counted as dropped_by_plausible";
    report.warned("waiting", said, advice)
}
