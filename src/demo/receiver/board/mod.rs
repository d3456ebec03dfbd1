//! Counts the events that have arrived. Every part is bounded: a demo that runs for a year stays small.

mod agent;
mod tally;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, SystemTime},
};

use crate::plausible::{Accepted, FieldErrors, TrafficSource};

use self::tally::Tally;

/// A visit ends after this time without an event, as in Plausible.
const VISIT_TIMEOUT: Duration = Duration::from_mins(30);
/// A visitor is a current visitor for this long after an event, as in Plausible.
const CURRENT_SPAN: Duration = Duration::from_mins(5);
/// Visitors beyond this are not counted as visitors. Their page views are.
const MAX_VISITORS: usize = 50_000;
/// How many of the newest arrivals are kept.
const MAX_LATEST: usize = 12;
/// Longer details of an arrival are cut, in characters.
const MAX_DETAIL: usize = 200;

/// How many columns the chart has.
pub(super) const COLUMNS: usize = 60;
/// The time span of one column.
pub(super) const COLUMN: Duration = Duration::from_secs(5);

/// When an event was received.
#[derive(Clone, Copy)]
pub(super) struct ReceivedAt {
    /// Since the receiver's start, by the monotonic clock.
    pub(super) since_start: Duration,
    /// The wall clock, for display.
    pub(super) clock: SystemTime,
}

/// Everything that was counted.
pub(super) struct Board {
    salt: u64,
    visitors: HashMap<u64, Visit>,
    pub(super) visits: u64,
    bounces: u64,
    pub(super) views: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
    arrivals: u64,
    pages: Tally,
    sources: Tally,
    customs: Tally,
    pub(super) latest: VecDeque<Arrival>,
    /// Page views by column, the newest last. `column` is the number of the newest since the start.
    columns: VecDeque<u64>,
    column: u64,
}

/// A visitor's last visit.
struct Visit {
    last: Duration,
    /// Only one page was seen so far.
    bounce: bool,
}

/// One request to `/api/event`, for the list of the newest.
pub(super) struct Arrival {
    /// Its number since the start.
    pub(super) seq: u64,
    pub(super) clock: SystemTime,
    pub(super) fate: Fate,
    /// The event's name; empty if it was refused.
    pub(super) name: String,
    /// Host and path of the event's url; empty if it was refused.
    pub(super) place: String,
    /// Further details in words.
    pub(super) about: Vec<String>,
}

/// What was done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Counted,
    Dropped,
    Refused,
}

impl Board {
    /// An empty board. `salt` makes the visitors' ids differ from those of another run.
    pub(super) fn new(salt: u64) -> Board {
        Board {
            salt,
            visitors: HashMap::new(),
            visits: 0,
            bounces: 0,
            views: 0,
            dropped: 0,
            refused: 0,
            arrivals: 0,
            pages: Tally::default(),
            sources: Tally::default(),
            customs: Tally::default(),
            latest: VecDeque::new(),
            columns: VecDeque::from(vec![0; COLUMNS]),
            column: 0,
        }
    }

    /// Counts an event for the site.
    pub(super) fn count(&mut self, event: &Accepted, domain: &str, now: ReceivedAt) {
        let source = event.source();
        match event.name.as_str() {
            "pageview" => {
                self.views += 1;
                self.advance_chart(now);
                if let Some(newest) = self.columns.back_mut() {
                    *newest += 1;
                }
                self.pages.add(&event.path);
                match &source {
                    TrafficSource::Named(name) => self.sources.add(name),
                    TrafficSource::Direct => self.sources.add("Direct / None"),
                    TrafficSource::Internal => {}
                }
            }
            "engagement" => {}
            custom => self.customs.add(custom),
        }
        let ends_bounce = event.interactive && event.name != "engagement";
        self.record_visit(event.visitor(domain, self.salt), ends_bounce, now);

        let mut about = about(event);
        if let (TrafficSource::Named(name), "pageview") = (&source, event.name.as_str()) {
            about.insert(0, format!("from {name}"));
        }
        self.arrive(Fate::Counted, Some(event), about, now);
    }

