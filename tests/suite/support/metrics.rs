//! What `/metrics` says, and the account that it must keep.

use std::net::SocketAddr;

use super::client;

/// One reading of the Prometheus text format.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    series: Vec<Series>,
    text: String,
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads the admin address.
    #[track_caller]
    pub(crate) fn read(admin: SocketAddr) -> Metrics {
        let response = client::get(admin, "/metrics");
        assert_eq!(response.status(), 200, "/metrics: {}", response.text());
        Metrics::parse(&response.text())
    }

    /// Takes the text apart; a line that is none of the format's fails the test.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Metrics {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics {
            series: lines
                .map(|line| series(line).unwrap_or_else(|| panic!("no metric line: {line:?}")))
                .collect(),
            text: text.to_owned(),
        }
    }

    /// All series of a name.
    pub(crate) fn metric<'a>(&'a self, name: &'a str) -> Query<'a> {
        Query {
            metrics: self,
            name,
            labels: Vec::new(),
        }
    }

    /// Whether the name is there, be it only by its help text.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.text.contains(&format!("# HELP {name} "))
    }

    /// The names of all metrics.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let helps = self.text.lines().filter_map(|line| line.strip_prefix("# HELP "));
        helps.filter_map(|help| help.split(' ').next())
    }

    /// The label values that a metric has.
    pub(crate) fn values(&self, name: &str, label: &str) -> Vec<&str> {
        self.series
            .iter()
            .filter(|s| s.name == name)
            .flat_map(|s| &s.labels)
            .filter(|(l, _)| l == label)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The series' labels with their values, all of them: what must come from closed lists.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.series
            .iter()
            .flat_map(|s| &s.labels)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Requests decided.
    pub(crate) fn decided(&self) -> u64 {
        self.metric("gatecount_decisions_total").value()
    }

    /// Requests decided so.
    pub(crate) fn decisions(&self, decision: &str) -> u64 {
        self.metric("gatecount_decisions_total")
            .label("decision", decision)
            .value()
    }

    /// Events offered, from all sources.
    pub(crate) fn offered(&self) -> u64 {
        self.metric("gatecount_events_offered_total").value()
    }

    /// Events that ended so.
    pub(crate) fn finished(&self, outcome: &str) -> u64 {
        self.metric("gatecount_events_finished_total")
            .label("outcome", outcome)
            .value()
    }

    /// Events that have not ended.
    pub(crate) fn pending(&self) -> u64 {
        self.metric("gatecount_queue_events").value()
    }

    /// Each event ends exactly once: offered = finished + pending.
    #[track_caller]
    pub(crate) fn assert_account(&self) {
        let finished = self.metric("gatecount_events_finished_total").value();
        let (offered, pending) = (self.offered(), self.pending());
        assert_eq!(
            offered,
            finished + pending,
            "offered is not finished ({finished}) + pending ({pending})"
        );
    }
}

/// The series of one name, narrowed by labels.
#[derive(Debug, Clone)]
pub(crate) struct Query<'a> {
    metrics: &'a Metrics,
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    /// Only those with this label.
    pub(crate) fn label(mut self, name: &'a str, value: &'a str) -> Query<'a> {
        self.labels.push((name, value));
        self
    }

    /// Their sum, which for what is compared here is a whole number; 0 where there is none.
    pub(crate) fn value(&self) -> u64 {
        let matching = self.metrics.series.iter().filter(|s| self.holds(s));
        matching.map(|s| s.value.max(0.0).round() as u64).sum()
    }

    fn holds(&self, series: &Series) -> bool {
        let has = |(name, value): &(&str, &str)| series.labels.iter().any(|(n, v)| n == name && v == value);
        series.name == self.name && self.labels.iter().all(has)
    }
}

/// `name{label="value",…} number`
fn series(line: &str) -> Option<Series> {
    let (key, value) = line.rsplit_once(' ')?;
    let (name, labels) = match key.split_once('{') {
        None => (key, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
    };
    let label = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((
            name.to_owned(),
            value.strip_prefix('"')?.trim_end_matches('"').to_owned(),
        ))
    };
    Some(Series {
        name: name.to_owned(),
        labels: labels
            .split("\",")
            .filter(|pair| !pair.is_empty())
            .map(label)
            .collect::<Option<_>>()?,
        value: value.parse().ok()?,
    })
}
