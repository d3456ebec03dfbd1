//! What was decided for a request, and the event that follows from it.

use std::fmt;

use super::bots::{Bot, BotKind};

/// A decision with its reason, and the event that is sent for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The reason: a sentence for the operator. It has nothing of the request in it.
    pub why: &'static str,
    /// The event, if any.
    pub event: Option<EventKind<'static>>,
}

impl Verdict {
    /// A verdict without an event.
    pub(super) fn silent(decision: Decision, why: &'static str) -> Self {
        Verdict {
            decision,
            why,
            event: None,
        }
    }
}

/// What an event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// A page was shown.
    PageView,
    /// A 404 page was shown.
    NotFound,
    /// A file was downloaded.
    Download,
    /// A bot fetched a page.
    Bot {
        /// The bot's name.
        name: &'a str,
        /// What it fetches pages for.
        kind: BotKind,
    },
    /// What this name stands for at the site: an event of a rule or of the app.
    Custom(&'a str),
}

impl EventKind<'static> {
    /// A bot fetched a page.
    pub(super) fn of_bot(bot: &'static Bot) -> Self {
        EventKind::Bot {
            name: bot.name,
            kind: bot.kind,
        }
    }
}

/// What was decided: one decision per request, from a closed list. Its name is the label of
/// `gatecount_decisions_total` and the word in `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// A page view. Its event goes to Plausible.
    Counted,
    /// A script showed another page in the place of the one before. Its event goes to Plausible.
    SoftNavigation,
    /// A page that was fetched ahead was then shown. Its event goes to Plausible.
    Activated,
    /// The app said that a page was shown, where the rules would not have counted one. Its event goes to
    /// Plausible.
    Declared,
    /// A page view that the tracker script counted itself, or that another of its reports stands for.
    Tracked,
    /// Not a navigation, or the response has nothing that a browser shows.
    NotPage,
    /// A navigation answered with something other than a document.
    NotHtml,
    /// A redirect: its target is the page.
    Redirect,
    /// An error other than 404.
    ErrorStatus,
    /// A 404. The event `404` is sent where the configuration asks for it.
    NotFound,
    /// A file. The event `File Download` is sent where the configuration asks for it.
    Download,
    /// Prefetched or prerendered, and not yet shown.
    Prefetch,
    /// A crawler, a tool, a headless browser.
    Bot,
    /// Excluded by the configuration.
    Excluded,
    /// No site matches the host.
    UnknownSite,
    /// The browser asks not to be tracked, and the configuration respects that.
    OptedOut,
    /// The app said that this is not to be counted.
    Suppressed,
    /// No client address is known.
    NoClient,
    /// No response head reached the client.
    Aborted,
    /// A path of the tracker, which gatecount answers itself. The pixel's page view is sent nevertheless.
    Dedicated,
}

impl Decision {
    /// Every decision, in the order of their declaration.
    pub const ALL: [Decision; 20] = [
        Decision::Counted,
        Decision::SoftNavigation,
        Decision::Activated,
        Decision::Declared,
        Decision::Tracked,
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
        Decision::Suppressed,
        Decision::NoClient,
        Decision::Aborted,
        Decision::Dedicated,
    ];

    /// Whether it was taken because of who asks, and so holds for all that the request is.
    pub fn is_about_the_visitor(self) -> bool {
        matches!(
            self,
            Decision::Prefetch
                | Decision::Bot
                | Decision::UnknownSite
                | Decision::OptedOut
                | Decision::NoClient
        )
    }

    /// Whether it was taken about a page, counted or not, and not about something that pages load.
    pub fn is_about_a_page(self) -> bool {
        !matches!(self, Decision::NotPage | Decision::Dedicated)
    }

    /// Whether operators may see the client's network: not where the visitor or the app asked not to count.
    pub fn lets_the_client_be_seen(self) -> bool {
        !matches!(self, Decision::OptedOut | Decision::Suppressed)
    }

    /// The word for metrics, logs and `explain`.
    pub fn label(self) -> &'static str {
        match self {
            Decision::Counted => "counted",
            Decision::SoftNavigation => "soft_navigation",
            Decision::Activated => "activated",
            Decision::Declared => "declared",
            Decision::Tracked => "tracked",
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
            Decision::Suppressed => "suppressed",
            Decision::NoClient => "no_client",
            Decision::Aborted => "aborted",
            Decision::Dedicated => "dedicated",
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
