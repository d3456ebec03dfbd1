//! The queue's directory while this process holds its lock: lists, creates and removes segment files.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::{Disk, LOCK, Lock},
    disk_error::DiskError,
    frame::{HEADER, SegmentName},
    note_file::{NOTE, NoteFile},
    record::Millis,
    segment::{Place, Segment},
    segment_file::{SegmentFile, look_at_directory},
    sync::Syncer,
};

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
    /// The owner's note, once it was written to.
    pub(super) note: Option<NoteFile>,
    lock: Lock,
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
        let lock = disk.lock(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => DiskError::InUse(path.to_owned()),
            _ => DiskError::call("locking", path, error),
        })?;
        let files = list(&**disk, path).map_err(|error| DiskError::call("listing", path, error))?;
        let directory = Self {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            syncer: Syncer::start(disk, path, &lock, own_thread),
            keeper: None,
            garbage: Vec::new(),
            note: None,
            lock,
        };
        Ok((directory, files))
    }

    /// Whether the directory is still where it was locked.
    pub(super) fn look(&self) -> Result<(), DiskError> {
        look_at_directory(&*self.disk, &self.path, &self.lock.facts())
    }

    /// Lets nobody but this process's user in, if the directory is that user's and the queue's alone. Returns
    /// what an operator should know.
    pub(super) fn restrict(&self) -> Option<String> {
        let facts = self.lock.facts().ok()?;
        let own = facts.mode & 0o700;
        if facts.mode & 0o777 == own {
            return None;
        }
        let may = || {
            let ours = self.disk.user().is_none_or(|user| user == facts.owner);
            ours && self.disk.holds_only(&self.path, |name| {
                SegmentName::parse(name).is_some() || name == LOCK || name == NOTE
            })
        };
        if may() && self.lock.set_mode(own).is_ok() {
            return None;
        }
        Some(format!(
            "{} has the mode {:03o}, so others may see or change what is in it, and it is not this process's \
             alone to be closed: give the queue a directory of its own",
            self.path.display(),
            facts.mode & 0o777
        ))
    }

    /// Makes it possible again to open the directory.
    pub(super) fn reopen(&self) {
        // Whether it helped shows the next look.
        drop(self.lock.set_mode(0o700));
    }

    /// The file with its length.
    pub(super) fn open(&self, name: SegmentName) -> Result<(Arc<SegmentFile>, u64), DiskError> {
        let path = self.path_of(name);
        let opened = self.disk.open(&path).and_then(|handle| {
            let length = handle.facts()?.length;
            Ok((handle, length))
        });
        match opened {
            Ok((handle, length)) => Ok((SegmentFile::new(handle, path, length), length)),
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
        Ok(SegmentFile::new(handle, path, 0))
    }

    /// Removes a segment's file. The newest file is cut back to its header instead, which works on a full
    /// disk too.
    pub(super) fn remove(&mut self, segment: &Segment, newest: bool) -> Result<(), DiskError> {
        let path = self.path_of(segment.name);
        if let Place::File(target) = &segment.place {
            target.retire();
        }
        if newest && let Place::File(target) = &segment.place {
            let cut = target.truncate(u64::from(segment.end).min(HEADER as u64));
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
            target.retire();
            drop(target.truncate(0));
        }
        self.garbage.extend(self.keeper.replace(segment.name));
    }

    /// Removes a file whose content is elsewhere too. If that fails, it is tried again later.
    pub(super) fn discard(&mut self, target: &SegmentFile, name: SegmentName) {
        target.retire();
        drop(target.truncate(0));
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
