//! Where a configuration comes from: a file, the environment, flags. The outside world comes in as arguments, so that a
//! test can say what it is.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt::{self, Debug, Formatter},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    file::{self, File},
    keys,
    mistake::{Mistake, Mistakes, Origin},
    value::{Spot, Value},
};

/// What every variable of ours begins with.
const PREFIX: &str = "GATECOUNT_";

/// Variables that stand for a flag instead of a key.
const FLAG_VARIABLES: &[&str] = &["GATECOUNT_CONFIG", "GATECOUNT_DOMAIN", "GATECOUNT_LOG"];

/// Read by this project's own tests, which start the binary in their environment.
const FOREIGN: &str = "GATECOUNT_VECTORS";

/// The flags that set configuration keys; each beats the environment and the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: the file.
    pub config: Option<PathBuf>,
    /// `--app`: `app.url`.
    pub app: Option<String>,
    /// `--domain`: the dashboards of every host, in place of `[[sites]]`. Each may be a comma-separated list.
    pub domain: Vec<String>,
    /// `--plausible`: `plausible.url`.
    pub plausible: Option<String>,
    /// `--listen`: `listen.address`.
    pub listen: Option<String>,
    /// `--admin`: `admin.address`.
    pub admin: Option<String>,
    /// `--queue`: `memory` (`queue.at`), or a directory (`queue.path`).
    pub queue: Option<String>,
    /// `--log`: what is logged.
    pub log: Option<String>,
}

/// Reads a file.
type Read = Box<dyn Fn(&Path) -> io::Result<Vec<u8>> + Send + Sync>;
/// Whether a directory could be written, made first if need be.
type Writable = Box<dyn Fn(&Path) -> bool + Send + Sync>;

/// Everything that a configuration is made from. Kept for the life of the process: a reload resolves it again.
pub struct Sources {
    /// The flags.
    pub flags: Flags,
    /// The environment, all of it: the state directory is found through `STATE_DIRECTORY`, `XDG_STATE_HOME`, `HOME`.
    pub environment: BTreeMap<String, OsString>,
    /// What relative paths in flags and environment are relative to; those in a file are relative to the file.
    pub directory: PathBuf,
    /// Reads a file.
    pub read: Read,
    /// Whether a directory could be written.
    pub writable: Writable,
    /// CPUs that this process may use (affinity and cgroup quota), at least 1.
    pub cpus: usize,
}

