//! What the request alone decides.

use std::net::IpAddr;

use memchr::memrchr2;

use crate::facts::RequestFacts;

use super::bots::{self, Bot};
use super::decision::{Decision, EventKind, Verdict};
use super::kind::{RequestKind, kind};
use super::rules::{Bots, CountMode, DOWNLOADS, PageRules, PrefetchMode};
use super::soft::{self, SoftPlace, SoftRequest};

/// What is known before the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    /// The request alone decides.
    Settled(Verdict),
    /// The response decides.
    Open(Candidate),
    /// A script's request. The response decides whether it is a page at all, and [`judge_soft`] whether it
    /// counts.
    Soft(SoftRequest),
}

/// A request that is a page view if its response is a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The bot, if bots are counted for a domain of their own.
    pub(super) bot: Option<&'static Bot>,
    /// The method is POST.
    pub(super) post: bool,
    /// A link with `download`: the response is saved, not shown.
    pub(super) saved: bool,
    /// The page is fetched ahead.
    pub(super) ahead: Option<Ahead>,
    /// What the path's extension says.
    pub(super) path: PathKind,
    service_worker: Option<ServiceWorker>,
}

/// What becomes of a page that is fetched ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// It may count when it is shown.
    Later,
    /// It counts at once.
    Now,
}

/// What a path's extension says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathKind {
    /// It may be a page.
    Page,
    /// A file that is no page.
    File,
    /// A file whose download is an event.
    Download,
}

/// How a service worker takes part in a navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceWorker {
    /// The browser sent the request while the worker started (`Service-Worker-Navigation-Preload`).
    Preload,
    /// The worker fetched the navigation itself.
    Fetch,
    /// The browser gave the worker up and asked itself. Safari's engine does so now and then where both of the others have
    /// come, and then `Accept` is `*/*`.
    Fallback,
}

impl Candidate {
    /// The service worker's part, for [`PreloadPairs`](super::PreloadPairs).
    pub fn service_worker(&self) -> Option<ServiceWorker> {
        self.service_worker
    }

    /// Whether it counts when it is shown, and not before.
    pub fn is_held(&self) -> bool {
        self.ahead == Some(Ahead::Later)
    }

    /// Whether it counts before it is shown, so that the request of its own that may follow is no other view.
    pub fn counts_ahead(&self) -> bool {
        self.ahead == Some(Ahead::Now)
    }
}

/// Decides by the request alone, or leaves it to [`judge_response`](super::judge_response).
pub fn judge_request(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    known_site: bool,
    client: Option<IpAddr>,
) -> RequestVerdict {
    judge(rules, rules.count, request, kind(request), known_site, client)
}

/// As [`judge_request`], with the request's kind found already.
pub(super) fn judge_kind(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    kind: Result<RequestKind, &'static str>,
    known_site: bool,
    client: Option<IpAddr>,
) -> RequestVerdict {
    judge(rules, rules.count, request, kind, known_site, client)
}

/// Whether a person's browser may show the response as a page on which the tracker script is to count,
/// whatever `[pages] count` says of gatecount's own counting. A page that is fetched ahead is one too, because
/// the script waits until it is shown. A HEAD and a request with `Range` are judged like the GET of the whole
/// page, whose fields must be theirs.
pub fn may_be_shown(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    known_site: bool,
    client: Option<IpAddr>,
) -> Option<Candidate> {
    let whole = RequestFacts {
        method: if request.method == "HEAD" {
            "GET"
        } else {
            request.method
        },
        prefetch: false,
        range: false,
        ..*request
    };
    match judge(rules, CountMode::Always, &whole, kind(&whole), known_site, client) {
        RequestVerdict::Open(candidate) if candidate.bot.is_none() && !candidate.saved => Some(candidate),
        _ => None,
    }
}

