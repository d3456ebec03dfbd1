//! The queue's directory while this process holds its lock: lists, creates and removes segment files.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::{Disk, Lock},
    disk_error::DiskError,
    frame::{HEADER, SegmentName},
    record::Millis,
    segment::{Place, Segment},
    sync::{SegmentFile, Syncer},
};

pub(super) const LOCK: &str = "lock";

/// A segment file found in the directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub(super) name: SegmentName,
    pub(super) length: u64,
    pub(super) modified: Millis,
}

/// The segment files, oldest first.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Listed>> {
    let mut files: Vec<_> = disk
        .list(dir)?
        .into_iter()
        .filter_map(|entry| {
            let (length, modified) = (entry.length, entry.modified);
            SegmentName::parse(&entry.name).map(|name| Listed {
                name,
                length,
                modified,
            })
        })
        .collect();
    files.sort_by_key(|file| file.name);
    // The queue never writes two files of one number. The later name is left alone.
    files.dedup_by_key(|file| file.name.number);
    Ok(files)
}

pub(super) struct Directory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    pub(super) syncer: Syncer,
    /// The newest file after all its records have ended. It is kept with its header alone, so that its number
    /// is not used again.
    keeper: Option<SegmentName>,
    /// Useless files that could not be removed yet.
    garbage: Vec<SegmentName>,
    _lock: Lock,
}

impl Directory {
    /// Makes and locks the directory, and lists it.
    pub(super) fn attach(
        disk: &Arc<dyn Disk>,
        path: &Path,
        own_thread: bool,
    ) -> Result<(Self, Vec<Listed>), DiskError> {
        disk.create_dir(path)
            .map_err(|error| DiskError::call("creating", path, error))?;
        let lock_path = path.join(LOCK);
        let lock = disk.lock(&lock_path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => DiskError::InUse(path.to_owned()),
            _ => DiskError::call("locking", &lock_path, error),
        })?;
        let files = list(&**disk, path).map_err(|error| DiskError::call("listing", path, error))?;
        let directory = Self {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            syncer: Syncer::start(disk, path, own_thread),
            keeper: None,
            garbage: Vec::new(),
            _lock: lock,
        };
        Ok((directory, files))
    }

    pub(super) fn open(&self, name: SegmentName) -> Result<Arc<SegmentFile>, DiskError> {
        let path = self.path_of(name);
        match self.disk.open(&path) {
            Ok(handle) => Ok(SegmentFile::new(handle, path)),
            Err(error) => Err(DiskError::call("opening", &path, error)),
        }
    }

    /// Begins a segment with an empty file.
    pub(super) fn begin(&mut self, number: u32, now: Millis) -> Result<Segment, DiskError> {
        let name = new_name(number);
        let target = self.create(name)?;
        Ok(Segment::new(name, now, Place::File(target)))
    }

    /// Creates the file. Then the file kept for its number is not needed any more.
    pub(super) fn create(&mut self, name: SegmentName) -> Result<Arc<SegmentFile>, DiskError> {
        let path = self.path_of(name);
        let handle = self
            .disk
            .create(&path)
            .map_err(|error| DiskError::call("creating", &path, error))?;
        self.syncer.directory();
        // A file of that name may be among the useless ones; now it is in use.
        self.garbage.extend(self.keeper.take());
        self.garbage.retain(|&other| other != name);
        self.sweep();
        Ok(SegmentFile::new(handle, path))
    }

    /// Removes a segment's file. The newest file is cut back to its header instead, which works on a full
    /// disk too.
    pub(super) fn remove(&mut self, segment: &Segment, newest: bool) -> Result<(), DiskError> {
        let path = self.path_of(segment.name);
        if newest && let Place::File(target) = &segment.place {
            let cut = target.handle.truncate(u64::from(segment.end).min(HEADER as u64));
            cut.map_err(|error| DiskError::call("cutting", &path, error))?;
            self.syncer.file(target);
            self.keeper = Some(segment.name);
            return Ok(());
        }
        self.unlink(segment.name)
    }

    pub(super) fn unlink(&mut self, name: SegmentName) -> Result<(), DiskError> {
        let path = self.path_of(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::call("removing", &path, error))
            }
            _ => {
                self.syncer.directory();
                Ok(())
            }
        }
    }

    /// Gives up a segment's file without records. The file stays for its number.
    pub(super) fn abandon(&mut self, segment: &Segment) {
        if let Place::File(target) = &segment.place {
            // If cutting fails, what is there has no complete record, so it does no harm.
            drop(target.handle.truncate(0));
        }
        self.garbage.extend(self.keeper.replace(segment.name));
    }

    /// Removes a file whose content is elsewhere too. If that fails, it is tried again later.
    pub(super) fn discard(&mut self, target: &SegmentFile, name: SegmentName) {
        drop(target.handle.truncate(0));
        self.garbage.push(name);
        self.sweep();
    }

    /// Tries again to remove the useless files.
    pub(super) fn sweep(&mut self) {
        let before = self.garbage.len();
        self.garbage.retain(|name| {
            let removed = self.disk.remove(&self.path.join(name.to_string()));
            removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
        if self.garbage.len() < before {
            self.syncer.directory();
        }
    }

    /// Syncs what is left, and unlocks.
    pub(super) fn close(mut self) {
        self.sweep();
        self.syncer.close();
    }

    fn path_of(&self, name: SegmentName) -> PathBuf {
        self.path.join(name.to_string())
    }
}

/// A name with a salt that nobody can guess.
pub(super) fn new_name(number: u32) -> SegmentName {
    SegmentName {
        number,
        salt: RandomState::new().hash_one(number),
    }
}