impl Sources {
    /// Those of this process, with these flags.
    pub fn of_process(flags: Flags) -> Self {
        Sources {
            flags,
            environment: env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            directory: env::current_dir().unwrap_or_default(),
            read: Box::new(|path| fs::read(path)),
            writable: Box::new(can_write),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The flags alone, whatever the environment says, for a sidecar that is part of something else.
    pub fn of_flags(flags: Flags) -> Self {
        Sources {
            environment: BTreeMap::new(),
            ..Sources::of_process(flags)
        }
    }

    /// An environment variable, where it is set and UTF-8.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name)?.to_str()
    }

    /// Gathers what file, environment and flags say, in that order: later ones beat earlier ones.
    pub(super) fn gather(&self, mistakes: &mut Mistakes) -> Given {
        let mut given = Given {
            base: self.directory.clone(),
            ..Given::default()
        };
        if let Some((path, origin)) = self.config() {
            self.gather_file(&path, &origin, &mut given, mistakes);
        }
        self.gather_environment(&mut given, mistakes);
        self.gather_flags(&mut given, mistakes);
        given
    }

    /// The file's path and who named it.
    fn config(&self) -> Option<(PathBuf, Origin)> {
        if let Some(path) = &self.flags.config {
            return Some((path.clone(), Origin::Flag("--config")));
        }
        let path = self.environment.get("GATECOUNT_CONFIG")?;
        Some((path.into(), Origin::Environment("GATECOUNT_CONFIG".to_owned())))
    }

    fn gather_file(&self, path: &Path, origin: &Origin, given: &mut Given, mistakes: &mut Mistakes) {
        let whole = self.directory.join(path);
        whole
            .parent()
            .unwrap_or(&self.directory)
            .clone_into(&mut given.base);
        given.files.push(whole.clone());
        let unreadable = |origin: &Origin, problem: String| Mistake {
            origin: origin.clone(),
            key: String::new(),
            value: Some(format!("{:?}", path.display().to_string())),
            problem,
        };
        let bytes = match (self.read)(&whole) {
            Ok(bytes) => bytes,
            Err(error) => {
                given.broken = true;
                return mistakes.push(unreadable(origin, format!("can't be read: {error}")));
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let File {
                    values,
                    sites,
                    pairs,
                    broken,
                } = file::read(path, &text, mistakes);
                given.broken = broken;
                given.sites = sites;
                given.pairs = pairs;
                for (key, value) in values {
                    given.values.entry(key).or_default().push(value);
                }
            }
            Err(error) => {
                given.broken = true;
                let line = file::line_of(error.as_bytes(), error.utf8_error().valid_up_to());
                let place = Origin::File {
                    path: path.to_owned(),
                    line,
                };
                mistakes.push(Mistake::key(&place, "", "not UTF-8, as TOML must be"));
            }
        }
    }

    fn gather_environment(&self, given: &mut Given, mistakes: &mut Mistakes) {
        let ours = self
            .environment
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX));
        for (name, value) in ours {
            let origin = Origin::Environment(name.clone());
            let key = keys::KEYS.iter().find(|k| keys::variable(k.path) == *name);
            if key.is_none() && !FLAG_VARIABLES.contains(&name.as_str()) {
                if name == "GATECOUNT_SITES" || name.starts_with("GATECOUNT_SITES_") {
                    let problem = "sites can't be given in the environment: \
                                   GATECOUNT_DOMAIN=example.com stands for every host, [[sites]] in the file for some";
                    mistakes.push(Mistake::key(&origin, "", problem));
                } else if name != FOREIGN && !is_service_link(name, value.to_str().unwrap_or_default()) {
                    mistakes.push(Mistake::key(
                        &origin,
                        "",
                        keys::unknown_variable(name, FLAG_VARIABLES),
                    ));
                }
                continue;
            }
            let Some(text) = value.to_str() else {
                if name != "GATECOUNT_CONFIG" {
                    let key = key.map_or("", |k| k.path);
                    mistakes.push(Mistake::value(
                        &origin,
                        key,
                        format!("\"{}\"", value.display()),
                        "not UTF-8",
                    ));
                }
                continue;
            };
            let spot = Spot {
                what: Value::Loose(text.to_owned()),
                origin,
            };
            match (key, name.as_str()) {
                (Some(key), _) => given.values.entry(key.path).or_default().push(spot),
                (None, "GATECOUNT_DOMAIN") => given.domain = Some(spot),
                (None, "GATECOUNT_LOG") => given.log = Some(spot),
                (None, _) => {}
            }
        }
    }

    fn gather_flags(&self, given: &mut Given, mistakes: &mut Mistakes) {
        let Flags {
            config: _,
            app,
            domain,
            plausible,
            listen,
            admin,
            queue,
            log,
        } = &self.flags;
        let spot = |flag, text: &str| Spot {
            what: Value::Loose(text.to_owned()),
            origin: Origin::Flag(flag),
        };
        for (flag, key, value) in [
            ("--app", "app.url", app),
            ("--plausible", "plausible.url", plausible),
            ("--listen", "listen.address", listen),
            ("--admin", "admin.address", admin),
        ] {
            if let Some(value) = value {
                given.values.entry(key).or_default().push(spot(flag, value));
            }
        }
        match queue.as_deref() {
            None => {}
            Some("memory") => given
                .values
                .entry("queue.at")
                .or_default()
                .push(spot("--queue", "memory")),
            Some(text @ ("" | "disk")) => {
                let problem = "memory or a directory is wanted (./disk for a directory of that name)";
                mistakes.push(Mistake::value(
                    &Origin::Flag("--queue"),
                    "queue.path",
                    format!("{text:?}"),
                    problem,
                ));
            }
            Some(directory) => {
                given
                    .values
                    .entry("queue.at")
                    .or_default()
                    .push(spot("--queue", "disk"));
                given
                    .values
                    .entry("queue.path")
                    .or_default()
                    .push(spot("--queue", directory));
            }
        }
        if !domain.is_empty() {
            given.domain = Some(spot("--domain", &domain.join(",")));
        }
        if let Some(log) = log {
            given.log = Some(spot("--log", log));
        }
    }
}

impl Debug for Sources {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// What all sources say, unjudged.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// By key, the one that beats the others last.
    pub(super) values: BTreeMap<&'static str, Vec<Spot<Value>>>,
    /// The file's sites.
    pub(super) sites: Vec<file::Site>,
    /// The file's further pairs of certificate and key.
    pub(super) pairs: Vec<file::Pair>,
    /// `--domain` or its variable.
    pub(super) domain: Option<Spot<Value>>,
    /// `--log` or its variable.
    pub(super) log: Option<Spot<Value>>,
    /// Files that were read.
    pub(super) files: Vec<PathBuf>,
    /// What relative paths of the file are relative to.
    pub(super) base: PathBuf,
    /// The file can't be read or is no TOML: nothing can be called missing.
    pub(super) broken: bool,
}

/// Whether Kubernetes (or a container link) set this variable: a Service called `gatecount…` puts its addresses into
/// every container of its namespace, in names that begin as ours do and that nobody of ours chose.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && address)
        || name.split_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.split('_');
            parts.next().is_some_and(|n| n.parse::<u16>().is_ok())
                && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        })
}

/// Tried for real, for modes do not tell the whole of it (read-only mounts, capabilities): a file is made and removed.
/// Of a directory that is not there yet its parent is asked. A full disk is one that could be written: else a restart
/// would look for its queue elsewhere.
fn can_write(directory: &Path) -> bool {
    let place = if directory.exists() {
        directory
    } else {
        match directory.parent() {
            Some(parent) => parent,
            None => return false,
        }
    };
    let probe = place.join(format!(".gatecount-{}", std::process::id()));
    match fs::OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(_) => fs::remove_file(&probe).is_ok(),
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ),
    }
}
