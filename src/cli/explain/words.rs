//! The story as text for people, short enough to forward.

use std::fmt::Write;

use crate::{config::DecisionRules, event::custom::ReportedBy, page::Decision};

use super::{
    request::Case,
    story::{NoStory, Story},
};

/// Four parts: who the client is, the decision, what the app gets, what Plausible gets.
pub(super) fn tell(rules: &DecisionRules, case: &Case, story: &Story) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, rules, case, story);
    out
}

/// What becomes of a request that the proxy refuses.
pub(super) fn tell_refusal(case: &Case, refused: &NoStory) -> String {
    format!(
        "Request: {} {}\n\nDecision: {refused}\n  - gatecount answers it, closes the connection and counts nothing\n\n\
         The app gets: nothing\n\nPlausible gets: nothing\n",
        case.method, case.url
    )
}

fn write(out: &mut String, rules: &DecisionRules, case: &Case, story: &Story) -> std::fmt::Result {
    writeln!(
        out,
        "Request: {} {}, answered {}",
        case.method, story.visited, case.response.status
    )?;
    match &story.client {
        Some(client) if story.client_from == "peer" => writeln!(out, "\nClient: {client}, the peer itself")?,
        Some(client) => writeln!(out, "\nClient: {client}, told by {}", story.client_from)?,
        None => writeln!(out, "\nClient: none")?,
    }
    for step in &story.walk {
        writeln!(out, "  - {step}")?;
    }

    writeln!(out, "\nDecision: {}", story.decision)?;
    writeln!(out, "  - {}", story.why)?;
    if let Some(bot) = &story.bot {
        writeln!(out, "  - it is {}, of the kind {}", bot.name, bot.kind)?;
        if let Some(line) = &bot.line {
            writeln!(out, "  - the line that matched, {line}")?;
        }
    }
    match &story.domain {
        Some(domain) => writeln!(out, "  - the host belongs to {domain}")?,
        None if rules.any_site => writeln!(out, "  - no [[sites]] has this host")?,
        None => writeln!(
            out,
            "  - no site is configured: --domain, or [[sites]] in the file"
        )?,
    }

    for complaint in &story.complaints {
        writeln!(out, "  - {complaint}")?;
    }
    if let Some(script) = &story.script {
        writeln!(out, "\nThe page {script}")?;
    }

    if story.decision == Decision::Dedicated.label() {
        writeln!(out, "\nThe app gets: nothing")?;
    } else {
        writeln!(out, "\nThe app gets:")?;
    }
    for (name, value) in &story.to_app {
        writeln!(out, "  {name}: {value}")?;
    }

    if story.events.is_empty() {
        return writeln!(out, "\nPlausible gets: nothing");
    }
    for (nth, event) in story.events.iter().enumerate() {
        let also = if nth == 0 { "" } else { ", besides" };
        match (event.by, &event.rule) {
            (ReportedBy::Pages, _) => writeln!(out, "\nPlausible gets{also}:")?,
            (ReportedBy::Rule, Some(rule)) => {
                writeln!(out, "\nPlausible gets{also}, by a rule of [[events]], {rule}:")?;
            }
            (ReportedBy::Rule, None) => writeln!(out, "\nPlausible gets{also}, by a rule of [[events]]:")?,
            (ReportedBy::App, _) => writeln!(out, "\nPlausible gets{also}, by the app's word:")?,
        }
        for (name, value) in &event.headers {
            writeln!(out, "  {name}: {value}")?;
        }
        writeln!(out, "  {}", event.body.get())?;
        if let Some(risk) = event.risk.as_ref().filter(|risk| risk.is_general()) {
            writeln!(out, "  - Plausible will probably drop it: {risk}")?;
        }
    }
    if let Some(stream) = &rules.stream {
        writeln!(
            out,
            "\nOn its way it goes through the stream {stream}, from which a gateway delivers it."
        )?;
    }
    if !story.cut.is_empty() {
        writeln!(
            out,
            "\nNot sent, as query of [pages] has them not: {}",
            story.cut.join(", ")
        )?;
    }
    Ok(())
}
