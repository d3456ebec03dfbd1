//! What has arrived, counted. Every part is bounded: a demo that runs for a year stays small.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use crate::plausible::{Accepted, FieldErrors, TrafficSource};

/// A visit ends when nothing came for this long, as with Plausible.
const VISIT: Duration = Duration::from_mins(30);
/// Who was here within this time is here now, as with Plausible.
const CURRENT: Duration = Duration::from_mins(5);
/// Visitors beyond this are not told apart: their views count, they do not.
const MAX_VISITORS: usize = 50_000;
/// Names beyond this are summed up in one.
const MAX_NAMES: usize = 1_000;
const OTHERS: &str = "(others)";
/// The newest arrivals that are kept.
const MAX_LATEST: usize = 40;
/// A detail of an arrival is cut after this many characters.
const MAX_DETAIL: usize = 200;

/// The chart's columns.
pub(super) const COLUMNS: usize = 60;
/// The time that one column stands for.
pub(super) const COLUMN: Duration = Duration::from_secs(5);

/// When something arrived.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Monotonic, since the receiver's start.
    pub(super) since_start: Duration,
    /// For people.
    pub(super) clock: SystemTime,
}

/// All that is known.
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
    /// Page views by column, the newest last; `column` is its number since the start.
    columns: VecDeque<u64>,
    column: u64,
}

/// A visitor's last visit.
struct Visit {
    last: Duration,
    /// Nothing more than its first page was seen.
    bounce: bool,
}

/// One request to `/api/event`, for the list of the newest.
pub(super) struct Arrival {
    /// Its number since the start.
    pub(super) seq: u64,
    pub(super) clock: SystemTime,
    pub(super) fate: Fate,
    /// The event's name; empty of a refused one.
    pub(super) name: String,
    /// Host and path of its url; empty of a refused one.
    pub(super) place: String,
    /// Who and from where, in words.
    pub(super) about: Vec<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Counted,
    Dropped,
    Refused,
}

/// Counts by name, the number of names bounded.
#[derive(Default)]
struct Tally(HashMap<String, u64>);

