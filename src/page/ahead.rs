//! What the request alone says.

use memchr::memrchr2;

use crate::facts::{Request, names_document};

use super::bots;
use super::decision::Decision;
use super::rules::{Bots, Count, DOWNLOADS, Rules};
use super::verdict::Verdict;

/// The reading of a request before its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// The request alone decides.
    Settled(Verdict),
    /// The response decides.
    Open(Candidate),
}

/// What may be a page, until the response tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The bot's name, where bots are counted for a domain of their own.
    pub(super) bot: Option<&'static str>,
    /// The method is POST.
    pub(super) post: bool,
    /// A link with `download`: what comes is saved, not shown.
    pub(super) saved: bool,
    /// What the path's extension says.
    pub(super) file: File,
    worker: Option<Worker>,
}

/// What a path's extension says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    /// Nothing: a page may be there.
    No,
    /// A file that is no page.
    Yes,
    /// A file whose download is an event.
    Download,
}

/// How a service worker had its hand in a navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// The browser asked ahead of the worker (`Service-Worker-Navigation-Preload`).
    Preload,
    /// The worker fetched the navigation itself.
    Fetch,
}

impl Candidate {
    /// The service worker's part, for [`Pairs`](super::Pairs).
    pub fn worker(&self) -> Option<Worker> {
        self.worker
    }
}

/// Reads the request alone.
pub fn ahead(rules: &Rules, request: &Request<'_>, known_site: bool, has_client: bool) -> Ahead {
    let settled = |decision, why| {
        Ahead::Settled(Verdict {
            decision,
            why,
            event: None,
        })
    };
    let kind = match kind(request) {
        Ok(kind) => kind,
        Err(why) => return settled(Decision::NotPage, why),
    };
    if !known_site {
        return settled(
            Decision::UnknownSite,
            "No site's hosts match the host that was asked for.",
        );
    }
    if rules.count == Count::Never {
        return settled(Decision::Excluded, "Pages are not counted: count is \"never\".");
    }
    let path = request.path();
    if !rules.takes(path) {
        return settled(Decision::Excluded, "The path is not included, or is excluded.");
    }
    if rules.respect_gpc && request.opt_out {
        return settled(
            Decision::OptedOut,
            "The browser asks not to be tracked (Sec-GPC or DNT), which is respected.",
        );
    }
    if rules.exclude_when.iter().any(|sign| sign.is_in(request.fields)) {
        return settled(Decision::Excluded, "A cookie or header of exclude_when is there.");
    }
    if request.ahead {
        return settled(Decision::Prefetch, "The page is fetched ahead and not shown yet.");
    }
    let mut bot = None;
    if rules.bots != Bots::Count
        && let Some(name) = bots::recognise(request.user_agent)
    {
        if rules.bots == Bots::Skip {
            return settled(Decision::Bot, why_bot(name));
        }
        if !has_client {
            return settled(
                Decision::Bot,
                "The user agent is a bot's, and no client address is known to count it by.",
            );
        }
        bot = Some(name);
    }
    if !has_client {
        return settled(Decision::NoClient, "No client address is known.");
    }
    Ahead::Open(Candidate {
        bot,
        post: request.method == "POST",
        saved: kind == Kind::Saved,
        file: file(rules, path),
        worker: match kind {
            Kind::Preload => Some(Worker::Preload),
            Kind::WorkerFetch => Some(Worker::Fetch),
            _ => None,
        },
    })
}

fn why_bot(name: &'static str) -> &'static str {
    match name {
        bots::NONE => "There is no user agent; every browser sends one.",
        bots::OTHER => "The user agent is a crawler's or a tool's.",
        _ => "The user agent is a known crawler's or tool's.",
    }
}

/// What the browser is about to do with the response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Show it in the main frame.
    Navigation,
    /// The same, asked for while the service worker starts.
    Preload,
    /// The same, asked for by the service worker.
    WorkerFetch,
    /// Save it.
    Saved,
    /// Keep it for later.
    Ahead,
}

/// The request's kind, or why it is no navigation.
fn kind(request: &Request<'_>) -> Result<Kind, &'static str> {
    match request.method {
        "GET" | "POST" => {}
        "HEAD" => return Err("A HEAD request shows nothing."),
        _ => return Err("Only GET and POST bring pages."),
    }
    if request.range {
        return Err("A part of a file is asked for (Range).");
    }
    let document = request.accept.is_some_and(names_document);
    let is =
        |value: Option<&[u8]>, word: &str| value.is_some_and(|v| v.eq_ignore_ascii_case(word.as_bytes()));
    let navigate = is(request.fetch_mode, "navigate");

    if is(request.fetch_dest, "document") {
        return match request.fetch_mode {
            None if request.navigation_preload => Ok(Kind::Preload),
            None => Ok(Kind::Navigation),
            Some(_) if navigate && request.navigation_preload => Ok(Kind::Preload),
            Some(_) if navigate => Ok(Kind::Navigation),
            Some(_) => Err("A document is fetched, but not to navigate to it (Sec-Fetch-Mode)."),
        };
    }
    if is(request.fetch_dest, "empty") {
        return match () {
            () if request.ahead => Ok(Kind::Ahead),
            () if navigate && document => Ok(Kind::WorkerFetch),
            () if navigate => Ok(Kind::Saved),
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
        return Ok(Kind::Preload);
    }
    if request.script {
        return Err("A script's request (X-Requested-With or its kin).");
    }
    if document {
        return Ok(Kind::Navigation);
    }
    if request.ahead {
        return Ok(Kind::Ahead);
    }
    Err("No navigation: Accept does not name text/html.")
}

/// Extensions that no page has, beside [`DOWNLOADS`]: a browser that opens such a file asks as if it were a page, and a
/// 304 carries no type that would tell.
const FILES: [&str; 36] = [
    "jpg", "jpeg", "png", "gif", "webp", "avif", "svg", "ico", "bmp", "tif", "tiff", "heic", "css", "js",
    "mjs", "map", "json", "xml", "rss", "atom", "woff", "woff2", "ttf", "otf", "eot", "wasm", "webm", "ogg",
    "ogv", "flac", "m4a", "m4v", "tar", "epub", "doc", "xls",
];

fn file(rules: &Rules, path: &str) -> File {
    let extension = match memrchr2(b'.', b'/', path.as_bytes()) {
        Some(at) if path.as_bytes()[at] == b'.' => &path[at + 1..],
        _ => return File::No,
    };
    let is = |e: &str| extension.eq_ignore_ascii_case(e);
    if rules
        .downloads
        .as_ref()
        .is_some_and(|list| list.iter().any(|e| is(e)))
    {
        File::Download
    } else if !is("html") && DOWNLOADS.iter().chain(&FILES).any(|e| is(e)) {
        File::Yes
    } else {
        File::No
    }
}
