//! Requests that were seen from aside: mirrored ones, of which there is no response, and lines of an access
//! log, which have what their format has.

use std::net::IpAddr;

use crate::facts::{RequestFacts, ResponseFacts, names_document};

use super::decision::{Decision, Verdict};
use super::kind::{RequestKind, kind};
use super::known::Known;
use super::request::{
    Candidate, PathKind, RequestVerdict, ServiceWorker, counts_at_once, extension, judge_kind, judge_soft,
    path_kind,
};
use super::response::judge_response;
use super::rules::PageRules;
use super::soft::{SoftOutcome, SoftPlace, SoftRequest, soft_outcome};

/// What is known of the response to a request that was seen from aside.
#[derive(Clone, Copy, Debug)]
pub enum SeenResponse<'a> {
    /// Nothing.
    Nothing,
    /// Its status, and not its type.
    Status(u16),
    /// Its status and its type, or that it has none.
    Head(ResponseFacts<'a>),
}

impl SeenResponse<'_> {
    /// The status; 0 if it is not known.
    pub fn status(&self) -> u16 {
        match self {
            SeenResponse::Nothing => 0,
            SeenResponse::Status(status) => *status,
            SeenResponse::Head(facts) => facts.status,
        }
    }
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct JudgedFromAside<'a> {
    /// The decision.
    pub verdict: Verdict,
    /// The service worker's part, for [`PreloadPairs`](super::PreloadPairs).
    pub service_worker: Option<ServiceWorker>,
    /// Where the page is, if a script has shown it.
    pub place: Option<SoftPlace<'a>>,
}

impl JudgedFromAside<'_> {
    fn of(verdict: Verdict) -> Self {
        JudgedFromAside {
            verdict,
            service_worker: None,
            place: None,
        }
    }
}

/// The extensions of pages that are made by a program, beside those that are pages themselves.
const PAGES: [&str; 20] = [
    "html", "htm", "xhtml", "xht", "shtml", "shtm", "php", "php5", "php7", "phtml", "asp", "aspx", "jsp",
    "jspx", "jsf", "do", "action", "cfm", "cgi", "pl",
];

/// Decides by all that was seen. `signs`: whether it is known what the browser said of the request
/// (`Sec-Fetch-*`, `Accept`); a line of a combined log does not have it.
///
/// Pages that are fetched ahead are not held: whether one is shown then is not looked for.
pub fn judge_from_aside<'a>(
    rules: &PageRules,
    request: &RequestFacts<'a>,
    signs: bool,
    known_site: bool,
    client: Option<IpAddr>,
    response: &SeenResponse<'_>,
) -> JudgedFromAside<'a> {
    let kind = if !signs {
        kind_without_signs(rules, request)
    } else if matches!(response, SeenResponse::Nothing) {
        kind(request)
    } else {
        // A mirrored request has all its fields, a line of a log those that its format has.
        kind(&RequestFacts {
            upgrade_insecure: true,
            ..*request
        })
    };
    let candidate = match judge_kind(rules, request, kind, known_site, client) {
        RequestVerdict::Settled(verdict) => return JudgedFromAside::of(verdict),
        RequestVerdict::Open(candidate) => candidate,
        RequestVerdict::Soft(soft) => {
            return judge_script(rules, request, soft, known_site, client, response);
        }
    };
    let verdict = match response {
        SeenResponse::Head(facts) => judge_response(rules, &candidate, facts, Known::Nothing),
        SeenResponse::Status(status) => {
            let why = "A navigation by its path and status; the response's type is not known.";
            judge_assumed(rules, &candidate, *status, why)
        }
        SeenResponse::Nothing => judge_alone(rules, request, &candidate),
    };
    JudgedFromAside {
        verdict,
        service_worker: candidate.service_worker(),
        place: None,
    }
}

/// Decides about a script's request. It counts where the response's type is known and says enough.
fn judge_script<'a>(
    rules: &PageRules,
    request: &RequestFacts<'a>,
    soft: SoftRequest,
    known_site: bool,
    client: Option<IpAddr>,
    response: &SeenResponse<'_>,
) -> JudgedFromAside<'a> {
    let SeenResponse::Head(facts) = response else {
        let why = "A script's request, and the response is not known.";
        return JudgedFromAside::of(Verdict::silent(Decision::NotPage, why));
    };
    let outcome = match soft_outcome(soft, facts, Known::Nothing) {
        SoftOutcome::Ahead if counts_at_once(rules, soft) => SoftOutcome::Shown { at: None },
        outcome => outcome,
    };
    match outcome {
        SoftOutcome::Settled(verdict) => JudgedFromAside::of(verdict),
        SoftOutcome::Ahead => JudgedFromAside::of(super::response::fetched_ahead(soft)),
        // A line has no field in which the app says where the page is.
        SoftOutcome::Shown { .. } => {
            let (verdict, place) = judge_soft(rules, request, soft, None, known_site, client);
            JudgedFromAside {
                verdict,
                service_worker: None,
                place,
            }
        }
    }
}

