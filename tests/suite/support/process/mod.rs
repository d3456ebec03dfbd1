//! The real binary as a process, on ports of its own, in a directory of its own.

mod builder;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

pub(crate) use self::builder::Builder;
use super::{
    DEADLINE, as_long_as_it_moves,
    client::{self, Client},
    eventually,
    message::Response,
    metrics::Metrics,
};

/// Runs what stands for a machine of its own: it gets the CPU when nothing else wants it, and leaves it at once. So what is
/// measured is not held up by what would be elsewhere outside of a test.
pub(crate) const ELSEWHERE: [&str; 3] = ["chrt", "--idle", "0"];

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gatecount");

/// A running sidecar; killed when dropped, and its log shown if the test failed.
pub(crate) struct Sidecar {
    /// Where it serves.
    pub(crate) address: SocketAddr,
    /// Where it tells of itself.
    pub(crate) admin: SocketAddr,
    /// How long it took from the start of the process to the line that names the addresses.
    pub(crate) started_in: Duration,
    builder: Builder,
    child: Child,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

/// The lines a process wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Sidecar {
    /// A connection to it.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// What the admin address answers.
    #[track_caller]
    pub(crate) fn admin(&self, target: &str) -> Response {
        client::get(self.admin, target)
    }

    /// Waits until it says where it is and is ready.
    fn come_up(&mut self, begun: Instant) -> Result<(), String> {
        self.admin =
            self.while_it_runs(|sidecar| sidecar.log.address("admin").ok_or("no line names it".into()))?;
        self.started_in = begun.elapsed();
        self.address = self.while_it_runs(Sidecar::try_address)?;
        Ok(())
    }