fn judge(
    rules: &PageRules,
    count: CountMode,
    request: &RequestFacts<'_>,
    kind: Result<RequestKind, &'static str>,
    known_site: bool,
    client: Option<IpAddr>,
) -> RequestVerdict {
    let settled = |decision, why| RequestVerdict::Settled(Verdict::silent(decision, why));
    let kind = match kind {
        Ok(RequestKind::Soft(soft)) if rules.soft_navigations => return RequestVerdict::Soft(soft),
        Ok(RequestKind::Soft(_)) => {
            return settled(
                Decision::NotPage,
                "A script's request, and soft navigations are not counted (soft_navigations).",
            );
        }
        Ok(kind) => kind,
        Err(why) => return settled(Decision::NotPage, why),
    };
    if !known_site {
        return RequestVerdict::Settled(unknown_site());
    }
    if count == CountMode::Never {
        return RequestVerdict::Settled(never());
    }
    let path = request.path();
    let ahead = match rules.prefetch {
        _ if !request.prefetch => None,
        PrefetchMode::Activation => Some(Ahead::Later),
        PrefetchMode::Count => Some(Ahead::Now),
        PrefetchMode::Skip | PrefetchMode::Refuse => None,
    };
    let bot = if ahead == Some(Ahead::Later) {
        // The rest is looked at when the page is there, by `may_activate`.
        if let Some(verdict) = not_taken(rules, path).or_else(|| rules.left_out(request, client)) {
            return RequestVerdict::Settled(verdict);
        }
        None
    } else {
        match admit(rules, request, path, client) {
            Ok(bot) => bot,
            Err(verdict) => return RequestVerdict::Settled(verdict),
        }
    };
    RequestVerdict::Open(Candidate {
        bot,
        post: request.method == "POST",
        saved: kind == RequestKind::Saved,
        ahead,
        path: path_kind(rules, path),
        service_worker: match kind {
            RequestKind::Preload => Some(ServiceWorker::Preload),
            RequestKind::WorkerFetch => Some(ServiceWorker::Fetch),
            RequestKind::Fallback => Some(ServiceWorker::Fallback),
            _ => None,
        },
    })
}

/// Decides about a page that a script has shown, and where it is. `at`: where the response says that it is.
pub fn judge_soft<'a>(
    rules: &PageRules,
    request: &RequestFacts<'a>,
    soft: SoftRequest,
    at: Option<&'a str>,
    known_site: bool,
    client: Option<IpAddr>,
) -> (Verdict, Option<SoftPlace<'a>>) {
    let Some(place) = soft::place(soft, request, at) else {
        return (Verdict::silent(Decision::NotPage, soft::REFRESH), None);
    };
    if !known_site {
        return (unknown_site(), None);
    }
    if rules.count == CountMode::Never {
        return (never(), None);
    }
    match admit(rules, request, place.path(), client) {
        Err(verdict) => (verdict, None),
        Ok(Some(bot)) => {
            let verdict = Verdict {
                decision: Decision::Bot,
                why: "A bot's script fetched a page; it is counted for the bots' domain.",
                event: Some(EventKind::of_bot(bot)),
            };
            (verdict, Some(place))
        }
        Ok(None) => {
            let verdict = Verdict {
                decision: Decision::SoftNavigation,
                why: "A script shows another page in the place of the one before.",
                event: Some(EventKind::PageView),
            };
            (rules.waiting(verdict), Some(place))
        }
    }
}

/// Whether a page with this path that was fetched ahead counts now that this request shows that it is shown.
pub fn may_activate(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    path: &str,
    known_site: bool,
    client: Option<IpAddr>,
) -> bool {
    let shown = RequestFacts {
        prefetch: false,
        ..*request
    };
    rules.prefetch == PrefetchMode::Activation
        && rules.count != CountMode::Never
        && known_site
        && admit(rules, &shown, path, client) == Ok(None)
}

/// Whether what a script fetches ahead, or at a click, counts at once, for it is not waited until it is shown.
pub fn counts_at_once(rules: &PageRules, soft: SoftRequest) -> bool {
    rules.prefetch == PrefetchMode::Count && soft.is_sveltekits()
}

/// Whether a page with this path that this request fetches ahead is to be held until it is shown. What a page
/// fetches ahead of itself is shown already.
pub fn may_be_held(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    path: &str,
    known_site: bool,
    client: Option<IpAddr>,
) -> bool {
    !request
        .referer
        .is_some_and(|referer| soft::is_page(referer, path))
        && may_activate(rules, request, path, known_site, client)
}

/// Whether the request is a browser's for a page that is not shown yet, which `prefetch = "refuse"` refuses. A
/// script that fetches ahead would show what it gets.
pub fn is_refused_prefetch(rules: &PageRules, request: &RequestFacts<'_>) -> bool {
    rules.prefetch == PrefetchMode::Refuse
        && request.prefetch
        && request.library.is_none()
        && path_kind(rules, request.path()) == PathKind::Page
        && matches!(
            kind(request),
            Ok(RequestKind::Navigation
                | RequestKind::Preload
                | RequestKind::Fallback
                | RequestKind::Prefetch)
        )
}

/// Why nothing of this request is counted, whatever it is for and whatever the app says of it. `None`: its
/// events count.
///
/// A prefetched page is among these, because nobody has asked for it yet, and so is every bot that is not
/// counted like people: the domain of the bots gets the pages that they fetch and no other event.
pub fn judge_visitor(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    known_site: bool,
    client: Option<IpAddr>,
) -> Option<Verdict> {
    if !known_site {
        return Some(unknown_site());
    }
    if let Some(verdict) = exempt(rules, request, client) {
        return Some(verdict);
    }
    if rules.bots != Bots::Count
        && let Some(bot) = bots::of_request(request)
    {
        return Some(Verdict::silent(Decision::Bot, bot.why));
    }
    client.is_none().then(no_client)
}

