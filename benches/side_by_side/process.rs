//! Processes that the bench starts: pinned to CPUs, logged to the session's directory, stopped when dropped.

use std::{
    collections::HashMap,
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::{Failure, interrupt};

/// How long a proxy may take to open its port, or to stop when asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a process of the bench itself may take until it is ready: thousands of connections need their
/// time.
const READY: Duration = Duration::from_mins(1);

/// Raises the limit on open files as far as it goes, has the program told when the bench dies (where
/// util-linux is new enough for it), and becomes the program, so that the child's id is the program's.
const WRAPPER: &str = r#"
ulimit -n "$(ulimit -Hn)"
cpus=$1; shift
if command -v setpriv >/dev/null 2>&1; then set -- setpriv --pdeathsig TERM "$@"; fi
exec taskset -c "$cpus" "$@""#;

/// A running program; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A command that will run `program` on `cpus` (as `taskset` writes them).
pub(crate) fn pinned(cpus: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", WRAPPER, "sh", cpus]).arg(program);
    command
}

/// A command that will run this bench again in `role` on `cpus`. It ends when the bench closes its standard
/// input.
pub(crate) fn itself(cpus: &str, role: &[&str]) -> Result<Command, Failure> {
    let mut command = pinned(cpus, env::current_exe()?);
    command.args(role).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

/// For a process that [`itself`] started: ends it once the bench has closed its standard input, or is gone.
pub(crate) fn end_with_the_bench() {
    thread::spawn(|| {
        // Nothing is ever written there; an error means as much as the end.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}

impl Process {
    /// Starts `command`, with what it says going to `name.log` in `directory`, as far as it isn't piped.
    pub(crate) fn start(name: &str, directory: &Path, mut command: Command) -> Result<Self, Failure> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stderr(file);
        let child = command
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Waits for the line, its only one, that a process started with [`itself`] says once it is ready.
    pub(crate) fn line(&mut self) -> Result<String, Failure> {
        let output = self
            .child
            .stdout
            .take()
            .ok_or("standard output is not piped, or has been read")?;
        let (sender, receiver) = mpsc::channel();
        // A thread of its own, because a pipe cannot be read with a limit; it ends with the pipe at the
        // latest.
        thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(output).read_line(&mut line);
            // Nobody listens any more once the limit has passed.
            let _ = sender.send(read.map(|_| line));
        });
        let until = Instant::now() + READY;
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(line) if line.as_ref().is_ok_and(|line| !line.is_empty()) => {
                    return Ok(line?.trim_end().to_owned());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => interrupt::check()?,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failure(&format!("was not ready in {READY:?}")));
                }
                Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failure("ended without a word"));
                }
            }
        }
    }

    /// Waits until `port` takes connections.
    pub(crate) fn opens(&mut self, port: u16) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended with {status}")));
            }
            interrupt::check()?;
            if Instant::now() > until {
                return Err(self.failure(&format!("did not open port {port}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits for its end, which must be a success, for `limit` at most.
    pub(crate) fn ends(&mut self, limit: Duration) -> Result<(), Failure> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failure(&format!("ended with {status}"))),
                None => interrupt::check()?,
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(self.failure(&format!("did not end in {limit:?}")))
    }

    /// Its id and those of its descendants.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let mut ids = vec![self.child.id()];
        let mut next = 0;
        while let Some(&id) = ids.get(next) {
            next += 1;
            for task in tasks(id) {
                let children = fs::read_to_string(task.join("children")).unwrap_or_default();
                ids.extend(
                    children
                        .split_whitespace()
                        .filter_map(|child| child.parse::<u32>().ok()),
                );
            }
        }
        ids
    }

    /// Whether it has ended, or does within `limit`.
    fn ended(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// `what` happened to it, and the last that it said.
    fn failure(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{} {what}: {}", self.name, last.join(" | ")).into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ids = self.ids();
        drop(self.child.stdin.take());
        if self.ended(Duration::ZERO) {
            return;
        }
        signal("TERM", &ids[..1]);
        if !self.ended(PATIENCE) {
            eprintln!(
                "{} did not stop in {PATIENCE:?} when asked to, and is killed",
                self.name
            );
            // Not reaped yet, so the id is still its own; its children lose their parent with it.
            signal("KILL", &ids);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal, which the standard library cannot. A process that is gone already is as good.
fn signal(name: &str, ids: &[u32]) {
    let _ = Command::new("sh")
        .args(["-c", r#"kill -s "$@""#, "sh", name])
        .args(ids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
}

/// CPU time of all threads of `ids` so far, in nanoseconds, user space and kernel.
pub(crate) fn cpu(ids: &[u32]) -> u64 {
    schedstat(ids, 0).map(|(_, cpu)| cpu).sum()
}

/// How long threads of `ids` were ready to run so far while their CPU was held by others, in nanoseconds.
pub(crate) fn waited(ids: &[u32]) -> u64 {
    schedstat(ids, 1).map(|(_, waited)| waited).sum()
}

/// CPU time of each thread of `ids` so far, in nanoseconds.
pub(crate) fn cpu_by_thread(ids: &[u32]) -> HashMap<PathBuf, u64> {
    schedstat(ids, 0).collect()
}

/// A field of each thread's `schedstat`.
fn schedstat(ids: &[u32], field: usize) -> impl Iterator<Item = (PathBuf, u64)> {
    let threads = ids.iter().flat_map(|&id| tasks(id));
    threads.filter_map(move |task| {
        let schedstat = fs::read_to_string(task.join("schedstat")).ok()?;
        let value = schedstat.split(' ').nth(field)?.parse().ok()?;
        Some((task, value))
    })
}

/// Resident memory of `ids`, in KiB.
pub(crate) fn resident(ids: &[u32]) -> u64 {
    let of = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    ids.iter().filter_map(of).sum()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn tasks(id: u32) -> impl Iterator<Item = PathBuf> {
    let directory = fs::read_dir(format!("/proc/{id}/task"));
    directory
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}