    /// Records an event that no site takes.
    pub(super) fn drop_event(&mut self, event: &Accepted, reason: &str, now: ReceivedAt) {
        self.dropped += 1;
        let mut about = about(event);
        about.insert(0, reason.to_owned());
        self.arrive(Fate::Dropped, Some(event), about, now);
    }

    /// Records an invalid event.
    pub(super) fn refuse(&mut self, errors: &FieldErrors, now: ReceivedAt) {
        self.refused += 1;
        let about = errors
            .iter()
            .map(|(field, text)| format!("{field}: {text}"))
            .collect();
        self.arrive(Fate::Refused, None, about, now);
    }

    /// The number of visitors so far.
    pub(super) fn unique(&self) -> u64 {
        self.visitors.len() as u64
    }

    /// The number of current visitors.
    pub(super) fn current(&self, now: ReceivedAt) -> usize {
        let here = |v: &&Visit| now.since_start.saturating_sub(v.last) < CURRENT_SPAN;
        self.visitors.values().filter(here).count()
    }

    /// The share of visits with a single page, in per cent.
    pub(super) fn bounce_rate(&self) -> Option<u64> {
        (self.bounces * 100 + self.visits / 2).checked_div(self.visits)
    }

    /// The pages with the most views.
    pub(super) fn pages(&self, most: usize) -> Vec<(&str, u64)> {
        self.pages.top(most)
    }

    /// The sources with the most arrivals.
    pub(super) fn sources(&self, most: usize) -> Vec<(&str, u64)> {
        self.sources.top(most)
    }

    /// The most frequent custom events.
    pub(super) fn customs(&self, most: usize) -> Vec<(&str, u64)> {
        self.customs.top(most)
    }

    /// Page views by column up to now, oldest first, [`COLUMNS`] of them.
    pub(super) fn chart(&self, now: ReceivedAt) -> impl Iterator<Item = u64> + Clone {
        let passed = usize::try_from(column(now) - self.column)
            .unwrap_or(COLUMNS)
            .min(COLUMNS);
        self.columns
            .iter()
            .skip(passed)
            .copied()
            .chain(std::iter::repeat_n(0, passed))
    }

    /// Continues the visitor's visit, or begins a new one.
    fn record_visit(&mut self, visitor: u64, ends_bounce: bool, now: ReceivedAt) {
        let full = self.visitors.len() >= MAX_VISITORS;
        match self.visitors.get_mut(&visitor) {
            Some(visit) if now.since_start.saturating_sub(visit.last) < VISIT_TIMEOUT => {
                visit.last = now.since_start;
                if visit.bounce && ends_bounce {
                    visit.bounce = false;
                    self.bounces -= 1;
                }
                return;
            }
            None if full => return,
            _ => {}
        }
        self.visits += 1;
        self.bounces += 1;
        let visit = Visit {
            last: now.since_start,
            bounce: true,
        };
        self.visitors.insert(visitor, visit);
    }

    fn arrive(&mut self, fate: Fate, event: Option<&Accepted>, about: Vec<String>, now: ReceivedAt) {
        self.arrivals += 1;
        let about = about.into_iter().map(cut).collect();
        self.latest.truncate(MAX_LATEST - 1);
        self.latest.push_front(Arrival {
            seq: self.arrivals,
            clock: now.clock,
            fate,
            name: event.map_or(String::new(), |e| e.name.clone()),
            place: event.map_or(String::new(), |e| cut(format!("{}{}", e.host, e.path))),
            about,
        });
    }

    /// Moves the chart so that its newest column is the current one.
    fn advance_chart(&mut self, now: ReceivedAt) {
        let chart: VecDeque<u64> = self.chart(now).collect();
        self.columns = chart;
        self.column = column(now);
    }
}

fn column(now: ReceivedAt) -> u64 {
    now.since_start.as_secs() / COLUMN.as_secs()
}

/// Cuts a long detail.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_DETAIL) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Further details of an event, in words.
fn about(event: &Accepted) -> Vec<String> {
    let mut about = vec![
        format!("{} by {}", event.client, event.client_from),
        agent::name_of(&String::from_utf8_lossy(&event.user_agent)),
    ];
    about.extend(event.props.iter().map(|(key, value)| format!("{key} = {value}")));
    if let Some(revenue) = &event.revenue {
        about.push(format!("{} {}", revenue.amount, revenue.currency));
    }
    about
}