/// The kind of a request of which only method, path and user agent are known.
fn kind_without_signs(rules: &PageRules, request: &RequestFacts<'_>) -> Result<RequestKind, &'static str> {
    if request.method != "GET" {
        return Err("Only a GET counts where the browser's own signs are not known.");
    }
    if request.range {
        return Err("The request is for a part of a file (Range).");
    }
    if request.script {
        return Err("A script's request (X-Requested-With or its kin).");
    }
    let path = request.path();
    let is_page = extension(path).is_none_or(|extension| {
        // `/docs/1.2` has no extension but a number.
        extension.bytes().all(|b| b.is_ascii_digit())
            || PAGES.iter().any(|e| extension.eq_ignore_ascii_case(e))
    });
    if is_page || path_kind(rules, path) == PathKind::Download {
        Ok(RequestKind::Navigation)
    } else {
        Err("The path's extension is no page's, and the browser's own signs are not known.")
    }
}

/// Decides by the request's signs alone.
fn judge_alone(rules: &PageRules, request: &RequestFacts<'_>, candidate: &Candidate) -> Verdict {
    if candidate.post {
        let why = "A POST counts if a page answers it, and the response is not known.";
        return Verdict::silent(Decision::NotPage, why);
    }
    if !candidate.saved && !request.accept.is_some_and(names_document) {
        let why = "Accept does not name text/html, and the response is not known.";
        return Verdict::silent(Decision::NotPage, why);
    }
    let why = "A navigation by its own signs; the response is not known.";
    judge_assumed(rules, candidate, 200, why)
}

/// Decides by the status, taking the response for a page where the path's extension allows it.
fn judge_assumed(rules: &PageRules, candidate: &Candidate, status: u16, why: &'static str) -> Verdict {
    let assumed = ResponseFacts {
        content_type: (candidate.path == PathKind::Page).then_some(b"text/html"),
        ..ResponseFacts::of_status(status)
    };
    let known = match candidate.path {
        PathKind::Page => Known::Nothing,
        _ => Known::LastType(false),
    };
    let verdict = judge_response(rules, candidate, &assumed, known);
    let why = match verdict.decision {
        Decision::Counted if rules.tracker_wait().is_none() => why,
        Decision::NotHtml => "The path's extension is no page's, and the response's type is not known.",
        _ => verdict.why,
    };
    Verdict { why, ..verdict }
}

#[cfg(test)]
mod tests {
    use httparse::Header;

    use super::*;
    use crate::page::{EventKind, Sign};

    const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const UPGRADE: (&str, &str) = ("Upgrade-Insecure-Requests", "1");
    const DOCUMENT: (&str, &str) = ("Accept", "text/html,*/*;q=0.8");

    fn judge(
        rules: &PageRules,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        signs: bool,
        response: &SeenResponse<'_>,
    ) -> (Decision, Option<EventKind<'static>>) {
        // A line of a log does not have it.
        let upgrade = matches!(response, SeenResponse::Nothing).then_some(&UPGRADE);
        let agent = ("User-Agent", AGENT);
        let fields: Vec<Header<'_>> = fields
            .iter()
            .chain([&agent])
            .chain(upgrade)
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let request = RequestFacts::read(method, target, &fields);
        let client = Some([203, 0, 113, 7].into());
        let verdict = judge_from_aside(rules, &request, signs, true, client, response).verdict;
        assert!(verdict.why.ends_with('.'));
        (verdict.decision, verdict.event)
    }

    fn by_rule(method: &str, target: &str, fields: &[(&str, &str)], response: &SeenResponse<'_>) -> Decision {
        judge(&PageRules::default(), method, target, fields, true, response).0
    }

    fn by_path(method: &str, target: &str, status: u16) -> Decision {
        let response = SeenResponse::Status(status);
        judge(&PageRules::default(), method, target, &[], false, &response).0
    }

    #[test]
    fn a_mirrored_request_counts_by_its_own_signs() {
        let nothing = SeenResponse::Nothing;
        for (method, target, fields, decision) in [
            ("GET", "/", &[DOCUMENT][..], Decision::Counted),
            ("GET", "/a.pdf", &[DOCUMENT], Decision::NotHtml),
            ("GET", "/", &[("Accept", "*/*")], Decision::NotPage),
            (
                "GET",
                "/",
                &[
                    ("Sec-Fetch-Dest", "document"),
                    ("Sec-Fetch-Mode", "navigate"),
                    ("Accept", "*/*"),
                ],
                Decision::NotPage,
            ),
            ("POST", "/", &[DOCUMENT], Decision::NotPage),
            ("HEAD", "/", &[DOCUMENT], Decision::NotPage),
            (
                "GET",
                "/",
                &[DOCUMENT, ("Purpose", "prefetch")],
                Decision::Prefetch,
            ),
            ("GET", "/", &[DOCUMENT, ("From", "a@example.com")], Decision::Bot),
        ] {
            assert_eq!(
                by_rule(method, target, fields, &nothing),
                decision,
                "{method} {target} {fields:?}"
            );
        }
    }

    #[test]
    fn with_status_and_type_a_line_is_decided_as_in_the_path() {
        let head = |status, content_type: Option<&'static [u8]>| {
            SeenResponse::Head(ResponseFacts {
                content_type,
                ..ResponseFacts::of_status(status)
            })
        };
        for (response, decision) in [
            (head(200, Some(b"text/html")), Decision::Counted),
            (head(200, Some(b"application/json")), Decision::NotHtml),
            (head(200, None), Decision::NotHtml),
            (head(304, None), Decision::Counted),
            (head(302, None), Decision::Redirect),
            (head(404, Some(b"text/html")), Decision::NotFound),
            (SeenResponse::Status(200), Decision::Counted),
            (SeenResponse::Status(206), Decision::NotPage),
            (SeenResponse::Status(500), Decision::ErrorStatus),
        ] {
            assert_eq!(
                by_rule("GET", "/a", &[DOCUMENT], &response),
                decision,
                "{response:?}"
            );
        }
        assert_eq!(
            by_rule("POST", "/a", &[DOCUMENT], &head(200, Some(b"text/html"))),
            Decision::Counted
        );
    }

    #[test]
    fn without_signs_status_method_and_extension_decide() {
        for (method, target, status, decision) in [
            ("GET", "/", 200, Decision::Counted),
            ("GET", "/blog/a?b=c.css", 304, Decision::Counted),
            ("GET", "/index.PHP", 200, Decision::Counted),
            ("GET", "/docs/1.2", 200, Decision::Counted),
            ("GET", "/a.b/c", 201, Decision::Counted),
            ("GET", "/site.webmanifest", 200, Decision::NotPage),
            ("GET", "/style.css", 200, Decision::NotPage),
            ("POST", "/", 200, Decision::NotPage),
            ("HEAD", "/", 200, Decision::NotPage),
            ("", "", 400, Decision::NotPage),
            ("GET", "/", 301, Decision::Redirect),
            ("GET", "/", 404, Decision::NotFound),
            ("GET", "/", 499, Decision::ErrorStatus),
            ("GET", "/", 204, Decision::NotPage),
        ] {
            assert_eq!(
                by_path(method, target, status),
                decision,
                "{method} {target} {status}"
            );
        }
    }

    #[test]
    fn the_other_rules_hold_from_aside_too() {
        let ok = SeenResponse::Status(200);
        let rules = PageRules {
            exclude: vec!["/admin/**".parse().unwrap()],
            exclude_when: vec!["header:x-internal".parse::<Sign>().unwrap()],
            downloads: Some(vec!["pdf".to_owned()]),
            not_found: true,
            ..PageRules::default()
        };
        let case =
            |target, fields: &[(&str, &str)], response| judge(&rules, "GET", target, fields, false, response);
        assert_eq!(case("/admin/a", &[], &ok).0, Decision::Excluded);
        assert_eq!(case("/", &[("X-Internal", "1")], &ok).0, Decision::Excluded);
        assert_eq!(
            case("/a.pdf", &[], &ok),
            (Decision::Download, Some(EventKind::Download))
        );
        assert_eq!(
            case("/a", &[], &SeenResponse::Status(404)),
            (Decision::NotFound, Some(EventKind::NotFound))
        );
    }

    fn judge_fields(fields: &[(&str, &str)], response: &SeenResponse<'_>) -> Decision {
        let fields: Vec<Header<'_>> = fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let request = RequestFacts::read("GET", "/a", &fields);
        let client = Some([203, 0, 113, 7].into());
        let rules = PageRules::default();
        judge_from_aside(&rules, &request, true, true, client, response)
            .verdict
            .decision
    }

    #[test]
    fn what_a_line_does_not_have_is_not_missed() {
        let ok = SeenResponse::Head(ResponseFacts {
            content_type: Some(b"text/html"),
            ..ResponseFacts::of_status(200)
        });
        assert_eq!(by_rule("GET", "/a", &[DOCUMENT], &ok), Decision::Counted);
        let mirrored = SeenResponse::Nothing;
        let without = judge_fields(&[DOCUMENT, ("User-Agent", AGENT)], &mirrored);
        assert_eq!(without, Decision::NotPage);
    }

    #[test]
    fn a_scripts_request_counts_where_the_response_is_known() {
        let ok = SeenResponse::Head(ResponseFacts {
            content_type: Some(b"text/html"),
            ..ResponseFacts::of_status(200)
        });
        let swup = [("X-Requested-With", "swup"), DOCUMENT];
        assert_eq!(by_rule("GET", "/a", &swup, &ok), Decision::SoftNavigation);
        assert_eq!(
            by_rule("GET", "/a", &swup, &SeenResponse::Nothing),
            Decision::NotPage
        );
        assert_eq!(
            by_rule("GET", "/a", &swup, &SeenResponse::Status(200)),
            Decision::NotPage
        );
    }
}
