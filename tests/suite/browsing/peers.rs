//! What others count of the same browsing: rules that plugins for proxies and web servers use.

use super::{
    drive::{Browsed, Exchange},
    tally::{Tally, View},
};

/// A rule that looks at one request and its answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// A status below 400, and an extension that is not on a list of files.
    StatusAndExtension,
    /// HTML with 200, 201 or 304.
    Html,
}

/// The files of such lists.
const FILES: [&str; 27] = [
    "js", "mjs", "css", "map", "json", "xml", "txt", "png", "jpg", "jpeg", "gif", "webp", "avif", "svg",
    "ico", "woff", "woff2", "ttf", "eot", "otf", "mp4", "webm", "mp3", "pdf", "zip", "gz", "csv",
];

impl Rule {
    pub(super) const ALL: [Rule; 2] = [Rule::StatusAndExtension, Rule::Html];

    pub(super) fn words(self) -> &'static str {
        match self {
            Rule::StatusAndExtension => "counting by status below 400 and extension",
            Rule::Html => "counting HTML with 200, 201 or 304",
        }
    }

    /// What this rule makes of the browsing.
    pub(super) fn tally(self, recording: &Browsed) -> Tally {
        let mut views = recording.steps.iter().flat_map(|step| &step.events);
        let origin = views.next().map_or("", |view| view.parts().0);
        let counted = recording.requests.iter().filter(|exchange| self.counts(exchange));
        let counted =
            counted.map(|exchange| View::new(&format!("{origin}{}", exchange.url), exchange.referrer()));
        Tally::of(&recording.steps, &counted.collect::<Vec<_>>())
    }

    fn counts(self, exchange: &Exchange) -> bool {
        let Some(response) = &exchange.response else {
            return false;
        };
        match self {
            Rule::StatusAndExtension => {
                let path = exchange.url.split('?').next().unwrap_or_default();
                let file = path.rsplit('/').next().unwrap_or_default();
                let is_file = file
                    .rsplit_once('.')
                    .is_some_and(|(_, e)| FILES.contains(&e.to_lowercase().as_str()));
                response.status < 400 && !is_file
            }
            Rule::Html => {
                let mut types = response.headers.iter().filter(|(name, _)| name == "content-type");
                matches!(response.status, 200 | 201 | 304)
                    && types.any(|(_, value)| value.starts_with("text/html"))
            }
        }
    }
}

impl Exchange {
    fn referrer(&self) -> &str {
        let mut lines = self.headers.iter();
        let line = lines.find(|(name, _)| name.eq_ignore_ascii_case("referer"));
        line.map_or("", |(_, value)| value)
    }
}
