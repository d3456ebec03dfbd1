//! The rules of `[pages]`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use httparse::Header;
use ipnet::IpNet;

use crate::facts::RequestFacts;
use crate::field;

use super::decision::{Decision, EventKind, Verdict};
use super::glob::Glob;

/// The extensions that the tracker script counts as downloads, in lower case and without the dot.
pub const DOWNLOADS: [&str; 26] = [
    "pdf", "xlsx", "docx", "txt", "rtf", "csv", "exe", "key", "pps", "ppt", "pptx", "7z", "pkg", "rar", "gz",
    "zip", "avi", "mov", "mp4", "mpeg", "wmv", "midi", "mp3", "wav", "wma", "dmg",
];

/// Which requests are page views, as far as that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRules {
    /// Whether pages are counted.
    pub count: CountMode,
    /// A page's path must match one of these. If there are none, every path does.
    pub include: Vec<Glob>,
    /// A page's path must match none of these.
    pub exclude: Vec<Glob>,
    /// Whether soft navigations are counted.
    pub soft_navigations: bool,
    /// What happens to pages that are fetched ahead.
    pub prefetch: PrefetchMode,
    /// What happens to bots.
    pub bots: Bots,
    /// Paths that match one of these are told as the pattern.
    pub mask: Vec<Glob>,
    /// Visits from these addresses are not counted.
    pub ignore_clients: Vec<IpNet>,
    /// Whether a 404 page is sent as the event `404`.
    pub not_found: bool,
    /// The extensions, in lower case and without the dot, whose files are sent as the event `File Download`.
    /// `None`: no such event.
    pub downloads: Option<Vec<String>>,
    /// Whether `Sec-GPC: 1` and `DNT: 1` are respected.
    pub respect_gpc: bool,
    /// A request with any of these signs is not counted.
    pub exclude_when: Vec<Sign>,
}

impl Default for PageRules {
    fn default() -> Self {
        PageRules {
            count: CountMode::Always,
            include: vec![Glob::all()],
            exclude: Vec::new(),
            soft_navigations: true,
            prefetch: PrefetchMode::Activation,
            bots: Bots::Skip,
            mask: Vec::new(),
            ignore_clients: Vec::new(),
            not_found: false,
            downloads: None,
            respect_gpc: false,
            exclude_when: Vec::new(),
        }
    }
}

impl PageRules {
    /// The Plausible domain of an event: the site's, or the bots' own.
    pub fn domain<'a>(&'a self, what: EventKind<'_>, site: &'a [u8]) -> &'a [u8] {
        match (what, &self.bots) {
            (EventKind::Bot { .. }, Bots::Domain(domain)) => domain.as_bytes(),
            _ => site,
        }
    }

    /// How long the event of this verdict waits for the tracker script to count the same page; `None` if it
    /// goes at once. What the app declares goes at once too: the script knows nothing of it.
    pub fn holds(&self, verdict: &Verdict) -> Option<Duration> {
        match self.count {
            CountMode::Untracked(wait)
                if verdict.event == Some(EventKind::PageView) && verdict.decision != Decision::Declared =>
            {
                Some(wait)
            }
            _ => None,
        }
    }

    /// A verdict whose event is held says so.
    pub(super) fn waiting(&self, verdict: Verdict) -> Verdict {
        match self.holds(&verdict) {
            Some(_) => Verdict {
                why: "A page. It is counted unless the tracker script reports it within tracker_wait.",
                ..verdict
            },
            None => verdict,
        }
    }

    /// How long pages wait for the tracker script; `None` if they don't.
    pub fn tracker_wait(&self) -> Option<Duration> {
        match self.count {
            CountMode::Untracked(wait) => Some(wait),
            CountMode::Always | CountMode::Never => None,
        }
    }

    /// Whether this client asks not to be counted, or the configuration says so by its address or a sign of the
    /// request.
    pub fn leaves_out(&self, request: &RequestFacts<'_>, client: Option<IpAddr>) -> bool {
        self.left_out(request, client).is_some()
    }

    /// The verdict over a client that is left out.
    pub(super) fn left_out(&self, request: &RequestFacts<'_>, client: Option<IpAddr>) -> Option<Verdict> {
        if !self.ignore_clients.is_empty()
            && let Some(client) = client.map(|client| client.to_canonical())
            && self.ignore_clients.iter().any(|range| range.contains(&client))
        {
            return Some(Verdict::silent(
                Decision::Excluded,
                "The visitor's address is one of ignore_clients.",
            ));
        }
        if self.respect_gpc && request.opt_out {
            return Some(Verdict::silent(
                Decision::OptedOut,
                "The browser asks not to be tracked (Sec-GPC or DNT), which is respected.",
            ));
        }
        self.exclude_when
            .iter()
            .any(|sign| sign.is_in(request.fields))
            .then(|| {
                Verdict::silent(
                    Decision::Excluded,
                    "The request has a cookie or header of exclude_when.",
                )
            })
    }

    /// Whether the path is included and not excluded.
    pub(super) fn takes(&self, path: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|g| g.matches(path)))
            && !self.exclude.iter().any(|g| g.matches(path))
    }
}

