//! The few calls of the file system that the queue makes. [`Real`] is the operating system's. The tests have
//! a double that fails calls, dies, and forgets what was not synced.

use std::{
    any::Any,
    ffi::OsString,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use super::record::Millis;

/// A regular file in a directory.
#[derive(Debug)]
pub(super) struct DirEntry {
    pub(super) name: OsString,
    pub(super) length: u64,
    /// When it was last written, by the wall clock.
    pub(super) modified: Millis,
}

/// A lock is held until this is dropped.
pub(super) type Lock = Box<dyn Any + Send>;

pub(super) trait Disk: Send + Sync {
    /// Creates the directory and its missing parents, for this user alone. An existing directory stays as it
    /// is.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks the file against other processes. The error is [`WouldBlock`](io::ErrorKind::WouldBlock) if one
    /// holds the lock.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
    /// Lists the regular files. Links, pipes and the like are left out, because opening them may hang.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Creates an empty file for this user alone.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in the directory survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub(super) trait FileHandle: Send + Sync {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes what was written survive a power cut (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
}

/// Writes all bytes. After an error, any part of them may be written.
pub(super) fn write_all_at(file: &dyn FileHandle, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written.min(bytes.len())..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `into` is full or the file ends; returns how many bytes it read.
pub(super) fn read_full_at(file: &dyn FileHandle, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The operating system's.
pub(super) struct Real;

impl Disk for Real {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            // A process that only checks whether the directory is in use holds the lock for a moment. Wait
            // for it.
            thread::sleep(Duration::from_millis(5));
            file.try_lock()?;
        }
        Ok(Box::new(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in dir.read_dir()? {
            let entry = entry?;
            // The file vanished meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                let modified = metadata
                    .modified()
                    .ok()
                    .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                entries.push(DirEntry {
                    name: entry.file_name(),
                    length: metadata.len(),
                    modified: modified.map_or(0, |since| since.as_millis() as u64),
                });
            }
        }
        Ok(entries)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600);
        Ok(Arc::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl FileHandle for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
