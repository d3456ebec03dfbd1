//! What the response says, and what comes of it all.

use crate::facts::Response;

use super::ahead::{Candidate, File};
use super::decision::Decision;
use super::rules::Rules;

/// What was decided, and what is sent for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The reason, a sentence for the operator; it holds nothing of the request.
    pub why: &'static str,
    /// The event, if any.
    pub event: Option<What<'static>>,
}

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A page was shown.
    PageView,
    /// A 404 page was shown.
    NotFound,
    /// A file was downloaded.
    Download,
    /// A bot of this name fetched a page.
    Bot(&'a str),
}

/// Reads the final response to what [`ahead`](super::ahead()) left open.
pub fn verdict(rules: &Rules, candidate: &Candidate, response: &Response<'_>) -> Verdict {
    let verdict = by_response(rules, candidate, response);
    let Some(name) = candidate.bot else {
        return verdict;
    };
    match verdict.event {
        Some(What::PageView) => Verdict {
            decision: Decision::Bot,
            why: "A bot fetched a page; it is counted for the bots' domain.",
            event: Some(What::Bot(name)),
        },
        _ => silent(Decision::Bot, "A bot, and what it fetched is no page."),
    }
}

/// The client left before the response's head reached it.
pub fn aborted() -> Verdict {
    silent(Decision::Aborted, "The client left before the response's head.")
}

/// The page was counted already, by the other of a service worker's two requests ([`Pairs`](super::Pairs)).
pub fn repeated() -> Verdict {
    silent(
        Decision::NotPage,
        "A service worker's second request for a page that is counted already.",
    )
}

/// Deciding failed, by a fault of gatecount's own. The request goes on all the same.
pub fn failed() -> Verdict {
    silent(
        Decision::Excluded,
        "The rules failed over this request, by a fault of gatecount's own.",
    )
}

fn silent(decision: Decision, why: &'static str) -> Verdict {
    Verdict {
        decision,
        why,
        event: None,
    }
}

fn by_response(rules: &Rules, candidate: &Candidate, response: &Response<'_>) -> Verdict {
    let event = |event, asked: bool| asked.then_some(event);
    match response.status {
        // Nothing is shown, or a part of what is there already.
        204 | 205 => silent(
            Decision::NotPage,
            "The response has no content: the browser stays where it is.",
        ),
        206 => silent(Decision::NotPage, "A part of a file (206)."),
        200..=299 if candidate.saved || response.attachment => Verdict {
            decision: Decision::Download,
            why: "A file to be saved.",
            event: event(What::Download, candidate.is_download()),
        },
        200..=299 if response.is_document() => Verdict {
            decision: Decision::Counted,
            why: "A navigation answered with a document.",
            event: Some(What::PageView),
        },
        200..=299 if candidate.file == File::Download => Verdict {
            decision: Decision::Download,
            why: "A file with an extension of downloads.",
            event: event(What::Download, candidate.is_download()),
        },
        200..=299 => silent(
            Decision::NotHtml,
            "The response is no document, by its Content-Type.",
        ),
        304 if candidate.post => silent(Decision::NotHtml, "A 304 tells nothing of a POST."),
        304 if candidate.saved || candidate.file == File::Download => {
            silent(Decision::Download, "A file the browser has already (304).")
        }
        304 if candidate.file == File::Yes => {
            silent(Decision::NotHtml, "A 304, and the path's extension is no page's.")
        }
        304 => Verdict {
            decision: Decision::Counted,
            why: "A navigation shown from the browser's cache (304).",
            event: Some(What::PageView),
        },
        300..=399 => silent(Decision::Redirect, "A redirect: its target is the page."),
        404 => Verdict {
            decision: Decision::NotFound,
            why: "Not found (404).",
            event: event(
                What::NotFound,
                rules.not_found && !candidate.saved && response.is_document(),
            ),
        },
        _ => silent(Decision::ErrorStatus, "The response is an error."),
    }
}

impl Candidate {
    /// The tracker counts a click on a link to such a file, so a form's answer is none.
    fn is_download(&self) -> bool {
        self.file == File::Download && !self.post
    }
}

#[cfg(test)]
mod tests;