/// `[pages] count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountMode {
    /// Pages are counted.
    Always,
    /// No page is.
    Never,
    /// Pages are counted that the tracker script does not count itself within this time.
    Untracked(Duration),
}

/// `[pages] prefetch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefetchMode {
    /// A page counts at the first sign that it is shown.
    Activation,
    /// It is not counted.
    Skip,
    /// It counts when it is fetched.
    Count,
    /// A browser's request for it is refused, so that the click makes a true one.
    Refuse,
}

/// `[pages] bots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bots {
    /// Not counted.
    Skip,
    /// Counted like people.
    Count,
    /// Counted for this Plausible domain, with the bot's name and kind as props.
    Domain(String),
}

/// One of `[pages] exclude_when`: a request that has it is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A cookie of this name, case-sensitive (RFC 6265 §5.4).
    Cookie(String),
    /// A field of this name, in any case.
    Header(String),
}

/// Why a text is not a [`Sign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It starts with neither `cookie:` nor `header:`.
    #[error("write \"cookie:NAME\" or \"header:NAME\"")]
    Kind,
    /// The name is not a token (RFC 9110 §5.6.2).
    #[error("a name has letters, digits and !#$%&'*+-.^_`|~, as in \"cookie:logged_in\"")]
    Name,
}

impl Sign {
    pub(super) fn is_in(&self, fields: &[Header<'_>]) -> bool {
        match self {
            Sign::Header(name) => fields.iter().any(|f| f.name.eq_ignore_ascii_case(name)),
            Sign::Cookie(name) => field::lines(fields, "cookie")
                .flat_map(|value| value.split(|b| *b == b';'))
                .filter_map(|pair| pair.split(|b| *b == b'=').next())
                .any(|n| field::trim(n) == name.as_bytes()),
        }
    }
}

/// As in the configuration.
impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sign::Cookie(name) => write!(f, "cookie:{name}"),
            Sign::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl FromStr for Sign {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        let (kind, name) = text.split_once(':').ok_or(SignError::Kind)?;
        let name = name.trim();
        let sign = match kind.trim() {
            "cookie" => Sign::Cookie(name.to_owned()),
            "header" => Sign::Header(name.to_ascii_lowercase()),
            _ => return Err(SignError::Kind),
        };
        if !field::is_token(name.as_bytes()) {
            return Err(SignError::Name);
        }
        Ok(sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::bots::BotKind;

    #[test]
    fn only_page_views_wait_for_the_script() {
        let verdict = |decision, event| Verdict {
            decision,
            why: "",
            event,
        };
        let wait = Duration::from_secs(3);
        let rules = PageRules {
            count: CountMode::Untracked(wait),
            ..PageRules::default()
        };
        let page = Some(EventKind::PageView);
        for (decision, event, waits) in [
            (Decision::Counted, page, true),
            (Decision::Dedicated, page, true),
            (Decision::Declared, page, false),
            (Decision::Dedicated, None, false),
            (Decision::NotFound, Some(EventKind::NotFound), false),
            (Decision::Download, Some(EventKind::Download), false),
            (
                Decision::Bot,
                Some(EventKind::Bot {
                    name: "a",
                    kind: BotKind::Other,
                }),
                false,
            ),
        ] {
            let verdict = verdict(decision, event);
            assert_eq!(rules.holds(&verdict), waits.then_some(wait), "{verdict:?}");
            assert_eq!(PageRules::default().holds(&verdict), None);
        }
    }

    #[test]
    fn a_sign_is_a_cookie_or_a_field_by_name() {
        let fields = [
            Header {
                name: "Cookie",
                value: b"a=1; logged_in=yes",
            },
            Header {
                name: "cookie",
                value: b"flag",
            },
            Header {
                name: "X-Internal",
                value: b"",
            },
        ];
        for (text, there) in [
            ("cookie:a", true),
            ("cookie:logged_in", true),
            ("cookie:flag", true),
            ("cookie: a", true),
            ("cookie:Logged_In", false),
            ("cookie:logged", false),
            ("cookie:yes", false),
            ("header:x-internal", true),
            ("header:X-INTERNAL", true),
            ("header:x-intern", false),
        ] {
            assert_eq!(text.parse::<Sign>().unwrap().is_in(&fields), there, "{text}");
        }
    }

    #[test]
    fn what_is_no_sign_says_what_would_be() {
        for (text, error) in [
            ("logged_in", SignError::Kind),
            ("query:a", SignError::Kind),
            ("cookie:", SignError::Name),
            ("header:x internal", SignError::Name),
            ("cookie:a=b", SignError::Name),
        ] {
            assert_eq!(text.parse::<Sign>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_trackers_list_is_lower_case_and_without_dots() {
        assert!(
            DOWNLOADS
                .iter()
                .all(|e| e.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        );
    }
}
