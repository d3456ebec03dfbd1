//! Watches the configuration's files for changes.
//!
//! The files are polled. Unlike inotify, polling also notices a file that was replaced, and one behind the
//! symbolic links that Kubernetes swaps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Tells whether a file of the configuration has changed.
#[derive(Debug)]
pub struct FileWatcher {
    seen: BTreeMap<PathBuf, Option<Fingerprint>>,
    changed: BTreeSet<PathBuf>,
}

/// Differs between two versions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl FileWatcher {
    /// Watches these files from now on.
    pub fn new(files: &[PathBuf]) -> Self {
        FileWatcher {
            seen: files
                .iter()
                .map(|file| (file.clone(), fingerprint(file)))
                .collect(),
            changed: BTreeSet::new(),
        }
    }

    /// Takes the files as they are now for unchanged. True if one had changed, appeared or gone. To be called
    /// before the files are read, so that a change during the reading is noticed afterwards.
    pub fn refresh(&mut self) -> bool {
        let mut has_changed = false;
        for (file, seen) in &mut self.seen {
            let now = fingerprint(file);
            if now != *seen {
                has_changed = true;
                self.changed.insert(file.clone());
            }
            *seen = now;
        }
        has_changed
    }

    /// The files that have changed since the last call of this.
    pub fn take_changed(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.changed)
    }

    /// Watches these files instead. What is known about files that stay is kept.
    pub fn set_files(&mut self, files: &[PathBuf]) {
        let mut kept = std::mem::take(&mut self.seen);
        self.seen = files
            .iter()
            .map(|file| {
                let seen = kept.remove(file).unwrap_or_else(|| fingerprint(file));
                (file.clone(), seen)
            })
            .collect();
    }
}

/// `None` for a file that can't be looked at.
fn fingerprint(file: &Path) -> Option<Fingerprint> {
    let metadata = fs::metadata(file).ok()?;
    Some(Fingerprint {
        modified: metadata.modified().ok()?,
        length: metadata.len(),
        inode: metadata.ino(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_changed_replaced_added_or_removed_is_noticed_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "1").unwrap();
        let files = [path("a"), path("b")];
        let mut watcher = FileWatcher::new(&files);
        assert!(!watcher.refresh());

        fs::write(path("a"), "12").unwrap();
        assert!(watcher.refresh() && !watcher.refresh());
        assert_eq!(watcher.take_changed(), [path("a")].into());
        assert!(watcher.take_changed().is_empty());

        fs::write(path("new"), "34").unwrap();
        fs::rename(path("new"), path("a")).unwrap();
        assert!(watcher.refresh() && !watcher.refresh());

        fs::write(path("b"), "").unwrap();
        assert!(watcher.refresh() && !watcher.refresh());
        fs::remove_file(path("b")).unwrap();
        assert!(watcher.refresh() && !watcher.refresh());
    }

    #[test]
    fn other_files_can_be_watched_without_missing_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&a, "1").unwrap();
        fs::write(&b, "1").unwrap();
        let mut watcher = FileWatcher::new(std::slice::from_ref(&a));
        fs::write(&a, "12").unwrap();
        watcher.set_files(&[a.clone(), b.clone()]);
        assert!(
            watcher.refresh(),
            "the change of a file that stays is still noticed"
        );
        fs::write(&b, "12").unwrap();
        assert!(watcher.refresh());
    }
}
