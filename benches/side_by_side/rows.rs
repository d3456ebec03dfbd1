//! Which measurement fills which row of the table, and what each is to come to.

use crate::{
    Failure,
    contender::Contender::{
        self, Gatecount, GatecountTls, HaProxy, HaProxyTls, Hyper, Injecting, NeverCounting, Nginx, NginxTls,
        PlausibleDown, TwoWorkers,
    },
    h2load::{self, Manner},
    load::Slice,
    options::Group,
    session::{Comparison, Session, Shape},
    table::{Goal, Shortfall, Table, Unit},
};

/// Idle connections of the memory row.
const CROWD: usize = 5000;

/// How many pairs of fresh processes a run measures the cost of counting with.
const PAIRS: u64 = 3;

/// A thread of two workers that has this share of the CPU did not share the work.
const LOPSIDED: f64 = 0.75;

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

/// A site over TLS, on connections that are kept.
const SITE_OVER_TLS: Manner = Manner {
    http2: false,
    connections: 32,
    streams: 1,
    requests: 32 * 32 * h2load::MIX,
    pages: true,
};
const SITE_OVER_HTTP2: Manner = Manner {
    http2: true,
    streams: 16,
    ..SITE_OVER_TLS
};
/// A connection for each request. It is for an image, so that nothing but the handshake costs much.
const HANDSHAKES: Manner = Manner {
    connections: 400,
    requests: 400,
    pages: false,
    ..SITE_OVER_TLS
};

