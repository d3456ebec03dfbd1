//! The account: every event that was offered ends exactly once, or is pending.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus::{
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use super::holdings::Holdings;
use crate::clock::Clock;

/// Who offered an event: the label of `gatecount_events_offered_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A page that went through the proxy.
    Page,
    /// The app, by a response header.
    App,
    /// A rule of the configuration.
    Rule,
    /// The tracker script.
    Tracker,
    /// A request that was only observed.
    Observe,
    /// The shared stream: another process had it first.
    Stream,
}

impl Source {
    /// All of them.
    pub const ALL: [Source; 6] = [
        Source::Page,
        Source::App,
        Source::Rule,
        Source::Tracker,
        Source::Observe,
        Source::Stream,
    ];

    /// The metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Source::Page => "page",
            Source::App => "app",
            Source::Rule => "rule",
            Source::Tracker => "tracker",
            Source::Observe => "observe",
            Source::Stream => "stream",
        }
    }

    /// The tag of its records in the queue.
    pub(super) fn tag(self) -> u8 {
        self as u8
    }

    /// The tag of a record that has its place in a source that can be read again.
    pub(super) fn placed_tag(self) -> u8 {
        self.tag() | PLACED
    }

    /// Whether a tag is of such a record.
    pub(super) fn is_placed(tag: u8) -> bool {
        tag & PLACED != 0
    }

    /// Whether a tag is of a record that has a [`Hold`](super::Hold).
    pub(super) fn has_hold(tag: u8) -> bool {
        tag & WITH_HOLD != 0
    }

    /// The source of a tag. An unknown tag counts as a page, as most events do.
    pub(super) fn of_tag(tag: u8) -> Source {
        Source::ALL
            .get(usize::from(tag & !(PLACED | WITH_HOLD)))
            .copied()
            .unwrap_or(Source::Page)
    }
}

/// Set in the tags of records that have their place in a source.
const PLACED: u8 = 0x80;
/// Set in the tags of what has a hold.
pub(super) const WITH_HOLD: u8 = 0x40;

/// How an event ended: the label of `gatecount_events_finished_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventEnd {
    Delivered,
    DroppedByPlausible,
    Rejected,
    Expired,
    Evicted,
    Corrupt,
    Overflow,
    /// A page view that the tracker script, or another report of it, counted in its place.
    Tracked,
    /// The shared stream has it, from which another process delivers it.
    Published,
    /// It went back to the shared stream, for another gateway.
    HandedOver,
}

impl EventEnd {
    pub(super) const ALL: [EventEnd; 10] = [
        EventEnd::Delivered,
        EventEnd::DroppedByPlausible,
        EventEnd::Rejected,
        EventEnd::Expired,
        EventEnd::Evicted,
        EventEnd::Corrupt,
        EventEnd::Overflow,
        EventEnd::Tracked,
        EventEnd::Published,
        EventEnd::HandedOver,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            EventEnd::Delivered => "delivered",
            EventEnd::DroppedByPlausible => "dropped_by_plausible",
            EventEnd::Rejected => "rejected",
            EventEnd::Expired => "expired",
            EventEnd::Evicted => "evicted",
            EventEnd::Corrupt => "corrupt",
            EventEnd::Overflow => "overflow",
            EventEnd::Tracked => "tracked",
            EventEnd::Published => "published",
            EventEnd::HandedOver => "handed_over",
        }
    }
}

/// Events counted so far. Pending events are not counted: they are those that were offered and have not
/// ended, so the account balances at every moment.
///
/// An event's offer is counted before its end, and a reader reads the ends first. So a reader may see an
/// event that was offered and has not ended, but never one that ended and was not offered.
#[derive(Debug, Default)]
pub(super) struct Account {
    offered: [AtomicU64; Source::ALL.len()],
    finished: [AtomicU64; EventEnd::ALL.len()],
}

/// The account at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) offered: [u64; Source::ALL.len()],
    pub(super) finished: [u64; EventEnd::ALL.len()],
    pub(super) pending: u64,
}

