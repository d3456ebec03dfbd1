//! Gathers what file, environment and flags say, without judging the values.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{
    file::{self, RawEvent, RawFile, RawPair, RawSite},
    hints, keys,
    mistake::{Mistake, Mistakes, Origin},
    sources::{Flags, Sources},
    value::{Located, RawValue},
};

/// The prefix of gatecount's variables.
const PREFIX: &str = "GATECOUNT_";

/// Variables that stand for a flag and not for a key.
const FLAG_VARIABLES: &[&str] = &["GATECOUNT_CONFIG", "GATECOUNT_DOMAIN", "GATECOUNT_LOG"];

/// A variable of this project's tests, which start the binary in their own environment.
const TEST_VARIABLE: &str = "GATECOUNT_VECTORS";

/// What all sources say.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    /// Values by key. The last one of a key beats those before it.
    pub(super) values: BTreeMap<&'static str, Vec<Located<RawValue>>>,
    /// The file's sites.
    pub(super) sites: Vec<RawSite>,
    /// The file's events.
    pub(super) events: Vec<RawEvent>,
    /// The file's further pairs of certificate and key.
    pub(super) pairs: Vec<RawPair>,
    /// `--domain` or its variable.
    pub(super) domain: Option<Located<RawValue>>,
    /// The files that were read.
    pub(super) files: Vec<PathBuf>,
    /// What relative paths of the file are relative to.
    pub(super) base: PathBuf,
    /// The file can't be read or is not TOML. Its content is unknown, so no key can be reported as missing.
    pub(super) broken: bool,
}

/// Gathers file, environment and flags in this order: later ones beat earlier ones.
pub(super) fn gather(sources: &Sources, mistakes: &mut Mistakes) -> RawConfig {
    let mut raw = RawConfig {
        base: sources.directory.clone(),
        ..RawConfig::default()
    };
    if let Some((path, origin)) = config_file(sources) {
        raw.add_file(sources, &path, &origin, mistakes);
    }
    for (name, value) in sources
        .environment
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
    {
        raw.add_variable(name, value, mistakes);
    }
    raw.add_flags(&sources.flags, mistakes);
    raw
}

/// The file's path, and what named it.
fn config_file(sources: &Sources) -> Option<(PathBuf, Origin)> {
    if let Some(path) = &sources.flags.config {
        return Some((path.clone(), Origin::Flag("--config")));
    }
    let path = sources.environment.get("GATECOUNT_CONFIG")?;
    Some((path.into(), Origin::Environment("GATECOUNT_CONFIG".to_owned())))
}

impl RawConfig {
    fn add(&mut self, key: &'static str, value: Located<RawValue>) {
        self.values.entry(key).or_default().push(value);
    }

