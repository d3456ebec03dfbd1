//! The story as text for people, short enough to forward.

use std::fmt::Write;

use crate::config::DecisionRules;

use super::{request::Case, story::Story};

/// Four parts: who the client is, the decision, what the app gets, what Plausible gets.
pub(super) fn tell(rules: &DecisionRules, case: &Case, story: &Story) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, rules, case, story);
    out
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
    match &story.domain {
        Some(domain) => writeln!(out, "  - the host belongs to {domain}")?,
        None if rules.any_site => writeln!(out, "  - no [[sites]] has this host")?,
        None => writeln!(
            out,
            "  - no site is configured: --domain, or [[sites]] in the file"
        )?,
    }

    writeln!(out, "\nThe app gets:")?;
    for (name, value) in &story.to_app {
        writeln!(out, "  {name}: {value}")?;
    }

    if story.events.is_empty() {
        return writeln!(out, "\nPlausible gets: nothing");
    }
    writeln!(out, "\nPlausible gets:")?;
    for event in &story.events {
        for (name, value) in &event.headers {
            writeln!(out, "  {name}: {value}")?;
        }
        writeln!(out, "  {}", event.body.get())?;
    }
    Ok(())
}
