//! The real binary as a process, on ports of its own, in a directory of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use super::{
    DEADLINE, as_long_as_it_moves,
    client::{self, Client},
    eventually,
    message::Response,
    metrics::Metrics,
    origin::Origin,
    receiver::Receiver,
    tls::Pair,
};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gatecount");

/// How a sidecar is to be started.
#[derive(Clone)]
pub(crate) struct Builder {
    config: Table,
    domain: Option<String>,
    environment: Vec<(String, String)>,
    /// A command that runs the rest.
    runner: Vec<String>,
    directory: Arc<TempDir>,
}

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

impl Builder {
    /// Before this app, on any free ports, everything counted for `example.com`, the queue on disk.
    pub(crate) fn before(app: &Origin) -> Builder {
        Builder::before_url(&app.url())
    }

    /// Before an app at this URL.
    pub(crate) fn before_url(url: &str) -> Builder {
        let directory = Arc::new(TempDir::new().expect("a directory"));
        let queue = directory.path().join("queue");
        Builder {
            config: Table::new(),
            domain: Some("example.com".into()),
            environment: Vec::new(),
            runner: Vec::new(),
            directory,
        }
        .set("listen.address", "127.0.0.1:0")
        .set("listen.workers", 2)
        .set("listen.drain", "5s")
        .set("admin.address", "127.0.0.1:0")
        .set("app.url", url)
        // A port that nobody listens on, for the tests that need no Plausible.
        .set("plausible.url", "http://127.0.0.1:9")
        .set("plausible.retry_initial", "20ms")
        .set("plausible.retry_max", "200ms")
        .set("queue.path", queue.to_str().expect("a path in UTF-8"))
    }

    /// Its events go there.
    pub(crate) fn telling(self, plausible: &Receiver) -> Builder {
        self.set("plausible.url", plausible.url())
    }

    /// Sets one key by its path.
    pub(crate) fn set(mut self, path: &str, value: impl Into<toml::Value>) -> Builder {
        let mut table = &mut self.config;
        let mut keys: Vec<&str> = path.split('.').collect();
        let last = keys.pop().expect("a key");
        for key in keys {
            table = table
                .entry(key)
                .or_insert_with(|| Table::new().into())
                .as_table_mut()
                .expect("a table");
        }
        table.insert(last.to_owned(), value.into());
        self
    }

    /// Speaks TLS in front: with this pair, or with a further one beside the first.
    pub(crate) fn tls(mut self, pair: &Pair) -> Builder {
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let (certificate, key) = (text(&pair.certificate), text(&pair.key));
        let listen = self.config.get("listen").and_then(|listen| listen.get("tls"));
        if listen.is_none() {
            return self
                .set("listen.tls.certificate", certificate)
                .set("listen.tls.key", key);
        }
        let more = [("certificate", certificate), ("key", key)];
        let more: Table = more
            .map(|(key, value)| (key.to_owned(), value.into()))
            .into_iter()
            .collect();
        self.config["listen"]["tls"]
            .as_table_mut()
            .expect("a table")
            .entry("more")
            .or_insert_with(|| toml::Value::Array(Vec::new()))
            .as_array_mut()
            .expect("an array")
            .push(more.into());
        self
    }

    /// Adds a `[[sites]]` entry; the domain for every host goes.
    pub(crate) fn site(mut self, hosts: &[&str], domains: &[&str]) -> Builder {
        self.domain = None;
        let list = |items: &[&str]| toml::Value::from(items.to_vec());
        let mut site = Table::new();
        site.insert("hosts".into(), list(hosts));
        site.insert(
            "domain".into(),
            if let [one] = domains {
                (*one).into()
            } else {
                list(domains)
            },
        );
        self.config
            .entry("sites")
            .or_insert_with(|| toml::Value::Array(Vec::new()))
            .as_array_mut()
            .expect("an array")
            .push(site.into());
        self
    }

    /// Sets an environment variable.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Builder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Files' modes hold for it though the tests may run as root; nothing where that can't be had.
    pub(crate) fn bound_by_modes(mut self) -> Option<Builder> {
        let plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
        let probe = self.directory.path().join("unreadable");
        fs::write(&probe, "").expect("write a file");
        fs::set_permissions(&probe, fs::Permissions::from_mode(0o000)).expect("set a mode");
        if fs::read(&probe).is_ok() {
            let ours = Command::new(plain[0])
                .arg(plain[1])
                .arg("cat")
                .arg(&probe)
                .output();
            if ours.is_err() || ours.is_ok_and(|o| o.status.success()) {
                return None;
            }
            self.runner = plain.map(str::to_owned).to_vec();
        }
        Some(self)
    }

