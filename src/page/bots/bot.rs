//! A bot, and what it fetches pages for.

/// The name of a bot that no line of the tables names.
pub const OTHER: &str = "Other";

/// A bot, and what shows that it is one.
#[derive(Debug, PartialEq, Eq)]
pub struct Bot {
    /// Its name, or [`OTHER`].
    pub name: &'static str,
    /// What it fetches pages for.
    pub kind: BotKind,
    /// What shows that it is one: a sentence for the operator.
    pub why: &'static str,
    /// The line that matched, if a table decided.
    pub line: Option<TableLine>,
}

/// A line of one of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLine {
    /// The table's file name.
    pub table: &'static str,
    /// The line as it is in the file.
    pub text: &'static str,
}

/// What a bot fetches pages for. Its label is the value of the prop `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotKind {
    /// The index of a search engine.
    Search,
    /// An index from which an assistant answers.
    AiIndex,
    /// A person who asked an assistant for this page.
    AiUser,
    /// Models and data sets.
    AiTraining,
    /// The preview of a link.
    Preview,
    /// Whether the site is up, fast and right.
    Monitor,
    /// News for a reader of feeds.
    Feed,
    /// Whatever the program was written for: libraries, command line tools, browsers without a person.
    Tool,
    /// Anything else, or nobody knows.
    Other,
}

impl BotKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [BotKind; 9] = [
        BotKind::Search,
        BotKind::AiIndex,
        BotKind::AiUser,
        BotKind::AiTraining,
        BotKind::Preview,
        BotKind::Monitor,
        BotKind::Feed,
        BotKind::Tool,
        BotKind::Other,
    ];

    /// The word in the tables and at Plausible.
    pub fn label(self) -> &'static str {
        match self {
            BotKind::Search => "search",
            BotKind::AiIndex => "ai_index",
            BotKind::AiUser => "ai_user",
            BotKind::AiTraining => "ai_training",
            BotKind::Preview => "preview",
            BotKind::Monitor => "monitor",
            BotKind::Feed => "feed",
            BotKind::Tool => "tool",
            BotKind::Other => "other",
        }
    }

    /// The kind of a label.
    pub fn of(label: &str) -> Option<Self> {
        BotKind::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_the_order_of_declaration_so_that_a_number_stands_for_a_kind() {
        for (index, kind) in BotKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(BotKind::of(kind.label()), Some(kind));
        }
        assert_eq!(BotKind::of("nothing"), None);
    }
}
