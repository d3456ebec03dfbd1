//! The table's rows: which measurement fills which, and what each is to come to.

use crate::{
    Failure,
    contender::Contender::{self, Gatecount, HaProxy, NeverCounting, Nginx, PlausibleDown, TwoWorkers},
    load::Slice,
    options::Group,
    session::{Comparison, Session, Shape},
};

/// A lower utilisation means that the load, not the proxy, ran out of CPU.
const SATURATED: f64 = 0.85;

/// Idle connections of the memory row.
const CROWD: usize = 5000;

/// A site's requests: one in twenty is a page.
const SITE: Shape = Shape {
    connections: 64,
    one_in: 20,
    page: "/",
    image: "/i.webp",
};
const SITE_OF_BIG_PAGES: Shape = Shape { page: "/big", ..SITE };
const ALL_BIG: Shape = Shape {
    image: "/j.webp",
    ..SITE_OF_BIG_PAGES
};
const ONLY_PAGES: Shape = Shape { one_in: 1, ..SITE };
const ONE_CONNECTION: Shape = Shape {
    connections: 1,
    ..SITE
};

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
    AtMost { limit: f64, aim: f64 },
    AtLeast(f64),
}

/// A row, with one figure a run.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    pub(crate) figures: Vec<f64>,
}

/// The rows in order, and what there is to say about how they came to be.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// Each once, in the order in which they came up.
    pub(crate) notes: Vec<String>,
    /// A line for each contender of each measurement.
    pub(crate) details: Vec<String>,
}

/// Measures all that is asked for, run by run.
pub(crate) fn measure(session: &Session) -> Result<Table, Failure> {
    let mut table = Table::default();
    for run in 1..=session.options.runs {
        let mut run = Run {
            session,
            number: run,
            table: &mut table,
        };
        run.site()?;
        run.big()?;
        run.pages()?;
        run.one_connection()?;
        run.memory()?;
        run.workers()?;
    }
    Ok(table)
}

/// One of the runs.
struct Run<'a, 's> {
    session: &'a Session<'s>,
    number: u64,
    table: &'a mut Table,
}

impl Run<'_, '_> {
    /// The site of small pages, and what it says of latency under load.
    fn site(&mut self) -> Result<(), Failure> {
        let (site, latency) = (self.wants(Group::Site), self.wants(Group::Latency));
        if !site && !latency {
            return Ok(());
        }
        let contenders: &[Contender] = if site {
            &[Nginx, HaProxy, Gatecount]
        } else {
            &[Nginx, Gatecount]
        };
        let of = self.compare("site, 1 KiB", &SITE, contenders)?;
        if site {
            let goal = Goal::AtMost {
                limit: 1.00,
                aim: 0.88,
            };
            let label = "CPU per request, a site (one page in twenty), 1 KiB, against";
            self.row(
                &format!("{label} nginx"),
                Unit::Ratio,
                goal,
                of.cpu_ratio(Gatecount, Nginx),
            );
            self.row(
                &format!("{label} HAProxy"),
                Unit::Ratio,
                goal,
                of.cpu_ratio(Gatecount, HaProxy),
            );
        }
        if latency {
            let p99 = of.between(Gatecount, Nginx, |of, to| f64::from(of.p99) / f64::from(to.p99));
            let goal = Goal::AtMost {
                limit: 1.10,
                aim: 1.00,
            };
            self.row(
                "99th percentile on 64 connections, against nginx",
                Unit::Ratio,
                goal,
                p99,
            );
        }
        Ok(())
    }

