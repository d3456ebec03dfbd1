//! Where a configuration comes from: a file, the environment, flags. The outside world is passed in, so that
//! a test can make it up.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt::{self, Debug, Formatter},
    fs, io,
    path::{Path, PathBuf},
};

/// The flags that set configuration keys. Each beats the environment and the file.
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
    /// `--log`: `log.level`.
    pub log: Option<String>,
    /// `--log-format`: `log.format`.
    pub log_format: Option<String>,
}

/// Reads a file.
type ReadFile = Box<dyn Fn(&Path) -> io::Result<Vec<u8>> + Send + Sync>;
/// Whether a directory could be written, and made if it does not exist.
type IsWritable = Box<dyn Fn(&Path) -> bool + Send + Sync>;

/// Everything that a configuration is made from. It is kept for the process's life: a reload resolves it
/// again.
pub struct Sources {
    /// The flags.
    pub flags: Flags,
    /// The whole environment. `STATE_DIRECTORY`, `XDG_STATE_HOME` and `HOME` are needed for the state
    /// directory.
    pub environment: BTreeMap<String, OsString>,
    /// What relative paths in flags and environment are relative to. Those in a file are relative to the
    /// file.
    pub directory: PathBuf,
    /// Reads a file.
    pub read: ReadFile,
    /// Whether a directory could be written.
    pub writable: IsWritable,
    /// CPUs that this process may use (affinity and cgroup quota), at least 1.
    pub cpus: usize,
}

impl Sources {
    /// This process's environment, with these flags.
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

    /// The flags alone, without the environment, for a sidecar that is part of something else.
    pub fn of_flags(flags: Flags) -> Self {
        Sources {
            environment: BTreeMap::new(),
            ..Sources::of_process(flags)
        }
    }

    /// An environment variable that is set and UTF-8.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name)?.to_str()
    }
}

impl Debug for Sources {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// Creates and removes a file, because modes alone don't tell (read-only mounts, capabilities). For a
/// directory that does not exist, its parent is tried. A full disk counts as writable: otherwise a restart
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
