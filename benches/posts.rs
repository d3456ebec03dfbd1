//! The tracker's posts: how long a visitor's browser waits for the answer, and what a post costs, with Plausible
//! 100 ms away; beside nginx that passes the posts on, as the guides for proxying the script have it.
//!
//! `cargo bench --bench posts` measures and prints; `-- --help` has the options. It needs Linux, two CPUs,
//! `taskset` and nginx.
//!
//! The proxies have the first CPU, and the posts and the stand-in for Plausible the second. Posts come at their
//! rate whatever becomes of the answers, over kept connections, each of a visitor of its own. One contender
//! after the other is measured.

mod events;

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{sleep, sleep_until},
};

use events::{Failure, Running, bench, connect, free_port, is_accepted, listens, post, receive};

/// How far away Plausible is.
const AWAY: Duration = Duration::from_millis(100);

/// The tracker's posts: time to the answer, and CPU, beside nginx.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench posts --")]
struct Options {
    /// How long each contender is measured.
    #[arg(long, default_value_t = 10)]
    seconds: usize,
    /// Posts a second.
    #[arg(long, default_value_t = 2_000)]
    rate: usize,
    /// Connections, each a visitor of its own.
    #[arg(long, default_value_t = 1_000)]
    visitors: usize,
    /// Requests that gatecount has under way at Plausible. At 100 ms each, 256 keep up with 2,560 a second.
    #[arg(long, default_value_t = 256)]
    concurrency: u64,
    /// The gatecount to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gatecount"))]
    binary: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    bench("posts", || async { measure(&Options::parse()).await })
}

async fn measure(options: &Options) -> Result<(), Failure> {
    // The posts and the stand-in run here.
    let me = std::process::id().to_string();
    let mut pin = Command::new("taskset");
    pin.args(["-pc", "1", &me]).stdout(Stdio::null());
    if !pin.status()?.success() {
        return Err(
            "two CPUs are needed: one for the proxy, one for the posts and Plausible's stand-in".into(),
        );
    }
    println!(
        "{} posts a second by {} visitors for {} s, Plausible {} ms away",
        options.rate,
        options.visitors,
        options.seconds,
        AWAY.as_millis()
    );
    for contender in [Contender::Nginx, Contender::Gatecount] {
        let measured = run(contender, options).await?;
        println!("{measured}");
    }
    Ok(())
}

/// What is posted to a contender.
#[derive(Clone, Copy)]
struct Posting {
    /// Posts a second.
    rate: usize,
    visitors: usize,
    posts: usize,
}

#[derive(Clone, Copy, Debug)]
enum Contender {
    Nginx,
    Gatecount,
}

/// What was seen of one contender.
struct Measured {
    contender: Contender,
    /// In ascending order.
    answers: Vec<Duration>,
    refused: u64,
    delivered: u64,
    /// From the last post to the last delivery.
    behind: Duration,
    cpu_per_post: Duration,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |percent: usize| {
            let answer = self.answers.get(self.answers.len() * percent / 100);
            answer.map_or(f64::NAN, |answer| answer.as_secs_f64() * 1e3)
        };
        write!(
            f,
            "{:10} {} answered 202, {} otherwise; p50 {:.1} ms, p99 {:.1} ms; {} delivered, the last one {:.1} s \
             after the last post; {:.1} µs CPU a post",
            format!("{:?}", self.contender),
            self.answers.len(),
            self.refused,
            at(50),
            at(99),
            self.delivered,
            self.behind.as_secs_f64(),
            self.cpu_per_post.as_secs_f64() * 1e6,
        )
    }
}

