//! A disk that is full sooner than others.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A file system of a few bytes, gone with this value.
pub(crate) struct Small(TempDir);

impl Small {
    /// By these options of tmpfs; nothing where one may not mount.
    pub(crate) fn mount(options: &str) -> Option<Small> {
        let directory = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output();
        mounted
            .is_ok_and(|o| o.status.success())
            .then_some(Small(directory))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves not a byte; gives the file that takes them.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write(&vec![0; size]).is_ok_and(|written| written > 0) {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still be in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
