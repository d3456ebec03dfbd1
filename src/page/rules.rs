//! `[pages]`, resolved: what counts beside what PAGEVIEWS says of every site.

use std::str::FromStr;

use super::{Glob, What};
use crate::exchange::Request;

/// Whether pages are counted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// Each page view.
    #[default]
    Always,
    /// None.
    Never,
}

/// What becomes of bots' page views.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Bots {
    /// Not counted.
    #[default]
    Skip,
    /// Counted as everybody's.
    Count,
    /// Sent to this Plausible domain, with the bot's name as a prop.
    Domain(String),
}

/// Something in a request that keeps it from being counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A cookie of this name, whatever its value.
    Cookie(String),
    /// A header of this name, whatever its value.
    Header(String),
}

/// The text is no sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("\"cookie:NAME\" or \"header:NAME\" is wanted")]
pub struct NotASign;

impl FromStr for Sign {
    type Err = NotASign;

    fn from_str(text: &str) -> Result<Self, NotASign> {
        let (kind, name) = text.split_once(':').ok_or(NotASign)?;
        let name = name.trim();
        // A token of RFC 9110 §5.6.2; a cookie's name is one as well (RFC 6265 §4.1.1).
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(NotASign);
        }
        match kind.trim() {
            "cookie" => Ok(Sign::Cookie(name.to_owned())),
            "header" => Ok(Sign::Header(name.to_owned())),
            _ => Err(NotASign),
        }
    }
}

impl Sign {
    /// Whether the request has it.
    pub(super) fn is_in(&self, request: &Request<'_>) -> bool {
        match self {
            Sign::Header(name) => request.fields.iter().any(|f| f.name.eq_ignore_ascii_case(name)),
            Sign::Cookie(name) => {
                request.cookies
                    && request
                        .fields
                        .iter()
                        .filter(|f| f.name.eq_ignore_ascii_case("cookie"))
                        .flat_map(|f| f.value.split(|b| *b == b';'))
                        .any(|pair| {
                            let end = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
                            pair[..end].trim_ascii() == name.as_bytes()
                        })
            }
        }
    }
}

/// `[pages]`
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether pages are counted.
    pub count: Count,
    /// Paths that may be counted: those that match one.
    pub include: Vec<Glob>,
    /// Paths that are not counted, though included.
    pub exclude: Vec<Glob>,
    /// What becomes of bots.
    pub bots: Bots,
    /// Whether a 404 page becomes the event `404`.
    pub not_found: bool,
    /// The file extensions (lower case, no dot) whose requests become the event `File Download`; none: no such event.
    pub downloads: Option<Vec<String>>,
    /// Whether `Sec-GPC: 1` and `DNT: 1` are obeyed.
    pub respect_gpc: bool,
    /// What keeps a request from being counted.
    pub exclude_when: Vec<Sign>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            count: Count::Always,
            include: "/**".parse().into_iter().collect(),
            exclude: Vec::new(),
            bots: Bots::Skip,
            not_found: false,
            downloads: None,
            respect_gpc: false,
            exclude_when: Vec::new(),
        }
    }
}

impl Rules {
    /// The domain that an event goes to: the site's, or the one that gets the bots.
    pub fn domain_of<'a>(&'a self, what: What<'_>, site: &'a str) -> &'a str {
        match (&self.bots, what) {
            (Bots::Domain(domain), What::Bot(_)) => domain,
            _ => site,
        }
    }

    /// Whether the path ends in one of the download extensions.
    pub(super) fn is_download(&self, path: &str) -> bool {
        let Some(list) = &self.downloads else { return false };
        let file = path.rsplit('/').next().unwrap_or_default();
        file.rsplit_once('.')
            .is_some_and(|(_, ext)| list.iter().any(|e| e.eq_ignore_ascii_case(ext)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use httparse::Header;

    #[test]
    fn a_sign_is_found_by_its_name_alone() {
        let fields = [
            Header {
                name: "Cookie",
                value: b"a=1; logged_in=yes;b",
            },
            Header {
                name: "cookie",
                value: b"c",
            },
            Header {
                name: "X-Internal",
                value: b"",
            },
        ];
        let request = Request::read("GET", "/", &fields);
        for (text, expected) in [
            ("cookie:logged_in", true),
            ("cookie:b", true),
            ("cookie:c", true),
            ("cookie:logged", false),
            ("cookie:LOGGED_IN", false),
            ("header:x-internal", true),
            ("header:x-other", false),
        ] {
            assert_eq!(text.parse::<Sign>().unwrap().is_in(&request), expected, "{text}");
        }
        for text in ["logged_in", "cookie:", "cookie: ", "query:a", "header:a b"] {
            assert_eq!(text.parse::<Sign>(), Err(NotASign), "{text}");
        }
    }
}
