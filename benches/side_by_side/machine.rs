//! The machine: which CPUs the bench may use, and what to write under a table that was measured here.

use std::{fs, process::Command, time::SystemTime};

use crate::Failure;

/// The CPUs this process may use, in the form that `taskset` takes, by role.
#[derive(Debug)]
pub(crate) struct Machine {
    cpus: Vec<usize>,
}

impl Machine {
    /// Reads the CPUs that this process may use; fewer than two are an error.
    pub(crate) fn read() -> Result<Self, Failure> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .ok_or("/proc/self/status has no Cpus_allowed_list: this bench needs Linux")?;
        let cpus = cpu_list(list.trim()).ok_or_else(|| format!("cannot read the list of CPUs {list:?}"))?;
        if cpus.len() < 2 {
            return Err("two CPUs are needed: one for the proxies, one for the app and the load".into());
        }
        Ok(Self { cpus })
    }

    /// Where the proxies run.
    pub(crate) fn proxy(&self) -> String {
        self.cpus[0].to_string()
    }

    /// Where the app, the receivers and the load run.
    pub(crate) fn rest(&self) -> String {
        self.cpus[1].to_string()
    }

    /// Where a proxy of two workers runs.
    pub(crate) fn two_workers(&self) -> String {
        format!("{},{}", self.cpus[0], self.cpus[1])
    }

    /// Where the app, the receivers and the load run beside two workers: on CPUs of their own where there are
    /// any.
    pub(crate) fn beside_two_workers(&self) -> String {
        if self.has_room_beside_two_workers() {
            let rest: Vec<String> = self.cpus[2..].iter().map(usize::to_string).collect();
            rest.join(",")
        } else {
            self.two_workers()
        }
    }

    /// Whether two workers leave the load and the app CPUs of their own.
    pub(crate) fn has_room_beside_two_workers(&self) -> bool {
        self.cpus.len() >= 4
    }

    /// Processor, number of CPUs and kernel, as the table's footnote gives them.
    pub(crate) fn describe(&self) -> String {
        let processor = fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| {
                let line = text.lines().find(|line| line.starts_with("model name"))?;
                Some(line.split_once(':')?.1.trim().to_owned())
            })
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        format!("{processor}, {} CPUs, Linux {}", self.cpus.len(), kernel.trim())
    }
}

/// Today in UTC, as `2026-01-31`.
pub(crate) fn today() -> String {
    let mut now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.truncate("2026-01-31".len());
    now
}

/// Whether a program is installed that knows `--version`.
pub(crate) fn installed(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// The first line a program says of its version; `None` where it is not installed.
pub(crate) fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("-v").output().ok()?;
    // nginx speaks of itself on standard error, HAProxy on standard output.
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let text = String::from_utf8_lossy(&text);
    let number = text
        .split(|c: char| c.is_whitespace() || c == '/')
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
    let number = number.split('-').next().unwrap_or(number);
    Some(number.to_owned())
}

/// Reads `0-1,4` as 0, 1 and 4.
fn cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(from.parse().ok()?..=to.parse::<usize>().ok()?);
    }
    Some(cpus)
}
