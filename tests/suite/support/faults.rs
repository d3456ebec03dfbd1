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

    fn library(&self) -> PathBuf {
        self.directory.path().join("faults.so")
    }
}
