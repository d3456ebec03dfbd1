//! One measurement: starts app, receivers, contenders and load, and hands back what came of it.

use std::{
    fs::{self, File},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Failure,
    certificate::Certificate,
    contender::{Contender, Ports},
    h2load::{self, Manner},
    interrupt,
    load::{Measured, Plan, Slice, Target},
    machine::{self, Machine},
    options::Options,
    process::{self, Process},
    requests, statistics,
};

const SLICE_MS: u64 = 100;

/// How long the events that are still on their way after a measurement are waited for.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// What all measurements share.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) machine: Machine,
    /// nginx's version, where it is installed.
    pub(crate) nginx: Option<String>,
    /// HAProxy's version, where it is installed.
    pub(crate) haproxy: Option<String>,
    /// Whether h2load is installed.
    pub(crate) h2load: bool,
    certificate: Certificate,
    scratch: TempDir,
}

/// What the load is to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// One request in so many is a page.
    pub(crate) one_in: usize,
    pub(crate) page: &'static str,
    pub(crate) image: &'static str,
}

/// What a measurement gave, contender by contender, each with as many slices.
#[derive(Debug)]
pub(crate) struct Comparison {
    measured: Vec<Measured>,
    /// Events that reached the receiver, of the pages asked for at those who deliver.
    pub(crate) delivered: (u64, u64),
}

/// A contender, running.
struct Running {
    contender: Contender,
    process: Process,
    port: u16,
}

/// The app and the receivers, running.
struct Surroundings {
    app: (Process, u16),
    plausible: (Process, u16),
    down: (Process, u16),
}

impl<'a> Session<'a> {
    /// Looks at the machine and what is installed.
    pub(crate) fn new(options: &'a Options) -> Result<Self, Failure> {
        let scratch = tempfile::Builder::new()
            .prefix("gatecount-side-by-side-")
            .tempdir()?;
        Ok(Self {
            options,
            machine: Machine::read()?,
            nginx: machine::version("nginx"),
            haproxy: machine::version("haproxy"),
            h2load: machine::installed("h2load"),
            certificate: Certificate::make(scratch.path())?,
            scratch,
        })
    }

    /// Whether `contender` is here to be measured.
    pub(crate) fn has(&self, contender: Contender) -> bool {
        match contender {
            Contender::Nginx | Contender::NginxTls => self.nginx.is_some(),
            Contender::HaProxy | Contender::HaProxyTls => self.haproxy.is_some(),
            _ => true,
        }
    }

    /// Measures `contenders`, all of them installed, side by side.
    pub(crate) fn compare(&self, shape: &Shape, contenders: &[Contender]) -> Result<Comparison, Failure> {
        let two_workers = contenders.contains(&Contender::TwoWorkers);
        let rest = if two_workers {
            self.machine.beside_two_workers()
        } else {
            self.machine.rest()
        };
        let around = self.surroundings(&rest)?;
        let running = self.start_all(contenders, &around)?;
        let plan = Plan {
            connections: shape.connections,
            visitors: self
                .options
                .visitors
                .map_or(shape.connections, |visitors| visitors as usize),
            slice_ms: SLICE_MS,
            seconds: self.options.seconds,
            one_in: shape.one_in,
            page: shape.page.to_owned(),
            image: shape.image.to_owned(),
            targets: targets(&running),
        };
        let measured = self.load(&rest, "@load", &serde_json::to_string(&plan)?)?;
        settle(contenders, measured, &around)
    }

    /// Measures `contenders`, all of them installed, side by side over TLS.
    pub(crate) fn compare_over_tls(
        &self,
        manner: Manner,
        contenders: &[Contender],
    ) -> Result<Comparison, Failure> {
        let rest = self.machine.rest();
        let around = self.surroundings(&rest)?;
        let running = self.start_all(contenders, &around)?;
        let plan = h2load::Plan {
            manner,
            seconds: self.options.seconds,
            directory: self.scratch.path().to_owned(),
            targets: targets(&running),
        };
        let measured = self.load(&rest, "@h2load", &serde_json::to_string(&plan)?)?;
        settle(contenders, measured, &around)
    }

    fn start_all(&self, contenders: &[Contender], around: &Surroundings) -> Result<Vec<Running>, Failure> {
        let mut running = Vec::new();
        for &contender in contenders {
            let (process, port) = self.start(contender, around)?;
            running.push(Running {
                contender,
                process,
                port,
            });
        }
        // nginx takes connections before its worker runs, and every start has work to get out of the way.
        thread::sleep(Duration::from_millis(300));
        Ok(running)
    }

    /// Resident memory of `contender` in MiB with `connections` idle ones that have each made a request.
    pub(crate) fn crowd(&self, contender: Contender, connections: usize) -> Result<f64, Failure> {
        let rest = self.machine.rest();
        let around = self.surroundings(&rest)?;
        let (proxy, port) = self.start(contender, &around)?;
        let (port, connections) = (port.to_string(), connections.to_string());
        let mut role = vec!["@crowd", &port, &connections];
        let trusted = self.certificate.chain.to_string_lossy();
        if contender.speaks_tls() {
            role.push(&trusted);
        }
        let mut crowd = Process::start("crowd", self.scratch.path(), process::itself(&rest, &role)?)?;
        crowd.line()?;
        // What still moves (deliveries, an allocator that returns memory) has a moment to come to rest.
        thread::sleep(Duration::from_secs(2));
        Ok(process::resident(&proxy.ids()) as f64 / 1024.0)
    }

