//! Whether a directory can be written, or made, and how much room it has.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why a directory can't be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum PlaceError {
    /// Something else has its name.
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// It is there, and nothing can be written into it.
    #[error("{} can't be written ({source})", at.display())]
    Unwritable {
        /// The directory.
        at: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not there, and can't be made.
    #[error("{} can't be made in {} ({source})", path.display(), at.display())]
    Unmakeable {
        /// The directory that is wanted.
        path: PathBuf,
        /// The nearest one that is there.
        at: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A directory's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Room {
    /// Bytes that this user can still write; `None` where the file system does not say.
    pub(in crate::cli) free: Option<u64>,
    /// Whether the directory is there already.
    pub(in crate::cli) exists: bool,
}

/// Looks at a directory: writes and removes a file, because modes alone don't tell (read-only mounts,
/// capabilities). For a directory that is not there, its nearest parent is tried.
///
/// # Errors
/// [`PlaceError`]
pub(in crate::cli) fn directory(path: &Path) -> Result<Room, PlaceError> {
    let at = path.ancestors().find(|at| at.symlink_metadata().is_ok());
    let at = at
        .filter(|at| !at.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !at.is_dir() {
        return Err(PlaceError::NoDirectory(at.to_owned()));
    }
    let exists = at == path;
    let probe = at.join(format!(".gatecount-{}", std::process::id()));
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    match made.and_then(|_| fs::remove_file(&probe)) {
        Ok(()) => {}
        Err(source) => {
            let at = at.to_owned();
            return Err(if exists {
                PlaceError::Unwritable { at, source }
            } else {
                let path = path.to_owned();
                PlaceError::Unmakeable { path, at, source }
            });
        }
    }
    let free = rustix::fs::statvfs(at).ok();
    let free = free.map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    Ok(Room { free, exists })
}

/// A number of bytes for people: `3.2 GiB`.
pub(in crate::cli) fn in_words(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_there_or_can_be_made_or_neither() {
        let home = tempfile::tempdir().unwrap();
        let there = directory(home.path()).unwrap();
        assert!(there.exists && there.free.is_some_and(|free| free > 0));
        assert!(!directory(&home.path().join("a/b/c")).unwrap().exists);
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("queue")] {
            let error = directory(&path).unwrap_err().to_string();
            assert_eq!(error, format!("{} is no directory", file.display()));
        }
        let error = directory(Path::new("/proc/nope")).unwrap_err().to_string();
        assert!(
            error.starts_with("/proc/nope can't be made in /proc ("),
            "{error}"
        );
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit() {
        for (bytes, told) in [
            (900, "900 bytes"),
            (65_536, "64.0 KiB"),
            (268_435_456, "256.0 MiB"),
            (3_435_973_837, "3.2 GiB"),
        ] {
            assert_eq!(in_words(bytes), told);
        }
    }
}
