//! What the response tells of a request that may be a page view.

use super::{Candidate, Decision, Rules, ahead::Kind};
use crate::exchange::Response;

/// What a request was, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Why, in a short sentence for whoever runs the site.
    pub why: &'static str,
    /// The event that it makes, if any.
    pub event: Option<What<'static>>,
}

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// A page view.
    PageView,
    /// A page that does not exist: the event `404`.
    NotFound,
    /// A file that was asked for: the event `File Download`.
    Download,
    /// A page view by the bot of this name.
    Bot(&'a str),
}

/// The client left before a response's head reached it.
pub fn aborted() -> Verdict {
    Verdict {
        decision: Decision::Aborted,
        why: "the client left before the response began",
        event: None,
    }
}

/// Settles a candidate by the response's head. A 1xx is no response; the caller waits for the one that follows.
pub fn verdict(rules: &Rules, candidate: &Candidate, response: &Response<'_>) -> Verdict {
    let verdict = of_response(rules, candidate, response);
    match candidate.bot {
        None => verdict,
        Some(name) => Verdict {
            decision: Decision::Bot,
            why: "the user agent is a bot's, a tool's or missing",
            event: verdict
                .event
                .filter(|e| *e == What::PageView)
                .map(|_| What::Bot(name)),
        },
    }
}

fn of_response(rules: &Rules, candidate: &Candidate, response: &Response<'_>) -> Verdict {
    let no = |decision, why| Verdict {
        decision,
        why,
        event: None,
    };
    match response.status {
        204 | 205 => no(
            Decision::NotPage,
            "the response has no content, the page before it stays",
        ),
        206 => no(Decision::NotPage, "the response is a part of a file"),
        200..300 => of_content(candidate, response),
        304 if candidate.kind == Kind::DownloadLink => {
            no(Decision::Download, "a link with download was followed")
        }
        304 if candidate.download => download("a file with a download's extension was asked for", true),
        304 if candidate.post => no(Decision::NotPage, "a POST shows no page from the cache"),
        304 => counted("a navigation, shown from the browser's cache"),
        300..400 => no(Decision::Redirect, "the page is where the redirect leads"),
        404 => Verdict {
            decision: Decision::NotFound,
            why: "the page does not exist",
            event: rules.not_found.then_some(What::NotFound),
        },
        400.. => no(Decision::ErrorStatus, "the response is an error"),
        _ => no(Decision::NotPage, "the connection switched protocols"),
    }
}

fn of_content(candidate: &Candidate, response: &Response<'_>) -> Verdict {
    if candidate.kind == Kind::DownloadLink {
        return download("a link with download was followed", candidate.download);
    }
    if response.attachment {
        return download(
            "the response is an attachment, saved and not shown",
            candidate.download,
        );
    }
    if response.is_document() {
        return counted(if candidate.post {
            "a form that was answered with a page"
        } else {
            "a navigation to a page"
        });
    }
    if candidate.download {
        return download("a file with a download's extension was asked for", true);
    }
    Verdict {
        decision: Decision::NotHtml,
        why: "the response is no HTML document",
        event: None,
    }
}

fn counted(why: &'static str) -> Verdict {
    Verdict {
        decision: Decision::Counted,
        why,
        event: Some(What::PageView),
    }
}

fn download(why: &'static str, is_event: bool) -> Verdict {
    Verdict {
        decision: Decision::Download,
        why,
        event: is_event.then_some(What::Download),
    }
}
