//! The closed list of what can be decided about a request.

/// What was decided about a request; one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A page view, counted.
    Counted,
    /// Not a navigation of a browser's main frame.
    NotPage,
    /// A navigation that was answered with something that is no document.
    NotHtml,
    /// The target of the redirect is the page.
    Redirect,
    /// An error was shown, not the page.
    ErrorStatus,
    /// 404; may be the event of that name.
    NotFound,
    /// A file was saved, not shown.
    Download,
    /// Fetched before it is shown, if ever.
    Prefetch,
    /// No person asked.
    Bot,
    /// `[pages]` leaves it out.
    Excluded,
    /// No site has this host.
    UnknownSite,
    /// The visitor asks not to be counted, and `respect_gpc` is on.
    OptedOut,
    /// There is no client address to count it under.
    NoClient,
    /// The client left before a response's head reached it.
    Aborted,
}

impl Decision {
    /// All of them, each at its own number.
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

    /// The word in metrics, logs and `explain`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decision_stands_at_its_own_number() {
        for (at, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(decision as usize, at, "{}", decision.label());
        }
    }
}