    fn add_file(&mut self, sources: &Sources, path: &Path, named_by: &Origin, mistakes: &mut Mistakes) {
        let absolute = sources.directory.join(path);
        absolute
            .parent()
            .unwrap_or(&sources.directory)
            .clone_into(&mut self.base);
        self.files.push(absolute.clone());
        let bytes = match (sources.read)(&absolute) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.broken = true;
                let value = format!("{:?}", path.display().to_string());
                return mistakes.push(Mistake::value(
                    named_by,
                    "",
                    value,
                    format!("can't be read: {error}"),
                ));
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let RawFile {
                    values,
                    sites,
                    events,
                    pairs,
                    broken,
                } = file::read(path, &text, mistakes);
                self.broken = broken;
                self.sites = sites;
                self.events = events;
                self.pairs = pairs;
                for (key, value) in values {
                    self.add(key, value);
                }
            }
            Err(error) => {
                self.broken = true;
                let line = file::line_of(error.as_bytes(), error.utf8_error().valid_up_to());
                let place = Origin::File {
                    path: path.to_owned(),
                    line,
                };
                mistakes.push(Mistake::key(&place, "", "not UTF-8, as TOML must be"));
            }
        }
    }

    fn add_variable(&mut self, name: &str, value: &OsStr, mistakes: &mut Mistakes) {
        let origin = Origin::Environment(name.to_owned());
        let key = match name {
            "GATECOUNT_LOG" => keys::find("log.level"),
            _ => keys::KEYS.iter().find(|key| keys::variable(key.path) == name),
        };
        if key.is_none() && !FLAG_VARIABLES.contains(&name) {
            if let Some(problem) = unknown_variable(name, value) {
                mistakes.push(Mistake::key(&origin, "", problem));
            }
            return;
        }
        let Some(text) = value.to_str() else {
            // A path need not be UTF-8.
            if name != "GATECOUNT_CONFIG" {
                let key = key.map_or("", |key| key.path);
                let value = format!("\"{}\"", value.display());
                mistakes.push(Mistake::value(&origin, key, value, "not UTF-8"));
            }
            return;
        };
        let value = Located {
            value: RawValue::Untyped(text.to_owned()),
            origin,
        };
        match key {
            Some(key) => self.add(key.path, value),
            None if name == "GATECOUNT_DOMAIN" => self.domain = Some(value),
            None => {}
        }
    }

    fn add_flags(&mut self, flags: &Flags, mistakes: &mut Mistakes) {
        let Flags {
            config: _,
            app,
            domain,
            plausible,
            listen,
            admin,
            queue,
            log,
            log_format,
        } = flags;
        for (flag, key, text) in [
            ("--app", "app.url", app),
            ("--plausible", "plausible.url", plausible),
            ("--listen", "listen.address", listen),
            ("--admin", "admin.address", admin),
            ("--log", "log.level", log),
            ("--log-format", "log.format", log_format),
        ] {
            if let Some(text) = text {
                self.add(key, from_flag(flag, text));
            }
        }
        if let Some(text) = queue {
            self.add_queue_flag(text, mistakes);
        }
        if !domain.is_empty() {
            self.domain = Some(from_flag("--domain", &domain.join(",")));
        }
    }

    /// `memory`, or a directory. A bare name that looks like a slip of `memory` or `disk` is refused: it
    /// would become a directory that nobody wants.
    fn add_queue_flag(&mut self, text: &str, mistakes: &mut Mistakes) {
        const FLAG: &str = "--queue";
        let slip = hints::nearest(text, ["memory", "disk"]).filter(|_| !text.contains('/'));
        match (text, slip) {
            ("memory", _) => self.add("queue.at", from_flag(FLAG, "memory")),
            ("", _) | (_, Some(_)) => {
                let example = if text.is_empty() { "queue" } else { text };
                let problem =
                    format!("memory or a directory is wanted (./{example} for a directory of that name)");
                let value = format!("{text:?}");
                mistakes.push(Mistake::value(&Origin::Flag(FLAG), "queue.path", value, problem));
            }
            (directory, None) => {
                self.add("queue.at", from_flag(FLAG, "disk"));
                self.add("queue.path", from_flag(FLAG, directory));
            }
        }
    }
}

fn from_flag(flag: &'static str, text: &str) -> Located<RawValue> {
    Located {
        value: RawValue::Untyped(text.to_owned()),
        origin: Origin::Flag(flag),
    }
}

/// What is wrong about a variable that sets no key, if anything is.
fn unknown_variable(name: &str, value: &OsStr) -> Option<String> {
    if name == "GATECOUNT_SITES" || name.starts_with("GATECOUNT_SITES_") {
        let problem = "sites can't be given in the environment: \
                       GATECOUNT_DOMAIN=example.com stands for every host, [[sites]] in the file for some";
        return Some(problem.to_owned());
    }
    if name == "GATECOUNT_EVENTS" || name.starts_with("GATECOUNT_EVENTS_") {
        return Some("events can't be given in the environment: [[events]] in the file has them".to_owned());
    }
    let is_foreign = name == TEST_VARIABLE || is_service_link(name, value.to_str().unwrap_or_default());
    (!is_foreign).then(|| hints::unknown_variable(name, FLAG_VARIABLES))
}

/// Whether Kubernetes (or a container link) set this variable. A Service called `gatecount…` puts its
/// addresses into the environment of every container of its namespace, under names that begin like ours.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && is_address)
        || name.split_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.split('_');
            parts.next().is_some_and(|n| n.parse::<u16>().is_ok())
                && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        })
}