impl Board {
    /// An empty one. `salt` keeps visitors' identities of this run from being those of another.
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
    pub(super) fn count(&mut self, event: &Accepted, domain: &str, now: Moment) {
        let source = event.source();
        match event.name.as_str() {
            "pageview" => {
                self.views += 1;
                self.turn_to(now);
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
        self.see(event.visitor(domain, self.salt), ends_bounce, now);

        let mut about = about(event);
        if let (TrafficSource::Named(name), "pageview") = (&source, event.name.as_str()) {
            about.insert(0, format!("from {name}"));
        }
        self.arrive(Fate::Counted, Some(event), about, now);
    }

    /// Notes an event that no site takes.
    pub(super) fn drop_event(&mut self, event: &Accepted, reason: &str, now: Moment) {
        self.dropped += 1;
        let mut about = about(event);
        about.insert(0, reason.to_owned());
        self.arrive(Fate::Dropped, Some(event), about, now);
    }

    /// Notes an invalid event.
    pub(super) fn refuse(&mut self, errors: &FieldErrors, now: Moment) {
        self.refused += 1;
        let about = errors
            .iter()
            .map(|(field, text)| format!("{field}: {text}"))
            .collect();
        self.arrive(Fate::Refused, None, about, now);
    }

    /// The visitors seen so far.
    pub(super) fn unique(&self) -> u64 {
        self.visitors.len() as u64
    }

    /// The visitors seen lately.
    pub(super) fn current(&self, now: Moment) -> usize {
        let here = |v: &&Visit| now.since_start.saturating_sub(v.last) < CURRENT;
        self.visitors.values().filter(here).count()
    }

    /// The share of visits with one page alone, in per cent.
    pub(super) fn bounce_rate(&self) -> Option<u64> {
        (self.bounces * 100 + self.visits / 2).checked_div(self.visits)
    }

    /// The pages most seen, with their views.
    pub(super) fn pages(&self, most: usize) -> Vec<(&str, u64)> {
        self.pages.top(most)
    }

    /// Where most arrivals came from.
    pub(super) fn sources(&self, most: usize) -> Vec<(&str, u64)> {
        self.sources.top(most)
    }

    /// The custom events seen most.
    pub(super) fn customs(&self, most: usize) -> Vec<(&str, u64)> {
        self.customs.top(most)
    }

    /// Page views by column up to now, oldest first, [`COLUMNS`] of them.
    pub(super) fn chart(&self, now: Moment) -> impl Iterator<Item = u64> + Clone {
        let passed = usize::try_from(column(now) - self.column)
            .unwrap_or(COLUMNS)
            .min(COLUMNS);
        self.columns
            .iter()
            .skip(passed)
            .copied()
            .chain(std::iter::repeat_n(0, passed))
    }

    /// A sign of a visitor: of a visit under way, or of a new one.
    fn see(&mut self, visitor: u64, ends_bounce: bool, now: Moment) {
        let full = self.visitors.len() >= MAX_VISITORS;
        match self.visitors.get_mut(&visitor) {
            Some(visit) if now.since_start.saturating_sub(visit.last) < VISIT => {
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

    fn arrive(&mut self, fate: Fate, event: Option<&Accepted>, about: Vec<String>, now: Moment) {
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

    /// Moves the chart on, so that the newest column is now's.
    fn turn_to(&mut self, now: Moment) {
        let chart: VecDeque<u64> = self.chart(now).collect();
        self.columns = chart;
        self.column = column(now);
    }
}

impl Tally {
    fn add(&mut self, name: &str) {
        let room = self.0.len() < MAX_NAMES;
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None if room => {
                self.0.insert(name.to_owned(), 1);
            }
            None => *self.0.entry(OTHERS.to_owned()).or_default() += 1,
        }
    }

    /// The names with the highest counts; equal ones by name, so that the order rests.
    fn top(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(most);
        all
    }
}

fn column(now: Moment) -> u64 {
    now.since_start.as_secs() / COLUMN.as_secs()
}

/// A detail at a length that can be shown.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_DETAIL) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What else an event tells, in words.
fn about(event: &Accepted) -> Vec<String> {
    let mut about = vec![
        format!("{} by {}", event.client, event.client_from),
        String::from_utf8_lossy(&event.user_agent).into_owned(),
    ];
    about.extend(event.props.iter().map(|(key, value)| format!("{key} = {value}")));
    if let Some(revenue) = &event.revenue {
        about.push(format!("{} {}", revenue.amount, revenue.currency));
    }
    about
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plausible::accept;

    fn at(seconds: u64) -> Moment {
        Moment {
            since_start: Duration::from_secs(seconds),
            clock: SystemTime::UNIX_EPOCH,
        }
    }

    fn event(client: &str, body: &Value) -> Accepted {
        let fields = [
            ("user-agent", "Mozilla/5.0"),
            ("content-type", "application/json"),
            ("x-forwarded-for", client),
        ]
        .map(|(name, value)| httparse::Header {
            name,
            value: value.as_bytes(),
        });
        accept(&fields, [127, 0, 0, 1].into(), body.to_string().as_bytes()).unwrap()
    }

    fn view(client: &str, path: &str, referrer: Option<&str>) -> Accepted {
        let url = format!("https://example.com{path}");
        event(
            client,
            &json!({"n": "pageview", "u": url, "d": "example.com", "r": referrer}),
        )
    }

    #[test]
    fn views_visitors_and_bounces_are_counted() {
        let mut board = Board::new(1);
        board.count(&view("192.0.2.1", "/", None), "example.com", at(0));
        board.count(
            &view("192.0.2.1", "/a", Some("https://example.com/")),
            "example.com",
            at(9),
        );
        board.count(
            &view("192.0.2.2", "/a", Some("https://search.example/")),
            "example.com",
            at(10),
        );
        assert_eq!((board.views, board.unique(), board.visits), (3, 2, 2));
        assert_eq!(board.bounce_rate(), Some(50));
        assert_eq!(board.pages(9), [("/a", 2), ("/", 1)]);
        assert_eq!(board.sources(9), [("Direct / None", 1), ("search.example", 1)]);
        assert_eq!(board.current(at(305)), 2);
        assert_eq!(board.current(at(309)), 1);
        assert_eq!(Board::new(1).bounce_rate(), None);
    }

    #[test]
    fn a_visitor_who_returns_after_half_an_hour_visits_again() {
        let mut board = Board::new(1);
        for seconds in [0, 1_799, 3_599] {
            board.count(&view("192.0.2.1", "/", None), "example.com", at(seconds));
        }
        assert_eq!(
            (board.unique(), board.visits, board.bounce_rate()),
            (1, 2, Some(50))
        );
    }

    #[test]
    fn custom_events_are_no_views_and_end_a_bounce_only_if_interactive() {
        let mut board = Board::new(1);
        board.count(&view("192.0.2.1", "/", None), "example.com", at(0));
        let named = |name: &str, interactive: bool| {
            event(
                "192.0.2.1",
                &json!({"n": name, "u": "https://example.com/", "d": "example.com", "i": interactive, "sd": 5}),
            )
        };
        board.count(&named("engagement", true), "example.com", at(1));
        board.count(&named("404", false), "example.com", at(2));
        assert_eq!((board.views, board.bounce_rate()), (1, Some(100)));
        assert_eq!(board.customs(9), [("404", 1)]);
        board.count(&named("Signup", true), "example.com", at(3));
        assert_eq!((board.views, board.bounce_rate()), (1, Some(0)));
    }

    #[test]
    fn the_chart_moves_with_time() {
        let mut board = Board::new(1);
        let mut see = |seconds| board.count(&view("192.0.2.1", "/", None), "example.com", at(seconds));
        see(1);
        see(4);
        see(6);
        let shown = |seconds| board.chart(at(seconds)).collect::<Vec<_>>();
        assert_eq!(shown(9)[57..], [0, 2, 1]);
        assert_eq!(shown(16)[56..], [2, 1, 0, 0]);
        assert_eq!(shown(16).len(), COLUMNS);
        assert_eq!(shown(9_999), [0; COLUMNS]);
    }

    #[test]
    fn long_details_are_cut_at_a_character() {
        let mut board = Board::new(1);
        let long = "ü".repeat(900);
        board.count(
            &view("192.0.2.1", &format!("/{long}"), None),
            "example.com",
            at(0),
        );
        assert_eq!(board.latest[0].place.chars().count(), MAX_DETAIL + 1);
        assert!(board.latest[0].place.ends_with("ü…"));
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut board = Board::new(1);
        for i in 0..MAX_NAMES + 50 {
            board.count(&view("192.0.2.1", &format!("/{i}"), None), "example.com", at(0));
        }
        assert_eq!(board.pages(1), [(OTHERS, 50)]);
        assert_eq!(board.pages(usize::MAX).len(), MAX_NAMES + 1);
        assert_eq!(board.latest.len(), MAX_LATEST);
        assert_eq!(board.latest[0].seq, (MAX_NAMES + 50) as u64);
    }
}
