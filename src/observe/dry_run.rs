//! Reads a whole log and tells what would be counted. Nothing is sent or stored.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use super::{
    format::LogLine,
    lines::{self, MAX_LINE, Piece},
    observed::{Counted, Decided, Observed, decide},
    rules::ObserveRules,
    settings::LineFormat,
};
use crate::page::Decision;

/// Bytes that are read at once.
const READ: usize = 4 * MAX_LINE;
/// The most different pages that are counted one by one.
const MAX_PAGES: usize = 100_000;

/// What a log would bring.
#[derive(Debug)]
pub struct DryRun {
    rules: ObserveRules,
    format: LineFormat,
    counted: Counted,
    /// Lines of requests older than this, in milliseconds since 1970, are told of: their events would expire.
    too_old: u64,
    /// Lines by what became of them.
    pub lines: LineCounts,
    decisions: [(u64, Option<Example>); Decision::ALL.len()],
    pages: HashMap<String, u64>,
    /// A buffer for a page's url.
    url: String,
}

/// Lines by what became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LineCounts {
    /// They told of a request.
    pub decided: u64,
    /// They are none of the format.
    pub malformed: u64,
    /// They are longer than a line may be.
    pub too_long: u64,
    /// Of the events that they make, so many are too old to be sent.
    pub expired: u64,
    /// Pages that are not counted one by one, as there are too many.
    pub other_pages: u64,
}

/// The first request of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Method, host and target.
    pub request: String,
    /// The reason of the decision.
    pub why: &'static str,
}

impl DryRun {
    /// Decides by these rules. Events before `too_old`, in milliseconds since 1970, would expire.
    pub fn new(rules: ObserveRules, format: LineFormat, too_old: u64) -> Self {
        DryRun {
            rules,
            format,
            counted: Counted::default(),
            too_old,
            lines: LineCounts::default(),
            decisions: [const { (0, None) }; Decision::ALL.len()],
            pages: HashMap::new(),
            url: String::new(),
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; READ];
        let (mut filled, mut skipping) = (0, false);
        loop {
            let read = match from.read(&mut buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            filled += read;
            let done = lines::take(&buffer[..filled], &mut skipping, |piece, _| match piece {
                Piece::Line(line) => self.line(line),
                Piece::TooLong => self.lines.too_long += 1,
            });
            buffer.copy_within(done..filled, 0);
            filled -= done;
            if read == 0 {
                // The last line may lack its end.
                if filled > 0 {
                    self.line(&buffer[..filled]);
                }
                return Ok(());
            }
        }
    }

    /// How often each decision was taken, and its first request; the most frequent first.
    pub fn decisions(&self) -> Vec<(Decision, u64, &Example)> {
        let mut taken: Vec<_> = Decision::ALL
            .into_iter()
            .zip(&self.decisions)
            .filter_map(|(decision, (count, example))| Some((decision, *count, example.as_ref()?)))
            .collect();
        taken.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        taken
    }

    /// The pages that were seen most, at most `most` of them.
    pub fn pages(&self, most: usize) -> Vec<(&str, u64)> {
        let mut pages: Vec<_> = self
            .pages
            .iter()
            .map(|(url, count)| (url.as_str(), *count))
            .collect();
        pages.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        pages.truncate(most);
        pages
    }

    fn line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        match self.format.parse(&text) {
            None => self.lines.malformed += 1,
            Some(parsed) => self.request(&parsed),
        }
    }

    fn request(&mut self, line: &LogLine<'_>) {
        self.lines.decided += 1;
        let at = line.time().unwrap_or(u64::MAX);
        line.observed(|seen| {
            decide(&self.rules, &self.counted, seen, at, |decided| {
                let (count, example) = &mut self.decisions[decided.verdict.decision as usize];
                *count += 1;
                if example.is_none() {
                    *example = Some(example_of(seen, decided));
                }
                if decided.sighting.is_some() {
                    self.lines.expired += u64::from(at < self.too_old);
                    if matches!(decided.verdict.decision, Decision::Counted) {
                        write_page(&mut self.url, seen, decided);
                        count_page(&mut self.pages, &mut self.lines, &self.url);
                    }
                }
            });
        });
    }
}

fn example_of(seen: &Observed<'_>, decided: &Decided<'_>) -> Example {
    Example {
        request: format!("{} {}{}", seen.method, decided.host, seen.target),
        why: decided.verdict.why,
    }
}

/// The page's url without its query, into `url`.
fn write_page(url: &mut String, seen: &Observed<'_>, decided: &Decided<'_>) {
    url.clear();
    if !decided.host.is_empty() {
        url.push_str(if decided.https { "https://" } else { "http://" });
        url.push_str(decided.host);
    }
    url.push_str(seen.target.split(['?', '#']).next().unwrap_or_default());
}

fn count_page(pages: &mut HashMap<String, u64>, lines: &mut LineCounts, url: &str) {
    if let Some(count) = pages.get_mut(url) {
        *count += 1;
    } else if pages.len() < MAX_PAGES {
        pages.insert(url.to_owned(), 1);
    } else {
        lines.other_pages += 1;
    }
}