/// Measures all that is asked for, run by run.
pub(crate) fn measure(session: &Session) -> Result<Table, Failure> {
    let mut table = Table::default();
    for number in 1..=session.options.runs {
        let mut run = Run {
            session,
            number,
            table: &mut table,
        };
        run.site()?;
        run.big()?;
        run.pages()?;
        run.counting()?;
        run.inject()?;
        run.one_connection()?;
        run.memory()?;
        run.tls()?;
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
            &[Nginx, HaProxy, Hyper, Gatecount]
        } else {
            &[Nginx, Gatecount]
        };
        let of = self.compare("site, 1 KiB", &SITE, contenders)?;
        if site {
            let goal = Goal::at_most(1.00, 0.88);
            let label = "CPU per request, a site (one page in twenty), 1 KiB, against";
            self.table.add(
                &format!("{label} nginx"),
                Unit::Ratio,
                goal,
                of.cpu_ratio(Gatecount, Nginx),
            );
            self.table.add(
                &format!("{label} HAProxy"),
                Unit::Ratio,
                goal,
                of.cpu_ratio(Gatecount, HaProxy),
            );
            self.table.add(
                "CPU per request, the same site, a proxy on hyper, nothing counted, against nginx",
                Unit::Ratio,
                Goal::Shown,
                of.cpu_ratio(Hyper, Nginx),
            );
        }
        if latency {
            let label = "99th percentile on 64 connections, against nginx";
            let p99 = of.between(Gatecount, Nginx, |of, to| f64::from(of.p99) / f64::from(to.p99));
            self.table.add(label, Unit::Ratio, Goal::at_most(1.10, 1.00), p99);
        }
        Ok(())
    }

    /// The site of big pages, once as it is and once where all else is as big.
    fn big(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Big) {
            return Ok(());
        }
        let goal = Goal::at_most(0.95, 0.86);
        let of = self.compare("site, pages of 100 KiB", &SITE_OF_BIG_PAGES, &[Nginx, Gatecount])?;
        let label = "CPU per request, a site with pages of 100 KiB, against nginx";
        self.table
            .add(label, Unit::Ratio, goal, of.cpu_ratio(Gatecount, Nginx));
        let of = self.compare("site, all 100 KiB", &ALL_BIG, &[Nginx, Gatecount])?;
        let label = "CPU per request, a site where all is 100 KiB, against nginx";
        self.table
            .add(label, Unit::Ratio, goal, of.cpu_ratio(Gatecount, Nginx));
        Ok(())
    }

    /// Nothing but pages: two rows come from one measurement, so that they can be subtracted.
    fn pages(&mut self) -> Result<(), Failure> {
        let (pages, event) = (self.wants(Group::Pages), self.wants(Group::Event));
        if !pages && !event {
            return Ok(());
        }
        let contenders: Vec<Contender> = [
            pages.then_some(Nginx),
            Some(Gatecount),
            event.then_some(NeverCounting),
        ]
        .into_iter()
        .flatten()
        .collect();
        let of = self.compare("only pages, 1 KiB", &ONLY_PAGES, &contenders)?;
        if pages {
            let label = "CPU per request, nothing but pages, each delivered, 1 KiB, against nginx";
            self.table.add(
                label,
                Unit::Ratio,
                Goal::at_most(1.50, 1.30),
                of.cpu_ratio(Gatecount, Nginx),
            );
        }
        if event {
            let label = "CPU per event, from the page to its delivery";
            let cpu = Slice::cpu_per_request;
            let more = of.between(Gatecount, NeverCounting, |of, to| cpu(of) - cpu(to));
            self.table
                .add(label, Unit::Microseconds, Goal::at_most(12.0, 9.0), more);
            self.table.remark(
                "CPU per event: CPU per request with everything on, less that with `count = \"never\"`, both of the \
                 same measurement of nothing but pages, so that each request is an event.",
            );
        }
        Ok(())
    }

    /// What counting adds: of each run the mean of several pairs, as two processes of the same program differ
    /// by some 3 %.
    fn counting(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Counting) {
            return Ok(());
        }
        let mut sum = Some(0.0);
        for _ in 0..PAIRS {
            let of = self.compare("counting", &ONLY_PAGES, &[NeverCounting, PlausibleDown])?;
            sum =
                Option::zip(sum, of.cpu_ratio(PlausibleDown, NeverCounting)).map(|(sum, ratio)| sum + ratio);
        }
        let label = "added to a page by counting it, Plausible answering 503";
        let more = sum.map(|sum| (sum / PAIRS as f64 - 1.0) * 100.0);
        self.table
            .add(label, Unit::Percent, Goal::at_most(8.0, 3.0), more);
        self.table.remark(&format!(
            "What counting adds: CPU per request over that with `count = \"never\"`, of each run the mean of {PAIRS} \
             pairs of fresh processes, for two processes of the same program differ by some 3 %.",
        ));
        Ok(())
    }

    /// What putting the tracker script into a page costs, beside the same page as it came.
    fn inject(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Inject) {
            return Ok(());
        }
        for (coding, page) in [("plain", "/h"), ("gzip", "/z")] {
            let shape = Shape { page, ..ONLY_PAGES };
            let of = self.compare(&format!("script, {coding}"), &shape, &[Gatecount, Injecting])?;
            let label = format!("CPU per page of 20 KiB that gets the tracker script, {coding}");
            let ratio = of.cpu_ratio(Injecting, Gatecount);
            self.table.add(
                &format!("{label}, over the untouched one"),
                Unit::Ratio,
                Goal::Shown,
                ratio,
            );
            let cpu = Slice::cpu_per_request;
            let more = of.between(Injecting, Gatecount, |of, to| cpu(of) - cpu(to));
            self.table
                .add(&format!("{label}, more"), Unit::Microseconds, Goal::Shown, more);
        }
        Ok(())
    }

    fn one_connection(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Latency) {
            return Ok(());
        }
        let of = self.compare("one connection", &ONE_CONNECTION, &[Nginx, Gatecount])?;
        let p50 = of.between(Gatecount, Nginx, |of, to| f64::from(of.p50) / f64::from(to.p50));
        let label = "median on one connection, against nginx";
        self.table.add(label, Unit::Ratio, Goal::at_most(1.10, 1.00), p50);
        Ok(())
    }

    fn memory(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Memory) {
            return Ok(());
        }
        let label = "resident memory, 5,000 idle connections that have each made a request";
        let goal = Goal::at_most(64.0, 40.0);
        self.crowd(label, goal, Gatecount, [Nginx, HaProxy, Gatecount])
    }

    /// What `of` takes with a crowd of idle connections, and for the details the others.
    fn crowd(
        &mut self,
        label: &str,
        goal: Goal,
        of: Contender,
        among: [Contender; 3],
    ) -> Result<(), Failure> {
        for contender in among {
            if !self.session.has(contender) {
                continue;
            }
            let name = contender.name();
            self.tell(&format!("memory of {name}"));
            let resident = self.session.crowd(contender, CROWD)?;
            let detail = format!("run {}, {CROWD} idle, {name:16} {resident:6.1} MiB", self.number);
            self.table.details.push(detail);
            if contender == of {
                self.table.add(label, Unit::Mebibytes, goal, Some(resident));
            }
        }
        Ok(())
    }

    /// TLS towards the clients: by both protocols, the handshake alone, and memory.
    fn tls(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Tls) {
            return Ok(());
        }
        if self.session.h2load {
            let site = "CPU per request, a site over TLS, 1 KiB";
            let goal = Goal::at_most(1.00, 0.85);
            self.over_tls("site, TLS", &format!("{site}, HTTP/1.1"), SITE_OVER_TLS, goal)?;
            let goal = Goal::at_most(1.00, 0.60);
            let label = format!("{site}, HTTP/2 (16 streams a connection)");
            self.over_tls("site, HTTP/2", &label, SITE_OVER_HTTP2, goal)?;
            let goal = Goal::at_most(1.10, 1.00);
            let label = "CPU of a full TLS handshake (ECDSA P-256)";
            self.over_tls("handshakes", label, HANDSHAKES, goal)?;
            self.table.remark(
                "Over TLS h2load asks, and its connections are all one visitor's; a turn's handshakes are part of it.",
            );
        } else {
            self.table.remark(
                "Over TLS: left out but for memory, as h2load is not installed (Debian's nghttp2-client).",
            );
        }
        let label = "resident memory, 5,000 idle TLS connections that have each made a request";
        let goal = Goal::at_most(150.0, 100.0);
        self.crowd(label, goal, GatecountTls, [NginxTls, HaProxyTls, GatecountTls])
    }

    /// One comparison over TLS: against nginx by the goal, against HAProxy for the record.
    fn over_tls(&mut self, what: &str, label: &str, manner: Manner, goal: Goal) -> Result<(), Failure> {
        self.tell(what);
        let among: Vec<Contender> = [NginxTls, HaProxyTls, GatecountTls]
            .into_iter()
            .filter(|&one| self.session.has(one))
            .collect();
        let of = self.session.compare_over_tls(manner, &among)?;
        for &contender in &among {
            let figure = |figure: fn(&Slice) -> f64| of.of(contender, figure).unwrap_or_default();
            self.table.details.push(format!(
                "run {}, {what:22} {:15} {:6.2} µs CPU a request, ratio {:5.3}, CPUs used {:4.2}, {:7.0} a second",
                self.number,
                contender.name(),
                figure(Slice::cpu_per_request),
                of.cpu_ratio(contender, among[0]).unwrap_or_default(),
                figure(Slice::utilisation),
                figure(Slice::rate),
            ));
        }
        self.table.delivered(what, of.delivered.0, of.delivered.1);
        for (name, other, goal) in [("nginx", NginxTls, goal), ("HAProxy", HaProxyTls, Goal::Shown)] {
            let ratio = of.cpu_ratio(GatecountTls, other);
            self.table
                .add(&format!("{label}, against {name}"), Unit::Ratio, goal, ratio);
        }
        Ok(())
    }

    fn workers(&mut self) -> Result<(), Failure> {
        if !self.wants(Group::Workers) {
            return Ok(());
        }
        let of = self.compare("two workers", &SITE, &[Gatecount, TwoWorkers])?;
        let share = of.of(TwoWorkers, Slice::busiest_share).unwrap_or_default();
        let shared = share < LOPSIDED;
        let by_cpu = of.cpu_ratio(Gatecount, TwoWorkers).map(|ratio| 2.0 * ratio);
        let label = "two workers against one, by CPU per request";
        self.table
            .add(label, Unit::Ratio, Goal::AtLeast(1.8), by_cpu.filter(|_| shared));
        let by_rate = of.between(TwoWorkers, Gatecount, |of, to| of.rate() / to.rate());
        let label = "two workers against one, by requests a second";
        self.table.add(label, Unit::Ratio, Goal::AtLeast(1.8), by_rate);
        self.table.remark(if shared {
            "Two workers by CPU per request: twice the CPU per request of one by that of two, which is what they carry \
             where both CPUs are theirs. Both had work."
        } else {
            "Two workers by CPU per request: left out where one of them did almost all of the work."
        });
        if !self.session.machine.has_room_beside_two_workers() {
            self.table.remark(
                "Two workers by requests a second: this machine has no CPUs left for the load and the app, which \
                 took theirs; the figure says little.",
            );
        }
        Ok(())
    }

    fn compare(&mut self, what: &str, shape: &Shape, among: &[Contender]) -> Result<Comparison, Failure> {
        self.tell(what);
        let among: Vec<Contender> = among
            .iter()
            .copied()
            .filter(|&one| self.session.has(one))
            .collect();
        let of = self.session.compare(shape, &among)?;
        for &contender in &among {
            self.describe(what, contender, among[0], &of);
            // A single connection waits for its answers: nothing is saturated, and nothing is meant to be.
            if shape.connections > 1 {
                let cpus = contender.cpus();
                let used = of
                    .of(contender, |slice| slice.utilisation() / cpus)
                    .unwrap_or_default();
                let wanted = of
                    .of(contender, |slice| slice.wanted() / cpus)
                    .unwrap_or_default();
                let contender = contender.name();
                self.table.utilised(Shortfall {
                    what: what.to_owned(),
                    contender,
                    used,
                    wanted,
                });
            }
        }
        self.table.delivered(what, of.delivered.0, of.delivered.1);
        Ok(of)
    }

    /// Keeps a contender's absolute figures.
    fn describe(&mut self, what: &str, contender: Contender, first: Contender, of: &Comparison) {
        let figure = |figure: fn(&Slice) -> f64| of.of(contender, figure).unwrap_or_default();
        let costs = format!(
            "{:6.2} µs CPU a request, ratio {:5.3}, CPUs used {:4.2}",
            figure(Slice::cpu_per_request),
            of.cpu_ratio(contender, first).unwrap_or_default(),
            figure(Slice::utilisation),
        );
        let pace = format!(
            "{:7.0} a second, p50 {:5.0} µs, p99 {:5.0} µs",
            figure(Slice::rate),
            figure(|slice| f64::from(slice.p50) / 1e3),
            figure(|slice| f64::from(slice.p99) / 1e3),
        );
        let name = contender.name();
        self.table.details.push(format!(
            "run {}, {what:22} {name:15} {costs}, {pace}",
            self.number
        ));
    }

    fn wants(&self, group: Group) -> bool {
        self.session.options.wants(group)
    }

    fn tell(&self, what: &str) {
        eprintln!("run {} of {}: {what}", self.number, self.session.options.runs);
    }
}