    /// Names have these addresses for it, as `/etc/hosts` has them; nothing where that can't be had.
    pub(crate) fn with_hosts(mut self, lines: &str) -> Option<Builder> {
        let hosts = self.directory.path().join("hosts");
        fs::write(&hosts, lines).expect("write the hosts");
        let mount = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let hosts = hosts.to_str().expect("a path in UTF-8");
        let runner = ["unshare", "-m", "sh", "-c", mount, hosts];
        let works = Command::new(runner[0]).args(&runner[1..]).arg("true").output();
        self.runner = runner.map(str::to_owned).to_vec();
        works.is_ok_and(|output| output.status.success()).then_some(self)
    }

    /// Its own directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("gatecount.toml")
    }

    /// Writes the configuration file.
    pub(crate) fn write(&self) {
        let text = toml::to_string(&self.config).expect("a table is TOML");
        fs::write(self.file(), text).expect("write the configuration");
    }

    /// Runs it by this command, which gets the binary and its arguments as its own last ones.
    pub(crate) fn under(mut self, runner: &[&str]) -> Builder {
        self.runner = runner.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The command that starts it.
    pub(crate) fn command(&self) -> Command {
        let mut words = self.runner.iter().map(String::as_str).chain([BINARY]);
        let mut command = Command::new(words.next().expect("the binary"));
        command.args(words);
        forget_the_tests_own(&mut command);
        command.arg("--config").arg(self.file());
        if let Some(domain) = &self.domain {
            command.args(["--domain", domain]);
        }
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Starts it with this for its standard error, which nobody reads for the test, and waits until it
    /// listens. It is asked nothing for that, readiness least of all.
    #[track_caller]
    pub(crate) fn start_unheard(self, errors: Stdio) -> Sidecar {
        let (address, admin) = (free_port(), free_port());
        self.start_unheard_at(address, admin, errors)
    }

    /// As [`start_unheard`](Builder::start_unheard), at these addresses.
    #[track_caller]
    pub(crate) fn start_unheard_at(self, address: SocketAddr, admin: SocketAddr, errors: Stdio) -> Sidecar {
        let builder = self
            .set("listen.address", address.to_string())
            .set("admin.address", admin.to_string());
        builder.write();
        let begun = Instant::now();
        let child = builder
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("start gatecount");
        let mut sidecar = Sidecar {
            address,
            admin,
            started_in: Duration::ZERO,
            builder,
            child,
            log: Log::default(),
            readers: Vec::new(),
        };
        let up = sidecar.while_it_runs(|sidecar| {
            for address in [sidecar.admin, sidecar.address] {
                Client::try_to(address).map_err(|e| e.to_string())?;
            }
            Ok(())
        });
        up.unwrap_or_else(|reason| panic!("it does not come up: {reason}"));
        sidecar.started_in = begun.elapsed();
        sidecar
    }

    /// Starts it and waits until it serves.
    #[track_caller]
    pub(crate) fn start(self) -> Sidecar {
        let (sidecar, up) = self.try_start();
        up.unwrap_or_else(|reason| panic!("it does not come up: {reason}"));
        sidecar
    }

    /// Starts it and waits until it serves, or says why it does not.
    pub(crate) fn try_start(self) -> (Sidecar, Result<(), String>) {
        self.write();
        let begun = Instant::now();
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start gatecount");
        let log = Log::default();
        let readers = vec![
            log.follow(child.stdout.take().expect("its standard output")),
            log.follow(child.stderr.take().expect("its standard error")),
        ];
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut sidecar = Sidecar {
            address: nowhere,
            admin: nowhere,
            started_in: Duration::ZERO,
            builder: self,
            child,
            log,
            readers,
        };
        let up = sidecar.come_up(begun);
        (sidecar, up)
    }
}

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
            Err(_) if listen.starts_with("unix:") => self.admin,
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
                let metrics = self.metrics();
                metrics.assert_account();
                match (metrics.decided(), metrics.pending()) {
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

/// An address that nobody has at the moment.
pub(crate) fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    listener.local_addr().expect("the bound address")
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
fn forget_the_tests_own(command: &mut Command) {
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
