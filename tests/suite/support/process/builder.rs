//! How a sidecar is to be started, and its start.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use toml::Table;

use super::{
    super::{client::Client, origin::Origin, receiver::Receiver, tls::Pair},
    BINARY, Log, Sidecar, forget_the_tests_own, free_port,
};

/// How a sidecar is to be started.
#[derive(Clone)]
pub(crate) struct Builder {
    config: Table,
    domain: Option<String>,
    environment: Vec<(String, String)>,
    /// A command that runs the rest.
    runner: Vec<String>,
    /// Flags, beside those for the file and the domain.
    flags: Vec<String>,
    /// A command's name, where it is to run another one than `run`.
    subcommand: Option<&'static str>,
    /// The app's command, behind `--`.
    app: Vec<String>,
    /// A socket that it gets as its standard input.
    socket: Option<Arc<TcpListener>>,
    directory: Arc<TempDir>,
}

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
            flags: Vec::new(),
            subcommand: None,
            app: Vec::new(),
            socket: None,
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

    /// Before nothing: it sees requests from aside alone.
    pub(crate) fn aside() -> Builder {
        let mut builder = Builder::before_url("");
        builder.config.remove("app");
        builder
    }

    /// A gateway: it takes events from a stream and delivers them, and has neither app nor visitors.
    pub(crate) fn gateway() -> Builder {
        let mut builder = Builder::before_url("");
        builder
            .config
            .retain(|table, _| ["admin", "plausible"].contains(&table));
        builder.domain = None;
        builder.subcommand = Some("gateway");
        builder
    }

    /// Its configuration is a gateway's from now on.
    pub(crate) fn for_gateway(mut self) -> Builder {
        self.subcommand = Some("gateway");
        self
    }

    /// For another command than the one that it would be started by.
    pub(crate) fn without_subcommand(mut self) -> Builder {
        self.subcommand = None;
        self
    }

    /// With a configuration of `deploy/config`, on free ports, its queue in a directory of its own.
    pub(crate) fn deployed(file: &str) -> Builder {
        let text = fs::read_to_string(Builder::example(file)).expect("read deploy/config");
        let directory = Arc::new(TempDir::new().expect("a directory"));
        let queue = directory.path().join("queue");
        Builder {
            config: text.parse().expect("TOML"),
            domain: None,
            environment: Vec::new(),
            runner: Vec::new(),
            flags: Vec::new(),
            subcommand: None,
            app: Vec::new(),
            socket: None,
            directory,
        }
        .set("listen.address", "127.0.0.1:0")
        .set("admin.address", "127.0.0.1:0")
        .set("queue.path", queue.to_str().expect("a path in UTF-8"))
    }

    /// The path of a configuration of `deploy/config`.
    pub(crate) fn example(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy/config")
            .join(file)
    }

    /// It starts its app itself.
    pub(crate) fn starting(command: &[&str]) -> Builder {
        let mut builder = Builder::aside();
        builder.app = command.iter().map(|word| (*word).to_owned()).collect();
        builder
    }

    /// It listens on this socket, which is passed to it as systemd does.
    pub(crate) fn on_socket(self, socket: &Arc<TcpListener>) -> Builder {
        let pass = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
        let mut builder = self.under(&["sh", "-c", pass, "sh"]);
        builder.socket = Some(Arc::clone(socket));
        builder
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

    /// A key's value, which is text.
    #[track_caller]
    pub(crate) fn configured(&self, table: &str, key: &str) -> &str {
        let value = self.config.get(table).and_then(|table| table.get(key));
        value.and_then(toml::Value::as_str).expect("a configured text")
    }

    /// Gives a flag.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Builder {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Leaves one key out.
    pub(crate) fn without(mut self, table: &str, key: &str) -> Builder {
        let table = self.config.get_mut(table).and_then(toml::Value::as_table_mut);
        table.expect("a table").remove(key);
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
        command.args(&self.flags).args(self.subcommand);
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        if !self.app.is_empty() {
            command.arg("--").args(&self.app);
        }
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

    /// Starts it, whether it comes up or not.
    pub(crate) fn start_anyhow(self) -> Sidecar {
        self.try_start().0
    }

    /// Starts it and waits until it serves, or says why it does not.
    pub(crate) fn try_start(self) -> (Sidecar, Result<(), String>) {
        self.write();
        let begun = Instant::now();
        let stdin = self.socket.as_ref().map(|socket| {
            let socket = socket.try_clone().expect("another descriptor");
            Stdio::from(OwnedFd::from(socket))
        });
        let mut child = self
            .command()
            .stdin(stdin.unwrap_or_else(Stdio::null))
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
