//! The plain words for what metrics, `/status` and `/decisions` name by a code word: written once, for all
//! that people read.

use super::status::SendingState;

/// What a decision is to an operator. It has a colour on the live page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// A page view.
    Counted,
    /// A page that is not counted, by a rule or by what it is.
    NotCounted,
    /// A bot's request.
    Bot,
    /// Something went wrong before or behind gatecount.
    Failed,
    /// Something that pages load.
    Part,
}

impl Group {
    /// Those that the chart shows, from the bottom up.
    pub(super) const CHARTED: [Group; 4] = [Group::Counted, Group::NotCounted, Group::Bot, Group::Failed];

    /// The word for its colour, in the page's attributes.
    pub(super) fn label(self) -> &'static str {
        match self {
            Group::Counted => "counted",
            Group::NotCounted => "uncounted",
            Group::Bot => "bot",
            Group::Failed => "failed",
            Group::Part => "part",
        }
    }

    /// What the legend of the chart says.
    pub(super) fn plain(self) -> &'static str {
        match self {
            Group::Counted => "Page views",
            Group::NotCounted => "Others not counted",
            Group::Bot => "Bots",
            Group::Failed => "Errors",
            Group::Part => "What pages load",
        }
    }
}

/// A decision in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecisionWords {
    pub(super) plain: &'static str,
    pub(super) group: Group,
}

/// Every decision by its label, also those that this version does not take.
const DECISIONS: [(&str, &str, Group); 20] = [
    ("counted", "Page view", Group::Counted),
    ("soft_navigation", "Page view within the page", Group::Counted),
    ("activated", "Page view, fetched ahead", Group::Counted),
    ("declared", "Page view, says the app", Group::Counted),
    ("tracked", "Counted by the script", Group::NotCounted),
    ("not_page", "Not a page", Group::Part),
    ("not_html", "No HTML", Group::NotCounted),
    ("redirect", "Redirect", Group::NotCounted),
    ("error_status", "Error", Group::Failed),
    ("not_found", "Not found", Group::Failed),
    ("download", "Download", Group::NotCounted),
    ("prefetch", "Fetched ahead, not shown", Group::NotCounted),
    ("bot", "Bot", Group::Bot),
    ("excluded", "Excluded by a rule", Group::NotCounted),
    ("unknown_site", "No site has this host", Group::NotCounted),
    ("opted_out", "Visitor opted out", Group::NotCounted),
    ("suppressed", "Not counted, says the app", Group::NotCounted),
    ("no_client", "Client's address unknown", Group::Failed),
    ("aborted", "Client left early", Group::Failed),
    ("dedicated", "Tracker's own path", Group::Part),
];

/// The words for a decision, by its label.
pub(super) fn of_decision(label: &str) -> DecisionWords {
    let found = DECISIONS.iter().find(|(known, ..)| *known == label);
    let (_, plain, group) = found.unwrap_or(&("", "Decided", Group::NotCounted));
    DecisionWords { plain, group: *group }
}

/// How an event ended, by the label of its outcome.
pub(super) fn of_outcome(label: &str) -> &str {
    match label {
        "delivered" => "Delivered",
        "dropped_by_plausible" => "Dropped by Plausible",
        "rejected" => "Rejected by Plausible",
        "expired" => "Too old when it could go",
        "evicted" => "Gave way in a full queue",
        "corrupt" => "Damaged on the disk",
        "overflow" => "Came faster than it could be taken",
        "tracked" => "Counted by the script",
        "published" => "In the shared stream",
        "handed_over" => "Left to another gateway",
        other => other,
    }
}

/// What delivery is doing.
pub(super) fn of_state(state: SendingState) -> &'static str {
    match state {
        SendingState::Starting => "Starting",
        SendingState::Passing => "Sending",
        SendingState::Failing => "The last try failed",
        SendingState::Tripped => "Paused, trying now and then",
        SendingState::Probing => "Trying with one event",
        SendingState::Restarting => "Starting again",
        SendingState::Stopped => "Stopped",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::page::Decision;

    #[test]
    fn every_decision_has_words_of_its_own() {
        for decision in Decision::ALL {
            let label = decision.label();
            assert!(DECISIONS.iter().any(|(known, ..)| *known == label), "{label}");
            let is_part = of_decision(label).group == Group::Part;
            assert_ne!(is_part, decision.is_about_a_page(), "{label}");
        }
        let plain: BTreeSet<&str> = DECISIONS.iter().map(|(_, plain, _)| *plain).collect();
        assert_eq!(plain.len(), DECISIONS.len());
    }

    #[test]
    fn a_word_that_is_not_known_has_some_words_all_the_same() {
        assert_eq!(of_decision("later").plain, "Decided");
        assert_eq!(of_outcome("later"), "later");
    }
}
