//! A file system that fails: `faults.c` stands between the binary and the kernel.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::process::Builder;

/// The calls that can be let fail.
pub(crate) const CALLS: [&str; 11] = [
    "create",
    "open",
    "read",
    "write",
    "truncate",
    "sync",
    "sync_directory",
    "lock",
    "unlink",
    "mkdir",
    "list",
];

/// What a failed call says: `EIO` and `ENOSPC` on Linux.
pub(crate) const ERRORS: [i32; 2] = [5, 28];

/// The library, and the file that tells it what is to fail.
pub(crate) struct Faults {
    directory: TempDir,
}

impl Faults {
    /// Compiles the library; nothing without a C compiler.
    pub(crate) fn new() -> Option<Faults> {
        let directory = TempDir::new().expect("a directory");
        let faults = Faults { directory };
        fs::write(faults.plan(), "").expect("write the plan");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/faults.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(faults.library())
            .args([source, "-ldl"])
            .output()
            .ok()?;
        assert!(compiled.status.success(), "cc: {compiled:?}");
        Some(faults)
    }

    /// Puts it before a process that is to be started.
    pub(crate) fn before(&self, builder: Builder) -> Builder {
        let under = builder.directory().to_owned();
        builder
            .environment("LD_PRELOAD", self.library().to_str().expect("a path in UTF-8"))
            .environment("FAULTS_TRACE", self.trace().to_str().expect("a path in UTF-8"))
            .environment("FAULTS", self.plan().to_str().expect("a path in UTF-8"))
            .environment(
                "FAULTS_UNDER",
                under.join("queue").to_str().expect("a path in UTF-8"),
            )
    }

    /// Lets a call fail with this error from now on.
    pub(crate) fn fail(&self, call: &str, error: i32) {
        self.write(&format!("{call} {error}"));
    }

    /// Lets a call not return, until another plan is made.
    pub(crate) fn hang(&self, call: &str) {
        self.write(&format!("{call} hang"));
    }

    /// Kills the process at its `number`th call from its start, which is counted from 1; a write is half done
    /// then.
    pub(crate) fn die_at(&self, number: usize) {
        self.write(&format!("die {number}"));
    }

    /// The calls so far, each with its moment in microseconds.
    pub(crate) fn calls(&self) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.trace()).unwrap_or_default();
        let call = |line: &str| {
            let (call, at) = line.split_once(' ').expect("a call and its moment");
            (call.to_owned(), at.parse().expect("a number"))
        };
        text.lines().map(call).collect()
    }

    /// Lets everything work.
    pub(crate) fn mend(&self) {
        self.write("");
    }

    /// At once, so that nobody reads half of it.
    fn write(&self, plan: &str) {
        let next = self.directory.path().join("next");
        fs::write(&next, plan).expect("write the plan");
        fs::rename(next, self.plan()).expect("write the plan");
    }

    fn plan(&self) -> PathBuf {
        self.directory.path().join("plan")
    }

    fn trace(&self) -> PathBuf {
        self.directory.path().join("trace")
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("faults.so")
    }
}
