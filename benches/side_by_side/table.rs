//! The table while it fills: rows with a figure a run, and what is to be said about how the figures came to
//! be.

/// How a row's figure is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Ratio,
    Microseconds,
    Percent,
    Mebibytes,
}

/// What a figure is to come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost {
        limit: f64,
        aim: f64,
    },
    AtLeast(f64),
    /// It is there to be compared with.
    Shown,
}

impl Goal {
    pub(crate) const fn at_most(limit: f64, aim: f64) -> Self {
        Self::AtMost { limit, aim }
    }
}

/// A row, with one figure a run.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    pub(crate) figures: Vec<f64>,
}

/// The rows, in the order in which they first came up.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// A line for each contender of each measurement.
    pub(crate) details: Vec<String>,
    remarks: Vec<String>,
    shortfalls: Vec<Shortfall>,
    losses: Vec<Loss>,
}

/// A contender that did not use its CPU whole.
#[derive(Debug)]
pub(crate) struct Shortfall {
    pub(crate) what: String,
    pub(crate) contender: &'static str,
    /// The share of its CPUs that it used.
    pub(crate) used: f64,
    /// The share it would have used, had its threads never waited for one.
    pub(crate) wanted: f64,
}

/// Events that were not delivered by the end of a measurement.
#[derive(Debug)]
struct Loss {
    what: String,
    arrived: u64,
    expected: u64,
}

/// A lower utilisation means that not the proxy, but something else set the pace.
const SATURATED: f64 = 0.85;

impl Table {
    /// Adds a run's figure to its row; there is none where a contender is not installed.
    pub(crate) fn add(&mut self, label: &str, unit: Unit, goal: Goal, figure: Option<f64>) {
        let known = self.rows.iter().position(|row| row.label == label);
        let index = known.unwrap_or_else(|| {
            self.rows.push(Row {
                label: label.to_owned(),
                unit,
                goal,
                figures: Vec::new(),
            });
            self.rows.len() - 1
        });
        self.rows[index].figures.extend(figure);
    }

    /// Says `remark` under the table, once.
    pub(crate) fn remark(&mut self, remark: &str) {
        if !self.remarks.iter().any(|known| known == remark) {
            self.remarks.push(remark.to_owned());
        }
    }

    /// Takes note of how much of its CPU a contender used. The lowest of all runs will be told, if it is too
    /// low.
    pub(crate) fn utilised(&mut self, by: Shortfall) {
        if by.used >= SATURATED {
            return;
        }
        let same = |known: &&mut Shortfall| known.what == by.what && known.contender == by.contender;
        match self.shortfalls.iter_mut().find(same) {
            Some(known) if known.used <= by.used => {}
            Some(known) => *known = by,
            None => self.shortfalls.push(by),
        }
    }

    /// Takes note of how many of the `expected` events arrived. The worst of all runs will be told, if some
    /// did not.
    pub(crate) fn delivered(&mut self, what: &str, arrived: u64, expected: u64) {
        let missing = expected.saturating_sub(arrived);
        if missing == 0 {
            return;
        }
        let loss = Loss {
            what: what.to_owned(),
            arrived,
            expected,
        };
        match self.losses.iter_mut().find(|known| known.what == what) {
            Some(known) if known.expected - known.arrived >= missing => {}
            Some(known) => *known = loss,
            None => self.losses.push(loss),
        }
    }

    /// All that is to be said under the table.
    pub(crate) fn notes(&self) -> Vec<String> {
        let shortfalls = self.shortfalls.iter().map(
            |Shortfall {
                 what,
                 contender,
                 used,
                 wanted,
             }| {
                let why = if *wanted >= SATURATED {
                    "others held it; measure again on a quiet machine"
                } else {
                    "the load set the pace, so latencies are the load's"
                };
                format!("{what}: {contender} used {used:.2} of its CPU, for {why}.")
            },
        );
        let losses = self.losses.iter().map(
            |Loss {
                 what,
                 arrived,
                 expected,
             }| {
                format!(
                    "{what}: {arrived} of {expected} events had been delivered when the measurement ended."
                )
            },
        );
        self.remarks
            .iter()
            .cloned()
            .chain(shortfalls)
            .chain(losses)
            .collect()
    }
}
