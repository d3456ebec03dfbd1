//! What the request alone tells: whether a page view is possible, before the app has said a word.

use super::{Bots, Count, Decision, Rules, Verdict, bots};
use crate::exchange::{Request, names_document};

/// What is known when the request has been read.
#[derive(Debug, Clone, Copy)]
pub enum Ahead {
    /// The response changes nothing.
    Settled(Verdict),
    /// The response settles it.
    Open(Candidate),
}

/// A request that may be a page view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub(super) kind: Kind,
    pub(super) post: bool,
    /// The path has an extension that counts as a download.
    pub(super) download: bool,
    /// A bot that is to be sent to a domain of its own.
    pub(super) bot: Option<&'static str>,
}

/// How a request would come to be a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The main frame goes somewhere.
    Navigation,
    /// A link with `download`: its answer is saved.
    DownloadLink,
    /// A script or the browser fetches a page for later.
    FetchAhead,
}

/// Reads a request. `known_site`: its host is one of a site's; `has_client`: there is an address to count it under.
pub fn ahead(rules: &Rules, request: &Request<'_>, known_site: bool, has_client: bool) -> Ahead {
    let kind = match navigation(request) {
        Ok(kind) => kind,
        Err(why) => return settled(Decision::NotPage, why),
    };
    if !known_site {
        return settled(Decision::UnknownSite, "no site has this host");
    }
    if rules.count == Count::Never {
        return settled(Decision::Excluded, "[pages] count is \"never\"");
    }
    let path = request.path();
    if !rules.include.iter().any(|g| g.matches(path)) {
        return settled(Decision::Excluded, "the path matches nothing in [pages] include");
    }
    if rules.exclude.iter().any(|g| g.matches(path)) {
        return settled(Decision::Excluded, "the path matches [pages] exclude");
    }
    if rules.respect_gpc && request.opt_out {
        return settled(
            Decision::OptedOut,
            "the visitor asks not to be counted (Sec-GPC or DNT)",
        );
    }
    if rules.exclude_when.iter().any(|sign| sign.is_in(request)) {
        return settled(
            Decision::Excluded,
            "a cookie or header of [pages] exclude_when is there",
        );
    }
    if request.ahead || kind == Kind::FetchAhead {
        return settled(Decision::Prefetch, "the page is fetched ahead and not shown yet");
    }
    let bot = match &rules.bots {
        Bots::Count => None,
        Bots::Skip | Bots::Domain(_) => bots::recognise(request.user_agent),
    };
    if bot.is_some() && rules.bots == Bots::Skip {
        return settled(Decision::Bot, "the user agent is a bot's, a tool's or missing");
    }
    if !has_client {
        return settled(Decision::NoClient, "no address is known for the client");
    }
    let (post, download) = (request.method == "POST", rules.is_download(path));
    Ahead::Open(Candidate {
        kind,
        post,
        download,
        bot,
    })
}

fn settled(decision: Decision, why: &'static str) -> Ahead {
    Ahead::Settled(Verdict {
        decision,
        why,
        event: None,
    })
}

/// Whether a browser's main frame goes somewhere with this request; if not, why not.
fn navigation(request: &Request<'_>) -> Result<Kind, &'static str> {
    match request.method {
        "GET" | "POST" => {}
        "HEAD" => return Err("HEAD fetches no page"),
        _ => return Err("only GET, and POST of a form, show a page"),
    }
    if request.range {
        return Err("a range request fetches a part of a file");
    }
    let accepts = request.accept.is_some_and(names_document);
    let mode = request.fetch_mode.map(Mode::read);
    match (request.fetch_dest, mode) {
        (None, None) if request.navigation_preload => Ok(Kind::Navigation),
        (None, None) if request.script => Err("a script fetches it (X-Requested-With or its kin)"),
        // Browsers that sent the mode before they sent the destination (Chrome 76–79).
        (None, None | Some(Mode::Navigate)) if accepts => Ok(Kind::Navigation),
        (None, None | Some(Mode::Navigate)) => Err("Accept names no document type"),
        (None, Some(_)) => Err("Sec-Fetch-Mode says that it is no navigation"),
        (Some(dest), mode) if dest.eq_ignore_ascii_case(b"document") => match mode {
            None | Some(Mode::Navigate) => Ok(Kind::Navigation),
            Some(_) => Err("Sec-Fetch-Mode says that it is no navigation"),
        },
        (Some(dest), mode) if dest.eq_ignore_ascii_case(b"empty") => match mode {
            // A service worker passes the navigation on, and its Accept with it.
            Some(Mode::Navigate) if accepts => Ok(Kind::Navigation),
            Some(Mode::Navigate) if request.method == "GET" => Ok(Kind::DownloadLink),
            _ if request.ahead => Ok(Kind::FetchAhead),
            _ => Err("a script fetches it (Sec-Fetch-Dest: empty)"),
        },
        (Some(dest), _) if is_frame(dest) => Err("it is for a frame within a page (Sec-Fetch-Dest)"),
        (Some(_), _) => Err("it is for a part of a page (Sec-Fetch-Dest)"),
    }
}

fn is_frame(dest: &[u8]) -> bool {
    [&b"iframe"[..], b"frame", b"fencedframe"]
        .iter()
        .any(|d| dest.eq_ignore_ascii_case(d))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Navigate,
    Other,
}

impl Mode {
    fn read(value: &[u8]) -> Self {
        if value.eq_ignore_ascii_case(b"navigate") {
            Mode::Navigate
        } else {
            Mode::Other
        }
    }
}