/// Whoever is not counted by their own wish or the configuration's, and what nobody has seen yet.
fn exempt(rules: &PageRules, request: &RequestFacts<'_>, client: Option<IpAddr>) -> Option<Verdict> {
    if let Some(verdict) = rules.left_out(request, client) {
        return Some(verdict);
    }
    (request.prefetch && rules.prefetch != PrefetchMode::Count)
        .then(|| Verdict::silent(Decision::Prefetch, "The page is prefetched and not shown yet."))
}

fn never() -> Verdict {
    Verdict::silent(Decision::Excluded, "Pages are not counted: count is \"never\".")
}

fn not_taken(rules: &PageRules, path: &str) -> Option<Verdict> {
    let verdict = || Verdict::silent(Decision::Excluded, "The path is not included, or is excluded.");
    (!rules.takes(path)).then(verdict)
}

fn unknown_site() -> Verdict {
    Verdict::silent(
        Decision::UnknownSite,
        "No site's hosts match the host of the request.",
    )
}

fn no_client() -> Verdict {
    Verdict::silent(Decision::NoClient, "No client address is known.")
}

/// Decides about a request for the pixel: a view of the page with this path, if that is a site's. Whether
/// pages are counted when they are served (`count`) does not matter here.
pub fn judge_pixel(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    page: Option<&str>,
    client: Option<IpAddr>,
) -> Verdict {
    let verdict = |why, event| Verdict {
        decision: Decision::Dedicated,
        why,
        event,
    };
    if request.method != "GET" {
        return verdict("The pixel, which a GET request alone shows.", None);
    }
    let Some(path) = page else {
        return verdict(
            "The pixel, and it is not known which page of a site shows it.",
            None,
        );
    };
    match admit(rules, request, path, client) {
        Ok(None) => verdict(
            match rules.tracker_wait() {
                None => "The pixel: a view of the page that shows it.",
                Some(_) => {
                    "The pixel: a view of the page that shows it, unless the tracker script reports it within \
                     tracker_wait."
                }
            },
            Some(EventKind::PageView),
        ),
        Ok(Some(bot)) => verdict(
            "The pixel, which a bot fetched; it is counted for the bots' domain.",
            Some(EventKind::of_bot(bot)),
        ),
        Err(refused) => verdict(refused.why, None),
    }
}

/// Whether a page's view may count, whatever shows that there is one. The bot, if bots are counted for a domain
/// of their own; or why it does not count.
fn admit(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    path: &str,
    client: Option<IpAddr>,
) -> Result<Option<&'static Bot>, Verdict> {
    let refuse = |decision, why| Err(Verdict::silent(decision, why));
    if let Some(verdict) = not_taken(rules, path) {
        return Err(verdict);
    }
    if let Some(verdict) = exempt(rules, request, client) {
        return Err(verdict);
    }
    let mut apart = None;
    if rules.bots != Bots::Count
        && let Some(bot) = bots::of_request(request)
    {
        if rules.bots == Bots::Skip {
            return refuse(Decision::Bot, bot.why);
        }
        if client.is_none() {
            return refuse(
                Decision::Bot,
                "A bot, and no client address is known to count it by.",
            );
        }
        apart = Some(bot);
    }
    if client.is_none() {
        return Err(no_client());
    }
    Ok(apart)
}

/// Extensions that hardly any page has, beside [`DOWNLOADS`]. They decide where the response's type is not
/// known.
const FILES: [&str; 36] = [
    "jpg", "jpeg", "png", "gif", "webp", "avif", "svg", "ico", "bmp", "tif", "tiff", "heic", "css", "js",
    "mjs", "map", "json", "xml", "rss", "atom", "woff", "woff2", "ttf", "otf", "eot", "wasm", "webm", "ogg",
    "ogv", "flac", "m4a", "m4v", "tar", "epub", "doc", "xls",
];

/// What follows the last dot of the path's last segment.
pub(super) fn extension(path: &str) -> Option<&str> {
    let at = memrchr2(b'.', b'/', path.as_bytes())?;
    (path.as_bytes()[at] == b'.').then(|| &path[at + 1..])
}

/// What the path's extension says.
pub(super) fn path_kind(rules: &PageRules, path: &str) -> PathKind {
    let Some(extension) = extension(path) else {
        return PathKind::Page;
    };
    let is = |e: &str| extension.eq_ignore_ascii_case(e);
    if rules
        .downloads
        .as_ref()
        .is_some_and(|list| list.iter().any(|e| is(e)))
    {
        PathKind::Download
    } else if !is("html") && DOWNLOADS.iter().chain(&FILES).any(|e| is(e)) {
        PathKind::File
    } else {
        PathKind::Page
    }
}