    fn surroundings(&self, cpus: &str) -> Result<Surroundings, Failure> {
        Ok(Surroundings {
            app: self.origin("app", &["@app"], cpus)?,
            plausible: self.origin("receiver", &["@receiver", "202"], cpus)?,
            down: self.origin("receiver-503", &["@receiver", "503"], cpus)?,
        })
    }

    fn origin(&self, name: &str, role: &[&str], cpus: &str) -> Result<(Process, u16), Failure> {
        let mut process = Process::start(name, self.scratch.path(), process::itself(cpus, role)?)?;
        let port = process.line()?.parse()?;
        Ok((process, port))
    }

    fn start(&self, contender: Contender, around: &Surroundings) -> Result<(Process, u16), Failure> {
        let directory = self.fresh_directory(contender)?;
        let own = process::free_port()?;
        let ports = Ports {
            own,
            app: around.app.1,
            plausible: around.plausible.1,
            down: around.down.1,
        };
        let two_workers = contender == Contender::TwoWorkers;
        let cpus = if two_workers {
            self.machine.two_workers()
        } else {
            self.machine.proxy()
        };
        let mut command =
            contender.command(&cpus, &directory, &self.options.binary, ports, &self.certificate)?;
        command.stdout(File::create(directory.join("stdout.log"))?);
        let mut process = Process::start(contender.name(), self.scratch.path(), command)?;
        process.opens(own)?;
        Ok((process, own))
    }

    fn fresh_directory(&self, contender: Contender) -> Result<PathBuf, Failure> {
        let directory = self.scratch.path().join(contender.name());
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir(&directory)?;
        Ok(directory)
    }

    /// Has one of the roles that ask carry out its plan.
    fn load(&self, cpus: &str, role: &str, plan: &str) -> Result<Vec<Measured>, Failure> {
        let results = self.scratch.path().join("load.json");
        let mut command = process::itself(cpus, &[role, plan])?;
        command.stdout(File::create(&results)?);
        let mut load = Process::start("load", self.scratch.path(), command)?;
        load.ends(Duration::from_secs(self.options.seconds * 2 + 60))?;
        Ok(serde_json::from_slice(&fs::read(&results)?)?)
    }
}

impl Comparison {
    /// Median over the rounds of what `figure` makes of the slices of `of` and `to`; none where one is
    /// missing.
    pub(crate) fn between(
        &self,
        of: Contender,
        to: Contender,
        figure: impl Fn(&Slice, &Slice) -> f64,
    ) -> Option<f64> {
        let pairs = self.slices(of)?.iter().zip(self.slices(to)?);
        let figures: Vec<f64> = pairs.map(|(of, to)| figure(of, to)).collect();
        Some(statistics::median(&figures))
    }

    /// Median over the rounds of what `figure` makes of the slices of `of`.
    pub(crate) fn of(&self, of: Contender, figure: impl Fn(&Slice) -> f64) -> Option<f64> {
        self.between(of, of, |slice, _| figure(slice))
    }

    /// CPU per request of `of` as a share of that of `to`.
    pub(crate) fn cpu_ratio(&self, of: Contender, to: Contender) -> Option<f64> {
        self.between(of, to, |of, to| of.cpu_per_request() / to.cpu_per_request())
    }

    fn slices(&self, of: Contender) -> Option<&[Slice]> {
        let measured = self.measured.iter().find(|measured| measured.name == of.name())?;
        Some(&measured.slices)
    }
}

impl Slice {
    /// Microseconds of CPU for each request.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.cpu as f64 / 1e3 / self.requests.max(1) as f64
    }

    /// Requests answered in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 * 1e9 / self.wall.max(1) as f64
    }

    /// CPUs in use while it had its turn: 1.0 is one CPU, taken whole.
    pub(crate) fn utilisation(&self) -> f64 {
        self.busy as f64 / self.wall.max(1) as f64
    }

    /// The busiest thread's share of the CPU.
    pub(crate) fn busiest_share(&self) -> f64 {
        self.busiest as f64 / self.busy.max(1) as f64
    }

    /// CPUs it would have used, had its threads never waited for one: on a busy machine more than
    /// [`Slice::utilisation`].
    pub(crate) fn wanted(&self) -> f64 {
        (self.busy + self.waited) as f64 / self.wall.max(1) as f64
    }
}

fn targets(running: &[Running]) -> Vec<Target> {
    let target = |one: &Running| Target {
        name: one.contender.name().to_owned(),
        port: one.port,
        ids: one.process.ids(),
    };
    running.iter().map(target).collect()
}

/// What was measured, once the events have arrived that are on their way.
fn settle(
    contenders: &[Contender],
    measured: Vec<Measured>,
    around: &Surroundings,
) -> Result<Comparison, Failure> {
    let pages = |one: &Measured| {
        let delivers = contenders
            .iter()
            .any(|contender| contender.name() == one.name && contender.delivers());
        if delivers { one.pages } else { 0 }
    };
    let expected = measured.iter().map(pages).sum();
    let arrived = wait_for_events(around.plausible.1, expected)?;
    Ok(Comparison {
        measured,
        delivered: (arrived, expected),
    })
}

/// Waits (not for ever) until the receiver has `expected` events, or gets no more; how many it has.
fn wait_for_events(port: u16, expected: u64) -> Result<u64, Failure> {
    let until = Instant::now() + LAST_EVENTS;
    loop {
        let arrived = requests::count(port)?;
        if arrived >= expected || Instant::now() > until {
            return Ok(arrived);
        }
        interrupt::check()?;
        thread::sleep(Duration::from_millis(50));
    }
}
