//! An app that this process has started: signals are passed on to it, and its exit status becomes ours.
//!
//! As the first process of a container this one inherits the processes whose parents have ended. It takes
//! over that duty anywhere else too (`PR_SET_CHILD_SUBREAPER`), so none of the app's is left as a zombie.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
    process::Command,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{
        self, Pid, Resource, Rlimit, WaitOptions, WaitStatus, getrlimit, kill_process, kill_process_group,
        set_child_subreaper, setrlimit, test_kill_process_group,
    },
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, timeout_at},
};

use super::service_manager::NOTIFY_SOCKET;

/// How often it is looked whether the last process of the app's has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a process that was killed may take to end. Only one in the kernel's hands takes that long.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// What is meant for this process alone.
const OURS: [&str; 6] = [
    NOTIFY_SOCKET,
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// The command that starts the app.
#[derive(Debug, Clone)]
pub struct AppCommand {
    /// The program, found by `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it finds in `PORT`: where it is to listen.
    pub port: Option<u16>,
    /// The limit of open files that it gets: the one that this process was started with.
    pub open_files: Rlimit,
}

/// The app as a process.
#[derive(Debug)]
pub struct AppProcess {
    pid: Pid,
    /// Whether it leads a process group of its own, to which signals go.
    has_group: bool,
    children: Signal,
    /// The signals that are passed on as they come, each with its name.
    passed: [(Signal, process::Signal); 4],
    status: Option<u8>,
}

impl AppCommand {
    /// The command in these words; none if there are none.
    pub fn of(words: &[OsString], port: Option<u16>) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        Some(AppCommand {
            program: program.clone(),
            arguments: arguments.to_vec(),
            port,
            open_files: getrlimit(Resource::Nofile),
        })
    }

    /// Starts the app, in a process group of its own: whatever it starts gets the signals too. In a terminal
    /// it stays in the terminal's group, or it could not read what is typed.
    ///
    /// # Errors
    /// The operating system's, as when there is no such program.
    pub fn start(&self) -> io::Result<AppProcess> {
        // Before the start, or its end could be missed.
        let children = signal(SignalKind::child())?;
        let passed = [
            (signal(SignalKind::hangup())?, process::Signal::HUP),
            (signal(SignalKind::quit())?, process::Signal::QUIT),
            (signal(SignalKind::user_defined1())?, process::Signal::USR1),
            (signal(SignalKind::user_defined2())?, process::Signal::USR2),
        ];
        if let Err(error) = set_child_subreaper(Some(process::getpid())) {
            tracing::debug!(%error, "processes that the app leaves behind are not waited for");
        }
        let has_group = !io::stdin().is_terminal();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(port) = self.port {
            command.env("PORT", port.to_string());
        }
        for name in OURS {
            command.env_remove(name);
        }
        if has_group {
            command.process_group(0);
        }
        // A limit of a million, which this process has taken, slows programs that try every number.
        let raised = getrlimit(Resource::Nofile);
        let lowered = setrlimit(Resource::Nofile, self.open_files);
        let child = command.spawn();
        if lowered.is_ok() {
            setrlimit(Resource::Nofile, raised)?;
        }
        let child = child?;
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
        Ok(AppProcess {
            pid,
            has_group,
            children,
            passed,
            status: None,
        })
    }
}

impl AppProcess {
    /// The process's number.
    pub fn id(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Whether its end has been noticed.
    pub fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// Waits for the app's end, and passes signals on meanwhile; its exit status, 128 and the signal's number
    /// if one has ended it. Nothing is missed if this is cancelled.
    pub async fn ended(&mut self) -> u8 {
        loop {
            self.reap();
            if let Some(status) = self.status {
                return status;
            }
            let [(a, hangup), (b, quit), (c, first), (d, second)] = &mut self.passed;
            let signal = tokio::select! {
                _ = self.children.recv() => continue,
                _ = a.recv() => *hangup,
                _ = b.recv() => *quit,
                _ = c.recv() => *first,
                _ = d.recv() => *second,
            };
            self.signal(signal);
        }
    }

    /// Sends a signal to the app and to what it has started.
    pub fn signal(&self, signal: process::Signal) {
        let sent = if self.has_group {
            kill_process_group(self.pid, signal)
        } else if self.status.is_none() {
            kill_process(self.pid, signal)
        } else {
            return;
        };
        // It may have ended already.
        if let Err(error) = sent
            && error != Errno::SRCH
        {
            tracing::warn!(%error, ?signal, "the app can't be sent a signal");
        }
    }

    /// Waits until the app and what it has started have ended, and kills them at the deadline. The app's exit
    /// status.
    pub async fn end_by(&mut self, deadline: Instant) -> u8 {
        if timeout_at(deadline, self.all_ended()).await.is_err() {
            tracing::warn!("the app has not ended in time, and is killed");
            self.signal(process::Signal::KILL);
            let _ = timeout_at(Instant::now() + AFTER_KILL, self.all_ended()).await;
        }
        self.status
            .unwrap_or(status_of_signal(process::Signal::KILL.as_raw()))
    }

    async fn all_ended(&mut self) {
        self.ended().await;
        while self.has_group && test_kill_process_group(self.pid).is_ok() {
            sleep(POLL_INTERVAL).await;
            self.reap();
        }
    }

    /// Takes the exit status of every child that has ended.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = process::wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                self.status = Some(exit_status(status));
            }
        }
    }
}

fn exit_status(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        // Eight bits are all that there is of either.
        (Some(status), _) => status.cast_unsigned() as u8,
        (None, Some(signal)) => status_of_signal(signal),
        (None, None) => 1,
    }
}

fn status_of_signal(signal: i32) -> u8 {
    128 + signal.cast_unsigned() as u8
}
