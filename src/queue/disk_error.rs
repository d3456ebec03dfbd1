//! Why the disk is out of use.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the disk is out of use; the alarm's text. The disk is tried again within seconds, whatever the reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    /// A system call failed.
    #[error("{doing} {} failed: {error}", path.display())]
    Call {
        doing: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// Another process holds the lock. It may be about to end.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Another process wrote here meanwhile, and its files have the numbers of this process's segments in
    /// memory. These segments can't become files until the others have ended.
    #[error("{} has newer files than this process", .0.display())]
    Overtaken(PathBuf),
    /// The directory became free, and its files have to be recovered first.
    #[error("what is in {} has yet to be recovered", .0.display())]
    Unread(PathBuf),
}

impl DiskError {
    pub(super) fn call(doing: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Call {
            doing,
            path: path.to_owned(),
            error,
        }
    }
}