async fn run(contender: Contender, options: &Options) -> Result<Measured, Failure> {
    let directory = tempfile::tempdir()?;
    let plausible = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = plausible.local_addr()?;
    let delivered = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&delivered);
    let receiving = tokio::spawn(receive(plausible, AWAY, move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let port = free_port()?;
    let running = start(contender, options, directory.path(), port, upstream)?;
    listens(port).await?;
    let before = running.cpu()?;
    let begun = Instant::now() + Duration::from_millis(200);
    let posting = Posting {
        rate: options.rate,
        visitors: options.visitors,
        posts: options.rate * options.seconds,
    };
    let visitors: Vec<_> = (0..options.visitors)
        .map(|visitor| tokio::spawn(visit(port, visitor, posting, begun)))
        .collect();
    let (mut answers, mut refused) = (Vec::new(), 0);
    for visitor in visitors {
        let (mut answered, otherwise) = visitor.await??;
        answers.append(&mut answered);
        refused += otherwise;
    }
    let over = Instant::now();
    let (mut last, mut seen) = (over, delivered.load(Ordering::Relaxed));
    // Until nothing has come for five seconds.
    while seen < answers.len() as u64 && last.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(10)).await;
        let now = delivered.load(Ordering::Relaxed);
        if now > seen {
            (seen, last) = (now, Instant::now());
        }
    }
    answers.sort_unstable();
    let cpu = running.cpu()?.saturating_sub(before);
    receiving.abort();
    Ok(Measured {
        contender,
        refused,
        delivered: seen,
        behind: last.saturating_duration_since(over),
        cpu_per_post: cpu / u32::try_from(answers.len().max(1))?,
        answers,
    })
}

/// One visitor's posts, at the moments that the rate gives; the times to the answers, and how many were no 202.
async fn visit(
    to: SocketAddr,
    visitor: usize,
    posting: Posting,
    begun: Instant,
) -> io::Result<(Vec<Duration>, u64)> {
    let mut stream = connect(to).await?;
    let (mut answers, mut refused) = (Vec::new(), 0);
    for number in (visitor..posting.posts).step_by(posting.visitors) {
        let due = begun + Duration::from_secs_f64(number as f64 / posting.rate as f64);
        sleep_until(due.into()).await;
        let request = post(number, visitor);
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        if is_accepted(&mut stream).await? {
            answers.push(sent.elapsed());
        } else {
            refused += 1;
        }
    }
    Ok((answers, refused))
}

/// A contender on its CPU.
fn start(
    contender: Contender,
    options: &Options,
    directory: &Path,
    port: SocketAddr,
    plausible: SocketAddr,
) -> Result<Running, Failure> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]);
    match contender {
        Contender::Nginx => {
            let file = directory.join("nginx.conf");
            fs::write(&file, nginx(directory, port, plausible))?;
            command.args(["nginx", "-c"]).arg(&file);
        }
        Contender::Gatecount => {
            let file = directory.join("gatecount.toml");
            fs::write(&file, gatecount(options, directory, port, plausible))?;
            command.arg(&options.binary).arg("--config").arg(&file);
        }
    }
    Running::start(&mut command, directory, &format!("{contender:?}"))
}

fn gatecount(options: &Options, directory: &Path, listen: SocketAddr, plausible: SocketAddr) -> String {
    format!(
        "[listen]\naddress = \"{listen}\"\nworkers = 1\n[admin]\naddress = \"127.0.0.1:0\"\n[app]\nurl = \
         \"http://{plausible}\"\n[plausible]\nurl = \"http://{plausible}\"\nconcurrency = {}\n[queue]\npath = \
         \"{}/queue\"\n[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n[tracker]\nevent = \
         \"/api/event\"\n",
        options.concurrency,
        directory.display()
    )
}

fn nginx(directory: &Path, listen: SocketAddr, plausible: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "daemon off; worker_processes 1; pid {directory}/pid; error_log stderr warn;\nevents {{ \
         worker_connections 16000; }}\nhttp {{ access_log off; client_body_temp_path {directory}/body; \
         proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path \
         {directory}/uwsgi; scgi_temp_path {directory}/scgi; keepalive_requests 1000000000;\nupstream plausible \
         {{ server {plausible}; keepalive 1024; keepalive_requests 1000000000; }}\nserver {{ listen {listen} \
         backlog=4096; location = /api/event {{ proxy_pass http://plausible; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For \
         $proxy_add_x_forwarded_for; }} }} }}\n"
    )
}
