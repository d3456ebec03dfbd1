//! What the response decides, and the verdicts of requests that get none.

use crate::facts::ResponseFacts;

use super::decision::{Decision, EventKind, Verdict};
use super::known::Known;
use super::request::{Ahead, Candidate, PathKind, RequestVerdict};
use super::rules::PageRules;
use super::sniff;
use super::soft::SoftRequest;

/// Decides by the final response what [`judge_request`](super::judge_request) left open. `known` is what
/// settles the [`doubt`](super::doubt()) that may be left.
pub fn judge_response(
    rules: &PageRules,
    candidate: &Candidate,
    response: &ResponseFacts<'_>,
    known: Known<'_>,
) -> Verdict {
    let verdict = by_response(rules, candidate, response, known);
    match candidate.ahead {
        Some(Ahead::Later) => {
            let why = if verdict.event == Some(EventKind::PageView) {
                "The page is fetched ahead. It counts if a request shows that it is shown."
            } else {
                "Fetched ahead, and no page."
            };
            return Verdict::silent(Decision::Prefetch, why);
        }
        Some(Ahead::Now) if verdict.event == Some(EventKind::PageView) => {
            return Verdict {
                why: "The page is fetched ahead, and counted at that (prefetch = \"count\").",
                ..verdict
            };
        }
        _ => {}
    }
    let Some(bot) = candidate.bot else {
        return rules.waiting(verdict);
    };
    match verdict.event {
        Some(EventKind::PageView) => Verdict {
            decision: Decision::Bot,
            why: "A bot fetched a page; it is counted for the bots' domain.",
            event: Some(EventKind::of_bot(bot)),
        },
        _ => Verdict::silent(Decision::Bot, "A bot, and what it fetched is no page."),
    }
}

/// Whether the browser shows the response to such a request as a page, now or later.
pub fn is_shown(
    rules: &PageRules,
    candidate: &Candidate,
    response: &ResponseFacts<'_>,
    known: Known<'_>,
) -> bool {
    by_response(rules, candidate, response, known).event == Some(EventKind::PageView)
}

/// The verdict over a page that a script fetched ahead.
pub fn fetched_ahead(soft: SoftRequest) -> Verdict {
    if soft.is_plain() {
        return Verdict::silent(
            Decision::NotPage,
            "A script fetches a whole page. It counts if a request shows that it is shown.",
        );
    }
    if soft.is_sveltekits() {
        return Verdict::silent(
            Decision::Prefetch,
            "SvelteKit fetches a page, at a click or where its link is pointed at. It counts if a request shows \
             that it is shown.",
        );
    }
    Verdict::silent(
        Decision::Prefetch,
        "A script fetches the page ahead. It counts if a request shows that it is shown.",
    )
}

/// The request shows that a page is shown that was fetched ahead. The event of that page is another one.
pub fn activated() -> Verdict {
    Verdict::silent(
        Decision::Activated,
        "The page that the request comes from was fetched ahead, and now it is shown.",
    )
}

/// The page was counted before its own request: ahead of it, or by another request for the same view.
pub fn counted_ahead() -> Verdict {
    Verdict::silent(
        Decision::NotPage,
        "The page is counted already: it was fetched ahead or announced, or a script or a worker has fetched it too.",
    )
}

/// The client left before it got the response's head.
pub fn aborted(reading: &RequestVerdict) -> Verdict {
    match reading {
        RequestVerdict::Settled(verdict) => *verdict,
        RequestVerdict::Soft(soft) if !soft.is_marked() => {
            Verdict::silent(Decision::NotPage, "A script's request, and no soft navigation.")
        }
        _ => Verdict::silent(Decision::Aborted, "The client left before the response's head."),
    }
}

/// The page was already counted by the other of a service worker's two requests
/// ([`PreloadPairs`](super::PreloadPairs)).
pub fn repeated() -> Verdict {
    Verdict::silent(
        Decision::NotPage,
        "A service worker's second request for a page that is already counted.",
    )
}

/// The app uncounted the response, whose event was to be sent.
pub fn suppressed() -> Verdict {
    Verdict::silent(
        Decision::Suppressed,
        "The app says that it is not to be counted (Gatecount-Page: off).",
    )
}

/// The app amended the response's page view, about which the rules came to `verdict`.
pub fn amended(verdict: &Verdict) -> Verdict {
    match verdict.event {
        Some(EventKind::PageView) => Verdict {
            why: "A page by the rules, of which the app says more (Gatecount-Page).",
            ..*verdict
        },
        // The bots' domain gets the page as the app names it.
        Some(EventKind::Bot { .. }) => *verdict,
        _ => Verdict {
            decision: Decision::Declared,
            why: "The app says that it is a page (Gatecount-Page).",
            event: Some(EventKind::PageView),
        },
    }
}

