//! What the benches of events share: the tracker's posts, a stand-in for Plausible that takes events, and the
//! processes between the two.

use std::{
    env,
    fs::{self, File},
    io,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Measures, and prints what goes wrong.
pub(crate) fn bench<F>(name: &str, measure: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    // `cargo test --benches` runs every bench without arguments: no time to measure anything.
    if env::args().len() == 1 {
        println!("{name} measures under `cargo bench --bench {name}`");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// A page view as the tracker's script posts it.
pub(crate) fn post(event: usize, visitor: usize) -> String {
    let body = format!(
        r#"{{"n":"pageview","v":36,"u":"https://example.com/page/{event}","d":"example.com","r":null}}"#
    );
    format!(
        "POST /api/event HTTP/1.1\r\nHost: example.com\r\nContent-Type: text/plain\r\nOrigin: https://example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 \
         Safari/537.36\r\nX-Forwarded-For: 198.18.{}.{}\r\nContent-Length: {}\r\n\r\n{body}",
        visitor / 250,
        visitor % 250 + 1,
        body.len()
    )
}

/// A connection that posts go over, one after the other.
pub(crate) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads the answer to a post; whether it is a 202.
pub(crate) async fn is_accepted(stream: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = Vec::new();
    while message(&buffer).is_none() {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.starts_with(b"HTTP/1.1 202"))
}

/// The stand-in for Plausible: takes every event, says so to `came`, and answers `away` after it came.
pub(crate) async fn receive(listener: TcpListener, away: Duration, came: impl Fn() + Clone + Send + 'static) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let came = came.clone();
        tokio::spawn(async move {
            // Slower, if it fails.
            let _ = stream.set_nodelay(true);
            let mut buffer = Vec::new();
            while stream.read_buf(&mut buffer).await.is_ok_and(|length| length > 0) {
                while let Some(length) = message(&buffer) {
                    buffer.drain(..length);
                    if !away.is_zero() {
                        sleep(away).await;
                    }
                    came();
                    let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// How long the first message is, if it is whole.
fn message(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]);
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some(whole)
}

pub(crate) fn free_port() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Waits until a process listens there.
pub(crate) async fn listens(address: SocketAddr) -> Result<(), Failure> {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("nobody listens at {address}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A process that runs. Dropping it asks it to end, and waits until it has.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command`; what it says goes to `name.log` in `directory`.
    pub(crate) fn start(command: &mut Command, directory: &Path, name: &str) -> Result<Self, Failure> {
        let log = File::create(directory.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Running(child))
    }

    /// The CPU that it and its children have used.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
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
