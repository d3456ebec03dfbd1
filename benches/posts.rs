//! The tracker's posts: how long a visitor's browser waits for the answer, and what a post costs, with Plausible
//! 100 ms away; beside nginx that passes the posts on, as the guides for proxying the script have it.
//!
//! `cargo bench --bench posts` measures and prints; `-- --help` has the options. It needs Linux, two CPUs,
//! `taskset` and nginx.
//!
//! The proxies have the first CPU, and the posts and the stand-in for Plausible the second. Posts come at their
//! rate whatever becomes of the answers, over kept connections, each of a visitor of its own. One contender
//! after the other is measured.

use std::{
    env,
    fs::{self, File},
    io,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, sleep_until},
};

/// How far away Plausible is.
const AWAY: Duration = Duration::from_millis(100);
/// How long a contender may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

/// The tracker's posts: time to the answer, and CPU, beside nginx.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench posts --")]
struct Options {
    /// How long each contender is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Posts a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Connections, each a visitor of its own.
    #[arg(long, default_value_t = 1_000)]
    visitors: u64,
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
    // `cargo test --benches` runs every bench without arguments: no time to measure anything.
    if env::args().len() == 1 {
        println!("posts measures under `cargo bench --bench posts`");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(&Options::parse())));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
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
    let receiving = tokio::spawn(receive(plausible, Arc::clone(&delivered)));
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let running = Running::start(contender, options, directory.path(), port, upstream)?;
    running.listens(port).await?;
    let before = running.cpu()?;
    let posts = options.rate * options.seconds;
    let begun = Instant::now() + Duration::from_millis(200);
    let visitors: Vec<_> = (0..options.visitors)
        .map(|n| tokio::spawn(visit(port, n, options.rate, options.visitors, posts, begun)))
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
    visitor: u64,
    rate: u64,
    visitors: u64,
    posts: u64,
    begun: Instant,
) -> io::Result<(Vec<Duration>, u64)> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut answers, mut refused) = (Vec::new(), 0);
    for post in (visitor..posts).step_by(usize::try_from(visitors).unwrap_or(usize::MAX)) {
        let due = begun + Duration::from_secs_f64(post as f64 / rate as f64);
        sleep_until(due.into()).await;
        let body = format!(
            r#"{{"n":"pageview","v":36,"u":"https://example.com/page/{post}","d":"example.com","r":null}}"#
        );
        let request = format!(
            "POST /api/event HTTP/1.1\r\nHost: example.com\r\nContent-Type: text/plain\r\nOrigin: \
             https://example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like \
             Gecko) Chrome/156.0.0.0 Safari/537.36\r\nX-Forwarded-For: 198.51.{}.{}\r\nContent-Length: {}\r\n\r\n\
             {body}",
            visitor / 250,
            visitor % 250 + 1,
            body.len()
        );
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        if answer(&mut stream).await? {
            answers.push(sent.elapsed());
        } else {
            refused += 1;
        }
    }
    Ok((answers, refused))
}

/// Reads an answer; whether it is a 202.
async fn answer(stream: &mut TcpStream) -> io::Result<bool> {
    let head = read_head(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    skip_body(stream, &head).await?;
    Ok(head.starts_with("HTTP/1.1 202"))
}

/// The stand-in for Plausible: takes every event, a while after it came.
async fn receive(listener: TcpListener, delivered: Arc<AtomicU64>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let delivered = Arc::clone(&delivered);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            while let Ok(Some(head)) = read_head(&mut stream).await {
                if skip_body(&mut stream, &head).await.is_err() {
                    return;
                }
                sleep(AWAY).await;
                delivered.fetch_add(1, Ordering::Relaxed);
                let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// A message's head; nothing where the connection ends before it. The body's first bytes stay unread.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut peeked = [0; 4096];
    loop {
        let there = stream.peek(&mut peeked).await?;
        if there == 0 {
            return Ok(None);
        }
        if let Some(end) = peeked[..there].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let mut head = vec![0; end + 4];
            stream.read_exact(&mut head).await?;
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        // The rest comes in another segment, which a peek does not wait for.
        sleep(Duration::from_millis(1)).await;
    }
}

async fn skip_body(stream: &mut TcpStream, head: &str) -> io::Result<()> {
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map(drop)
}

/// A contender that runs; dropping it stops it.
struct Running(Child);

impl Running {
    fn start(
        contender: Contender,
        options: &Options,
        directory: &Path,
        port: SocketAddr,
        plausible: SocketAddr,
    ) -> Result<Self, Failure> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]);
        let log = File::create(directory.join("log"))?;
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
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Running(child.map_err(|error| {
            format!("{contender:?} does not start: {error}")
        })?))
    }

    async fn listens(&self, port: SocketAddr) -> Result<(), Failure> {
        let begun = Instant::now();
        while TcpStream::connect(port).await.is_err() {
            if begun.elapsed() > PATIENCE {
                return Err("it does not listen".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What all its threads and children have used.
    fn cpu(&self) -> Result<Duration, Failure> {
        let mut nanos: u64 = 0;
        let own = self.0.id().to_string();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let Ok(stat) = fs::read_to_string(path.join("stat")) else {
                continue;
            };
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1));
            if parent != Some(&own) && path.file_name().is_none_or(|name| name != own.as_str()) {
                continue;
            }
            for thread in fs::read_dir(path.join("task"))? {
                let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
                let used = schedstat.split_whitespace().next().unwrap_or_default();
                nanos += used.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
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