    fn big(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Big) {
            return Ok(());
        }
        let goal = Goal::AtMost {
            limit: 0.95,
            aim: 0.86,
        };
        let of = self.compare("site, pages of 100 KiB", &SITE_OF_BIG_PAGES, &[Nginx, Gatecount])?;
        let label = "CPU per request, a site with pages of 100 KiB, against nginx";
        self.row(label, Unit::Ratio, goal, of.cpu_ratio(Gatecount, Nginx));
        let of = self.compare("site, everything 100 KiB", &ALL_BIG, &[Nginx, Gatecount])?;
        let label = "CPU per request, a site where all is 100 KiB, against nginx";
        self.row(label, Unit::Ratio, goal, of.cpu_ratio(Gatecount, Nginx));
        Ok(())
    }

    /// Nothing but pages: three rows come from one measurement, so that they can be subtracted.
    fn pages(&mut self) -> Result<(), Failure> {
        let (pages, event) = (self.wants(Group::Pages), self.wants(Group::Event));
        let counting = self.wants(Group::Counting);
        if !pages && !event && !counting {
            return Ok(());
        }
        let everyone = [
            (Nginx, pages),
            (Gatecount, pages || event),
            (NeverCounting, event || counting),
            (PlausibleDown, counting),
        ];
        let contenders: Vec<Contender> = everyone
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(one, _)| *one)
            .collect();
        let of = self.compare("only pages, 1 KiB", &ONLY_PAGES, &contenders)?;
        if pages {
            let goal = Goal::AtMost {
                limit: 1.50,
                aim: 1.30,
            };
            let label = "CPU per request, nothing but pages, each delivered, 1 KiB, against nginx";
            self.row(label, Unit::Ratio, goal, of.cpu_ratio(Gatecount, Nginx));
        }
        if event {
            let more = of.between(Gatecount, NeverCounting, |of, to| {
                of.cpu_per_request() - to.cpu_per_request()
            });
            let goal = Goal::AtMost {
                limit: 12.0,
                aim: 9.0,
            };
            self.row(
                "CPU per event, from the page to its delivery",
                Unit::Microseconds,
                goal,
                more,
            );
            self.note(
                "CPU per event: CPU per request with everything on, less that with `count = \"never\"`, both of \
                 the same measurement of nothing but pages, so that each request is an event.",
            );
        }
        if counting {
            let more = of
                .cpu_ratio(PlausibleDown, NeverCounting)
                .map(|ratio| (ratio - 1.0) * 100.0);
            let goal = Goal::AtMost { limit: 8.0, aim: 3.0 };
            self.row(
                "added to a page by counting it, Plausible answering 503",
                Unit::Percent,
                goal,
                more,
            );
        }
        Ok(())
    }

    fn one_connection(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Latency) {
            return Ok(());
        }
        let of = self.compare("one connection", &ONE_CONNECTION, &[Nginx, Gatecount])?;
        let p50 = of.between(Gatecount, Nginx, |of, to| f64::from(of.p50) / f64::from(to.p50));
        self.row(
            "median on one connection, against nginx",
            Unit::Ratio,
            Goal::AtMost {
                limit: 1.10,
                aim: 1.00,
            },
            p50,
        );
        Ok(())
    }

    fn memory(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Memory) {
            return Ok(());
        }
        for contender in [Nginx, HaProxy, Gatecount] {
            if !self.session.has(contender) {
                continue;
            }
            self.tell(&format!("memory of {}", contender.name()));
            let resident = self.session.crowd(contender, CROWD)?;
            self.table.details.push(format!(
                "run {}, {CROWD} idle, {:16} {resident:6.1} MiB",
                self.number,
                contender.name()
            ));
            if contender == Gatecount {
                let label = "resident memory, 5,000 idle connections that have each made a request";
                self.row(
                    label,
                    Unit::Mebibytes,
                    Goal::AtMost {
                        limit: 64.0,
                        aim: 40.0,
                    },
                    Some(resident),
                );
            }
        }
        Ok(())
    }

    fn workers(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Workers) {
            return Ok(());
        }
        let of = self.compare("two workers", &SITE, &[Gatecount, TwoWorkers])?;
        let by_cpu = of.cpu_ratio(Gatecount, TwoWorkers).map(|ratio| 2.0 * ratio);
        self.row(
            "two workers against one, by CPU per request",
            Unit::Ratio,
            Goal::AtLeast(1.8),
            by_cpu,
        );
        let by_rate = of.between(TwoWorkers, Gatecount, |of, to| of.rate() / to.rate());
        self.row(
            "two workers against one, by requests a second",
            Unit::Ratio,
            Goal::AtLeast(1.8),
            by_rate,
        );
        self.note(
            "Two workers by CPU per request: twice one worker's CPU per request by that of two, which is what they \
             carry when both CPUs are theirs.",
        );
        if !self.session.machine.has_room_beside_two_workers() {
            self.note(
                "By requests a second the load and the app took part of the two workers' CPUs, for this machine \
                 has no others: the figure says little.",
            );
        }
        Ok(())
    }

    fn compare(
        &mut self,
        what: &str,
        shape: &Shape,
        contenders: &[Contender],
    ) -> Result<Comparison, Failure> {
        self.tell(what);
        let comparison = self.session.compare(shape, contenders)?;
        self.describe(what, shape, contenders, &comparison);
        Ok(comparison)
    }

    /// Keeps the absolute figures, and notes where they were not taken under the conditions that the table promises.
    fn describe(&mut self, what: &str, shape: &Shape, contenders: &[Contender], of: &Comparison) {
        let first = contenders
            .first()
            .copied()
            .filter(|&one| self.session.has(one))
            .unwrap_or(Gatecount);
        for &contender in contenders {
            let Some(used) = of.of(contender, Slice::utilisation) else {
                continue;
            };
            let figure = |figure: fn(&Slice) -> f64| of.of(contender, figure).unwrap_or_default();
            self.table.details.push(format!(
                "run {}, {what:24} {:16} {:6.2} µs CPU a request, ratio {:5.3}, {:7.0} a second, p50 {:5.0} µs, p99 {:5.0} µs, CPU used {used:4.2}",
                self.number,
                contender.name(),
                figure(Slice::cpu_per_request),
                of.cpu_ratio(contender, first).unwrap_or_default(),
                figure(Slice::rate),
                figure(|slice| f64::from(slice.p50) / 1e3),
                figure(|slice| f64::from(slice.p99) / 1e3),
            ));
            if shape.connections > 1 && used < SATURATED {
                self.note(&format!(
                    "{} used only {used:.2} of its CPU ({what}): the load ran out first, and latencies are the load's.",
                    contender.name()
                ));
            }
        }
        let (arrived, expected) = of.delivered;
        if arrived < expected {
            let percent = arrived as f64 / expected as f64 * 100.0;
            self.note(&format!(
                "Run {}, {what}: only {percent:.1} % of {expected} events were delivered.",
                self.number
            ));
        }
    }

    /// Adds a run's figure to its row; there is none where a contender is not installed.
    fn row(&mut self, label: &str, unit: Unit, goal: Goal, figure: Option<f64>) {
        let rows = &mut self.table.rows;
        let index = rows.iter().position(|row| row.label == label).unwrap_or_else(|| {
            rows.push(Row {
                label: label.to_owned(),
                unit,
                goal,
                figures: Vec::new(),
            });
            rows.len() - 1
        });
        rows[index].figures.extend(figure);
    }

    fn note(&mut self, note: &str) {
        if !self.table.notes.iter().any(|known| known == note) {
            self.table.notes.push(note.to_owned());
        }
    }

    fn wants(&self, group: Group) -> bool {
        self.session.options.wants(group)
    }

    fn tell(&self, what: &str) {
        eprintln!("run {} of {}: {what}", self.number, self.session.options.runs);
    }
}
