//! What the request alone decides.

use memchr::memrchr2;

use crate::facts::{RequestFacts, names_document};

use super::bots::{self, Bot};
use super::decision::{Decision, EventKind, Verdict};
use super::rules::{Bots, CountMode, DOWNLOADS, PageRules};

/// What is known before the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    /// The request alone decides.
    Settled(Verdict),
    /// The response decides.
    Open(Candidate),
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
    /// What the path's extension says.
    pub(super) path: PathKind,
    service_worker: Option<ServiceWorker>,
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
}

impl Candidate {
    /// The service worker's part, for [`PreloadPairs`](super::PreloadPairs).
    pub fn service_worker(&self) -> Option<ServiceWorker> {
        self.service_worker
    }
}

/// Decides by the request alone, or leaves it to [`judge_response`](super::judge_response).
pub fn judge_request(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    known_site: bool,
    has_client: bool,
) -> RequestVerdict {
    judge(rules, rules.count, request, kind(request), known_site, has_client)
}

/// As [`judge_request`], with the request's kind found already.
pub(super) fn judge_kind(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    kind: Result<RequestKind, &'static str>,
    known_site: bool,
    has_client: bool,
) -> RequestVerdict {
    judge(rules, rules.count, request, kind, known_site, has_client)
}

/// Whether a person's browser may show the response as a page on which the tracker script is to count,
/// whatever `[pages] count` says of gatecount's own counting. A page that is fetched ahead is one too, because
/// the script waits until it is shown. A HEAD and a request with `Range` are judged like the GET of the whole
/// page, whose fields must be theirs.
pub fn may_be_shown(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    known_site: bool,
    has_client: bool,
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
    match judge(
        rules,
        CountMode::Always,
        &whole,
        kind(&whole),
        known_site,
        has_client,
    ) {
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
    has_client: bool,
) -> RequestVerdict {
    let settled = |decision, why| RequestVerdict::Settled(Verdict::silent(decision, why));
    let kind = match kind {
        Ok(kind) => kind,
        Err(why) => return settled(Decision::NotPage, why),
    };
    if !known_site {
        return RequestVerdict::Settled(unknown_site());
    }
    if count == CountMode::Never {
        return settled(Decision::Excluded, "Pages are not counted: count is \"never\".");
    }
    let path = request.path();
    let bot = match admit(rules, request, path, has_client) {
        Ok(bot) => bot,
        Err(verdict) => return RequestVerdict::Settled(verdict),
    };
    RequestVerdict::Open(Candidate {
        bot,
        post: request.method == "POST",
        saved: kind == RequestKind::Saved,
        path: path_kind(rules, path),
        service_worker: match kind {
            RequestKind::Preload => Some(ServiceWorker::Preload),
            RequestKind::WorkerFetch => Some(ServiceWorker::Fetch),
            _ => None,
        },
    })
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
    has_client: bool,
) -> Option<Verdict> {
    if !known_site {
        return Some(unknown_site());
    }
    if let Some(verdict) = exempt(rules, request) {
        return Some(verdict);
    }
    if rules.bots != Bots::Count
        && let Some(bot) = bots::of_request(request)
    {
        return Some(Verdict::silent(Decision::Bot, bot.why));
    }
    (!has_client).then(no_client)
}

/// Whoever is not counted by their own wish or the configuration's, and what nobody has seen yet.
fn exempt(rules: &PageRules, request: &RequestFacts<'_>) -> Option<Verdict> {
    if let Some(verdict) = rules.left_out(request) {
        return Some(verdict);
    }
    request
        .prefetch
        .then(|| Verdict::silent(Decision::Prefetch, "The page is prefetched and not shown yet."))
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
    has_client: bool,
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
    match admit(rules, request, path, has_client) {
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
    has_client: bool,
) -> Result<Option<&'static Bot>, Verdict> {
    let refuse = |decision, why| Err(Verdict::silent(decision, why));
    if !rules.takes(path) {
        return refuse(Decision::Excluded, "The path is not included, or is excluded.");
    }
    if let Some(verdict) = exempt(rules, request) {
        return Err(verdict);
    }
    let mut apart = None;
    if rules.bots != Bots::Count
        && let Some(bot) = bots::of_request(request)
    {
        if rules.bots == Bots::Skip {
            return refuse(Decision::Bot, bot.why);
        }
        if !has_client {
            return refuse(
                Decision::Bot,
                "A bot, and no client address is known to count it by.",
            );
        }
        apart = Some(bot);
    }
    if !has_client {
        return Err(no_client());
    }
    Ok(apart)
}

/// What the browser will do with the response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// Show it in the main frame.
    Navigation,
    /// The same; sent while the service worker starts.
    Preload,
    /// The same; fetched by the service worker.
    WorkerFetch,
    /// Save it.
    Saved,
    /// Keep it until the page is shown.
    Prefetch,
}

/// The request's kind, or why it is no navigation.
pub(super) fn kind(request: &RequestFacts<'_>) -> Result<RequestKind, &'static str> {
    match request.method {
        "GET" | "POST" => {}
        "HEAD" => return Err("A HEAD request shows nothing."),
        _ => return Err("Only GET and POST bring pages."),
    }
    if request.range {
        return Err("The request is for a part of a file (Range).");
    }
    let document = request.accept.is_some_and(names_document);
    let is =
        |value: Option<&[u8]>, word: &str| value.is_some_and(|v| v.eq_ignore_ascii_case(word.as_bytes()));
    let navigate = is(request.fetch_mode, "navigate");

    if is(request.fetch_dest, "document") {
        return match request.fetch_mode {
            None if request.navigation_preload => Ok(RequestKind::Preload),
            None => Ok(RequestKind::Navigation),
            Some(_) if navigate && request.navigation_preload => Ok(RequestKind::Preload),
            Some(_) if navigate => Ok(RequestKind::Navigation),
            Some(_) => Err("A document is fetched, but not to navigate to it (Sec-Fetch-Mode)."),
        };
    }
    if is(request.fetch_dest, "empty") {
        return match () {
            () if request.prefetch => Ok(RequestKind::Prefetch),
            () if navigate && document => Ok(RequestKind::WorkerFetch),
            () if navigate => Ok(RequestKind::Saved),
            () => Err("A script's request (Sec-Fetch-Dest: empty)."),
        };
    }
    if request.fetch_dest.is_some() {
        return Err("A part of a page or a frame in it, by Sec-Fetch-Dest.");
    }
    // Chrome 76 to 79 sent the mode without the destination, and nested-navigate for frames.
    if request.fetch_mode.is_some() && !navigate {
        return Err("Not a navigation, by Sec-Fetch-Mode.");
    }
    if request.navigation_preload {
        return Ok(RequestKind::Preload);
    }
    if request.script {
        return Err("A script's request (X-Requested-With or its kin).");
    }
    if document {
        return Ok(RequestKind::Navigation);
    }
    if request.prefetch {
        return Ok(RequestKind::Prefetch);
    }
    Err("No navigation: Accept does not name text/html.")
}

/// Extensions that no page has, beside [`DOWNLOADS`]. A browser that opens such a file sends the same request
/// as for a page, and a 304 has no type that tells them apart.
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