/// The page was already counted by who else saw it ([`Twins`](super::Twins)).
pub fn seen_twice() -> Verdict {
    Verdict::silent(
        Decision::NotPage,
        "The page is already counted: it was seen both in the request's way and from aside.",
    )
}

/// The page was held, and the tracker script did not count it in time. `decision` is the one that was to be
/// taken.
pub fn untracked(decision: Decision) -> Verdict {
    Verdict {
        decision,
        why: "A page that the tracker script did not report within tracker_wait.",
        event: Some(EventKind::PageView),
    }
}

/// Another report of the same view is counted in this one's place.
pub fn tracked() -> Verdict {
    Verdict::silent(
        Decision::Tracked,
        "The tracker script, or the pixel, reported the same view.",
    )
}

/// Nothing more can be held.
pub fn not_held() -> Verdict {
    Verdict::silent(
        Decision::Tracked,
        "As many pages wait for the tracker script as there is room for: a missed view hurts less than a double \
         one.",
    )
}

/// There is no app that the request could go to.
pub fn no_app() -> Verdict {
    Verdict::silent(
        Decision::NotFound,
        "None of the tracker's paths, and there is no app (app.url).",
    )
}

/// The request is for a path of the tracker, and no page view.
pub fn dedicated() -> Verdict {
    Verdict::silent(
        Decision::Dedicated,
        "A path of the tracker, which gatecount answers itself.",
    )
}

/// The rules panicked. The request itself is not affected.
pub fn failed() -> Verdict {
    Verdict::silent(
        Decision::Excluded,
        "The rules failed over this request, by a fault of gatecount's own.",
    )
}

fn by_response(
    rules: &PageRules,
    candidate: &Candidate,
    response: &ResponseFacts<'_>,
    known: Known<'_>,
) -> Verdict {
    let silent = Verdict::silent;
    let is_document = match known {
        // A type decides in any case.
        Known::BodyStart(body) if response.content_type.is_none() => sniff::is_html(body),
        _ => response.is_document(),
    };
    let event = |event, wanted: bool| wanted.then_some(event);
    match response.status {
        204 | 205 => silent(
            Decision::NotPage,
            "The response has no content: the browser stays where it is.",
        ),
        206 => silent(Decision::NotPage, "A part of a file (206)."),
        200..=299 if candidate.saved || response.attachment => Verdict {
            decision: Decision::Download,
            why: "A file to be saved.",
            event: event(EventKind::Download, candidate.is_download()),
        },
        200..=299 if is_document => Verdict {
            decision: Decision::Counted,
            why: "A navigation answered with a document.",
            event: Some(EventKind::PageView),
        },
        200..=299 if candidate.path == PathKind::Download => Verdict {
            decision: Decision::Download,
            why: "A file with an extension of downloads.",
            event: event(EventKind::Download, candidate.is_download()),
        },
        200..=299 => silent(
            Decision::NotHtml,
            "The response is no document, by its Content-Type.",
        ),
        304 if candidate.post => silent(Decision::NotHtml, "A 304 says nothing about a POST."),
        304 if candidate.saved || candidate.path == PathKind::Download => {
            silent(Decision::Download, "A file that the browser already has (304).")
        }
        304 if response.content_type.is_some() && !is_document => silent(
            Decision::NotHtml,
            "A 304 of what is no document, by its Content-Type.",
        ),
        304 if response.content_type.is_none() && known == Known::LastType(false) => silent(
            Decision::NotHtml,
            "A 304, and what the path's last 200 brought was no document.",
        ),
        304 => Verdict {
            decision: Decision::Counted,
            why: "A navigation shown from the browser's cache (304).",
            event: Some(EventKind::PageView),
        },
        300..=399 => silent(Decision::Redirect, "A redirect: its target is the page."),
        404 => Verdict {
            decision: Decision::NotFound,
            why: "Not found (404).",
            event: event(
                EventKind::NotFound,
                rules.not_found && !candidate.saved && response.is_document(),
            ),
        },
        _ => silent(Decision::ErrorStatus, "The response is an error."),
    }
}

impl Candidate {
    /// Whether it is a download as the tracker counts it, a click on a link. The response to a form does not
    /// count.
    fn is_download(&self) -> bool {
        self.path == PathKind::Download && !self.post
    }
}
