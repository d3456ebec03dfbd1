//! What was decided of a request: a closed list.

use std::fmt;

/// One for each request: the label of `gatecount_decisions_total` and the word in `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// A page view; its event goes to Plausible.
    Counted,
    /// Not a navigation, or answered with nothing that a browser shows.
    NotPage,
    /// A navigation answered with something other than a document.
    NotHtml,
    /// A redirect: its target is the page.
    Redirect,
    /// An error other than 404.
    ErrorStatus,
    /// A 404; the event `404` goes where it is asked for.
    NotFound,
    /// A file; the event `File Download` goes where it is asked for.
    Download,
    /// Fetched ahead and not yet shown.
    Prefetch,
    /// A crawler, a tool, a headless browser.
    Bot,
    /// Left out by the configuration.
    Excluded,
    /// No site matches the host.
    UnknownSite,
    /// The visitor asked not to be counted, and that is respected.
    OptedOut,
    /// No client address is known.
    NoClient,
    /// No response head reached the client.
    Aborted,
}

impl Decision {
    /// Every decision, in the order of their declaration.
    pub const ALL: [Decision; 14] = [
        Decision::Counted,
        Decision::NotPage,
        Decision::NotHtml,
        Decision::Redirect,
        Decision::ErrorStatus,
        Decision::NotFound,
        Decision::Download,
        Decision::Prefetch,
        Decision::Bot,
        Decision::Excluded,
        Decision::UnknownSite,
        Decision::OptedOut,
        Decision::NoClient,
        Decision::Aborted,
    ];

    /// The word for metrics, logs and `explain`.
    pub fn label(self) -> &'static str {
        match self {
            Decision::Counted => "counted",
            Decision::NotPage => "not_page",
            Decision::NotHtml => "not_html",
            Decision::Redirect => "redirect",
            Decision::ErrorStatus => "error_status",
            Decision::NotFound => "not_found",
            Decision::Download => "download",
            Decision::Prefetch => "prefetch",
            Decision::Bot => "bot",
            Decision::Excluded => "excluded",
            Decision::UnknownSite => "unknown_site",
            Decision::OptedOut => "opted_out",
            Decision::NoClient => "no_client",
            Decision::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_the_order_of_declaration_so_that_it_indexes_counters() {
        for (index, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(decision as usize, index, "{decision}");
        }
    }
}