    /// Asks again and again; gives up at the deadline, and when the process ends.
    fn while_it_runs<T>(&mut self, probe: impl Fn(&Sidecar) -> Result<T, String>) -> Result<T, String> {
        let begun = Instant::now();
        loop {
            match probe(self) {
                Ok(answer) => return Ok(answer),
                Err(reason) => {
                    let ended = self.child.try_wait().expect("wait");
                    if ended.is_some() || begun.elapsed() > DEADLINE {
                        return Err(format!("{reason}; ended: {ended:?}"));
                    }
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Where it serves, once it is ready.
    fn try_address(&self) -> Result<SocketAddr, String> {
        let status = self.try_admin("/status")?;
        let listen = status.json()["listen"].as_str().unwrap_or_default().to_owned();
        let address = match listen.parse() {
            Ok(address) => address,
            // A Unix socket has no port to learn.
            Err(_) if listen.starts_with("unix:") || listen == "none" => self.admin,
            Err(e) => return Err(format!("listen {listen:?}: {e}")),
        };
        match self.try_admin("/readyz")?.status() {
            200 => Ok(address),
            other => Err(format!("/readyz is {other}")),
        }
    }

    fn try_admin(&self, target: &str) -> Result<Response, String> {
        Client::try_to(self.admin)
            .and_then(|mut c| {
                let request = client::Request::get(target).host(&self.admin.to_string());
                c.try_ask(&request.with("Connection", "close"))
            })
            .map_err(|e| format!("{target}: {e}"))
    }

    /// `/status`.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.admin("/status").json()
    }

    /// `/metrics`.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::read(self.admin)
    }

    /// Waits until so many requests are decided and every event of theirs has ended, as long as it takes
    /// while events go on ending: after this nothing more comes to Plausible. Gives the last reading.
    #[track_caller]
    pub(crate) fn settled(&self, requests: usize) -> Metrics {
        as_long_as_it_moves(
            &format!("{requests} requests decided and no event pending"),
            || {
                let decided = self.metrics().decided();
                // Events are offered before their request counts as decided, but the reading that shows the
                // decision may have looked at the events before that.
                let metrics = self.metrics();
                metrics.assert_account();
                match (decided, metrics.pending()) {
                    (decided, 0) if decided == requests as u64 => Ok(metrics),
                    (decided, pending) => Err(format!("{decided} decided, {pending} pending")),
                }
            },
        )
    }

    /// Waits until nothing is pending, as long as it takes while events go on ending. Gives the last reading.
    #[track_caller]
    pub(crate) fn drained(&self) -> Metrics {
        as_long_as_it_moves("nothing pending", || {
            let metrics = self.metrics();
            metrics.assert_account();
            match metrics.pending() {
                0 => Ok(metrics),
                pending => Err(pending),
            }
        })
    }

    /// Waits until a reading pleases.
    #[track_caller]
    pub(crate) fn await_metrics(&self, what: &str, pleases: impl Fn(&Metrics) -> bool) -> Metrics {
        eventually(what, || {
            let metrics = self.metrics();
            if pleases(&metrics) {
                Ok(metrics)
            } else {
                Err(format!("{metrics:?}"))
            }
        })
    }

    /// Its queue's directory, as configured.
    pub(crate) fn queue(&self) -> PathBuf {
        self.builder.configured("queue", "path").into()
    }

    /// Waits until so many events that have not ended are in the queue's files, which outlive a kill.
    #[track_caller]
    pub(crate) fn await_on_disk(&self, pending: usize) {
        let queue = self.queue();
        let arguments = ["queue", "status", queue.to_str().expect("a path in UTF-8")];
        eventually(&format!("{pending} in the files"), || {
            let output = run(&arguments, "");
            let status = String::from_utf8_lossy(&output.stdout).into_owned();
            let count = status.lines().find_map(|line| line.strip_prefix("pending "));
            if count.is_some_and(|count| count.trim() == pending.to_string()) {
                Ok(())
            } else {
                Err(format!("{status}{}", String::from_utf8_lossy(&output.stderr)))
            }
        });
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("run sh");
        assert!(status.success(), "kill -{name} failed");
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process ends", || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".into()),
            Err(e) => Err(e.to_string()),
        })
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "a stop ended with {status}");
    }

    /// Starts it again, after its end, on the same configuration and queue, at other ports.
    #[track_caller]
    pub(crate) fn again(self) -> Sidecar {
        let builder = self.builder.clone();
        drop(self);
        builder.start()
    }

    /// Its configuration, to be changed and written.
    pub(crate) fn builder(&self) -> Builder {
        self.builder.clone()
    }

    /// Resident memory, in bytes.
    pub(crate) fn rss(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("read /proc");
        let line = text
            .lines()
            .find(|l| l.starts_with("VmRSS:"))
            .expect("a VmRSS line");
        let kibibytes = line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
        kibibytes.expect("a number") * 1024
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Threads.
    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("read /proc")
            .count()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("read /proc")
            .count()
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for a line that holds this text.
    #[track_caller]
    pub(crate) fn await_log(&self, text: &str) -> String {
        eventually(&format!("a log line with {text:?}"), || {
            let line = self.log.lines().into_iter().find(|line| line.contains(text));
            line.ok_or_else(|| "there is none".into())
        })
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if thread::panicking() {
            eprintln!("--- gatecount's log ---\n{}\n---", self.log.lines().join("\n"));
        }
    }
}

impl Log {
    fn follow(&self, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                log.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The address that a JSON line carries under this name, at its top or in its `fields`.
    fn address(&self, name: &str) -> Option<SocketAddr> {
        self.lines().iter().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let value = line.get(name).or_else(|| line["fields"].get(name))?;
            value.as_str()?.parse().ok()
        })
    }
}

/// An address that nobody has at the moment, and another one each time.
pub(crate) fn free_port() -> SocketAddr {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("the bound address");
        if !given.contains(&address.port()) {
            given.push(address.port());
            return address;
        }
    }
}

/// Whether a tool of the system is there.
pub(crate) fn has(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .output();
    found.is_ok_and(|o| o.status.success())
}

/// The suite's own variables are none of the binary's, which refuses what it does not know. A proxy of this
/// machine is none of the tests'.
pub(crate) fn forget_the_tests_own(command: &mut Command) {
    for name in ["GATECOUNT_FULL", "GATECOUNT_VECTORS"] {
        command.env_remove(name);
    }
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name);
        command.env_remove(name.to_ascii_lowercase());
    }
}

/// Runs a command of the binary to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(BINARY);
    forget_the_tests_own(&mut command);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start gatecount");
    let mut stdin = child.stdin.take().expect("its standard input");
    let input = input.to_owned();
    // From a thread, as it may answer before it has read everything; a command that reads nothing closes its
    // end.
    let writing = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("wait");
    let _ = writing.join().expect("the writing thread");
    output
}
