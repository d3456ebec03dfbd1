//! Where in a user agent a line of the tables counts.

/// Where a text counts.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Anywhere,
    /// At the user agent's start (`^`).
    Start,
    /// As a whole name where bots have theirs (`>`).
    Own,
}

impl Place {
    /// The place that a line's text asks for, and the text without the sign for it.
    pub(super) fn of_text(text: &str) -> (Self, &str) {
        match text.as_bytes().first() {
            Some(b'^') => (Place::Start, &text[1..]),
            Some(b'>') => (Place::Own, &text[1..]),
            _ => (Place::Anywhere, text),
        }
    }

    /// Whether the text counts if it is at `start..end`.
    pub(super) fn is_at(self, agent: &[u8], start: usize, end: usize) -> bool {
        match self {
            Place::Anywhere => true,
            Place::Start => start == 0,
            Place::Own => is_whole_name(agent, start, end) && is_where_bots_are(&agent[..start]),
        }
    }
}

/// `Code` in `Code/1.0`, `Code;` and `Code)`, not in `QRCode/1.0`, `Code-Reader/1.0` and `Code Reader`.
fn is_whole_name(agent: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).map(|at| agent[at]);
    let is_start = !before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let is_end = agent
        .get(end)
        .is_none_or(|b| matches!(b, b'/' | b';' | b')' | b','));
    is_start && is_end
}

/// Whether a bot's name may follow: at the start, behind `compatible;`, and behind a whole browser. What is built on
/// a browser, like an editor with a page in a window, has its name before `Chrome/`.
fn is_where_bots_are(before: &[u8]) -> bool {
    const COMPATIBLE: &[u8] = b"compatible;";
    let trimmed = before.trim_ascii_end();
    let last = &trimmed[trimmed.len().saturating_sub(COMPATIBLE.len())..];
    before.is_empty()
        || last.eq_ignore_ascii_case(COMPATIBLE)
        || [&b" Safari/"[..], b" Firefox/"]
            .iter()
            .any(|browser| memchr::memmem::find(before, browser).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(agent: &str, name: &str) -> bool {
        let start = agent.find(name).unwrap();
        Place::Own.is_at(agent.as_bytes(), start, start + name.len())
    }

    #[test]
    fn a_name_counts_where_bots_have_theirs() {
        for agent in [
            "Code",
            "Code/1.0",
            "Mozilla/5.0 (compatible; Code/1.0)",
            "Mozilla/5.0 (Compatible;Code)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36 Code/1.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36 Edg/141.0 Code",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 (Code/1.0)",
        ] {
            assert!(counts(agent, "Code"), "{agent}");
        }
    }

    #[test]
    fn it_counts_neither_in_an_app_built_on_a_browser_nor_as_a_part_of_another_name() {
        for agent in [
            // An editor.
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.96.2 Chrome/128.0 Electron/32.2.6 Safari/537.36",
            "Mozilla/5.0 (Linux; Android 14; Code 5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Mobile Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36 QRCode/1.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36 Code Reader/1.0",
            "QR-Code/1.0",
            "Code-Reader/1.0",
        ] {
            assert!(!counts(agent, "Code"), "{agent}");
        }
    }
}
