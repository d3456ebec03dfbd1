//! Why the disk is out of use.

use std::{
    fmt, io,
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
    /// Somebody changed a file or the directory. What is pending is written again.
    #[error("{} {how}", path.display())]
    Changed { path: PathBuf, how: Tampering },
    /// There is more to be written again than in one go.
    #[error("what was lost from {} is written again", .0.display())]
    Rewriting(PathBuf),
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

/// What somebody else did to a file or to the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tampering {
    Removed,
    Replaced,
    CutShort,
    Written,
    Hidden,
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tampering::Removed => "was removed or moved away",
            Tampering::Replaced => "was replaced by another one",
            Tampering::CutShort => "was cut short by another process",
            Tampering::Written => "was written to by another process",
            Tampering::Hidden => "can't be opened any more: its permissions were changed",
        })
    }
}

impl DiskError {
    /// The same for all failures of one kind, whichever file they are about.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            DiskError::Call { doing, .. } => doing,
            DiskError::Changed { .. } => "changed",
            DiskError::Rewriting(_) => "rewriting",
            DiskError::InUse(_) => "in use",
            DiskError::Overtaken(_) => "overtaken",
            DiskError::Unread(_) => "unread",
        }
    }

    pub(super) fn call(doing: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Call {
            doing,
            path: path.to_owned(),
            error,
        }
    }
}