impl Account {
    pub(super) fn offered(&self, source: Source, events: u64) {
        self.offered[source as usize].fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn finished(&self, end: EventEnd, events: u64) {
        self.finished[end as usize].fetch_add(events, Ordering::Release);
    }

    pub(super) fn balance(&self) -> Balance {
        let finished = self.finished.each_ref().map(|n| n.load(Ordering::Acquire));
        let offered = self.offered.each_ref().map(|n| n.load(Ordering::Relaxed));
        Balance {
            offered,
            finished,
            pending: offered.iter().sum::<u64>().saturating_sub(finished.iter().sum()),
        }
    }
}

/// The account as metrics. One collector for all of them, so that one scrape sees one balance.
#[derive(Debug)]
pub(super) struct AccountMetrics {
    account: Arc<Account>,
    /// Of each engine.
    holdings: Vec<Arc<Holdings>>,
    clock: Clock,
    descs: Vec<Desc>,
}

const OFFERED: (&str, &str) = (
    "gatecount_events_offered_total",
    "Events offered for delivery, by what offered them",
);
const FINISHED: (&str, &str) = (
    "gatecount_events_finished_total",
    "Events that ended, by how; each ends once",
);
const EVENTS: (&str, &str) = ("gatecount_queue_events", "Events offered that have not ended yet");
const BYTES: (&str, &str) = ("gatecount_queue_bytes", "Bytes that the queue takes");
const OLDEST: (&str, &str) = (
    "gatecount_queue_oldest_seconds",
    "Age of the oldest event that has not ended, 0 if there is none",
);

const HELD: (&str, &str) = (
    "gatecount_held_views",
    "Page views that wait for the tracker script to report them",
);
const ALARM: (&str, &str) = (
    "gatecount_queue_alarm",
    "1 while the queue's disk is out of use, so that new events are in memory alone; /status says why",
);

impl AccountMetrics {
    pub(super) fn new(
        account: Arc<Account>,
        holdings: Vec<Arc<Holdings>>,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let desc = |(name, help): (&str, &str), labels: &[&str]| {
            let labels = labels.iter().map(ToString::to_string).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(AccountMetrics {
            account,
            holdings,
            clock,
            descs: vec![
                desc(OFFERED, &["source"])?,
                desc(FINISHED, &["outcome"])?,
                desc(EVENTS, &[])?,
                desc(BYTES, &[])?,
                desc(OLDEST, &[])?,
                desc(HELD, &[])?,
                desc(ALARM, &[])?,
            ],
        })
    }
}

impl Collector for AccountMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let balance = self.account.balance();
        let offered = Source::ALL.map(|s| counter("source", s.label(), balance.offered[s as usize]));
        let sum = |of: fn(&Holdings) -> &AtomicU64| {
            let each = self.holdings.iter();
            each.map(|holdings| of(holdings).load(Ordering::Relaxed))
                .sum::<u64>() as f64
        };
        let oldest = self
            .holdings
            .iter()
            .map(|holdings| holdings.oldest_seconds(&self.clock));
        let alarmed = self
            .holdings
            .iter()
            .any(|holdings| holdings.is_alarmed(&self.clock));
        let finished = EventEnd::ALL.map(|e| counter("outcome", e.label(), balance.finished[e as usize]));
        vec![
            family(OFFERED, MetricType::COUNTER, offered.into()),
            family(FINISHED, MetricType::COUNTER, finished.into()),
            family(EVENTS, MetricType::GAUGE, vec![gauge(balance.pending as f64)]),
            family(
                BYTES,
                MetricType::GAUGE,
                vec![gauge(sum(|holdings| &holdings.bytes))],
            ),
            family(OLDEST, MetricType::GAUGE, vec![gauge(oldest.fold(0.0, f64::max))]),
            family(
                HELD,
                MetricType::GAUGE,
                vec![gauge(sum(|holdings| &holdings.held))],
            ),
            family(ALARM, MetricType::GAUGE, vec![gauge(f64::from(alarmed))]),
        ]
    }
}

pub(super) fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(label: &str, value: &str, count: u64) -> Metric {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(value.to_owned());
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::from_label(vec![pair]);
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn one_scrape_shows_one_balance() {
        let account = Arc::new(Account::default());
        let holdings = Arc::new(Holdings::default());
        let registry = Registry::new();
        let metrics = AccountMetrics::new(account.clone(), vec![holdings.clone()], Clock::start()).unwrap();
        registry.register(Box::new(metrics)).unwrap();
        account.offered(Source::Page, 5);
        account.offered(Source::Tracker, 2);
        account.finished(EventEnd::Delivered, 3);
        account.finished(EventEnd::Overflow, 1);
        holdings.bytes.store(900, Ordering::Relaxed);
        holdings.held.store(2, Ordering::Relaxed);
        holdings.alarm.store(true, Ordering::Relaxed);
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "gatecount_events_offered_total{source=\"page\"} 5",
            "gatecount_events_offered_total{source=\"tracker\"} 2",
            "gatecount_events_offered_total{source=\"rule\"} 0",
            "gatecount_events_finished_total{outcome=\"delivered\"} 3",
            "gatecount_events_finished_total{outcome=\"overflow\"} 1",
            "gatecount_events_finished_total{outcome=\"corrupt\"} 0",
            "gatecount_queue_events 3",
            "gatecount_queue_bytes 900",
            "gatecount_queue_oldest_seconds 0",
            "gatecount_events_finished_total{outcome=\"tracked\"} 0",
            "gatecount_held_views 2",
            "gatecount_queue_alarm 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn no_reader_sees_more_ended_than_offered() {
        let account = Account::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..100_000 {
                    account.offered(Source::Page, 1);
                    account.finished(EventEnd::Delivered, 1);
                }
            });
            while !writer.is_finished() {
                let balance = account.balance();
                let ended: u64 = balance.finished.iter().sum();
                assert!(balance.offered.iter().sum::<u64>() >= ended, "{balance:?}");
            }
        });
        assert_eq!(account.balance().pending, 0);
    }

    #[test]
    fn tags_lead_back_to_their_source() {
        for source in Source::ALL {
            assert_eq!(Source::of_tag(source.tag()), source);
            assert_eq!(Source::of_tag(source.placed_tag()), source);
            assert!(Source::is_placed(source.placed_tag()) && !Source::is_placed(source.tag()));
            let with_hold = source.placed_tag() | WITH_HOLD;
            assert_eq!(Source::of_tag(with_hold), source);
            assert!(Source::has_hold(with_hold) && !Source::has_hold(source.placed_tag()));
        }
        assert_eq!(Source::of_tag(100), Source::Page);
    }
}
