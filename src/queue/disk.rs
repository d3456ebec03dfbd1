//! The few calls of the file system that the queue makes. [`Real`] is the operating system's. The tests have
//! a double that fails calls, dies, and forgets what was not synced.

use std::{
    ffi::{OsStr, OsString},
    fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
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

/// What the system says of a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Device and inode. Another file has them only after this one is gone.
    pub(super) identity: (u64, u64),
    /// The names that it has.
    pub(super) links: u64,
    pub(super) length: u64,
    /// Who may do what with it: the permission bits.
    pub(super) mode: u32,
    /// The user that it belongs to.
    pub(super) owner: u32,
    /// When its bytes last changed, in seconds and nanoseconds.
    pub(super) modified: (i64, i64),
}

/// An open file or directory.
pub(super) trait Inode: Send + Sync {
    fn facts(&self) -> io::Result<Facts>;
    fn set_mode(&self, mode: u32) -> io::Result<()>;
}

/// A locked directory. The lock is held until this is dropped.
pub(super) type Lock = Arc<dyn Inode>;

/// The file that is locked beside the directory: some file systems lock no directory, as NFS, and whether it
/// can be made shows whether the directory can be written to. Whoever removes it unlocks nothing.
pub(super) const LOCK: &str = "lock";

pub(super) trait Disk: Send + Sync {
    /// Creates the directory and its missing parents, for this user alone. An existing directory stays as it
    /// is.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks the directory against other processes. The error is [`WouldBlock`](io::ErrorKind::WouldBlock) if
    /// one holds the lock.
    fn lock(&self, dir: &Path) -> io::Result<Lock>;
    /// Lists the regular files. Links, pipes and the like are left out, because opening them may hang.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// This process's user, where that can be found out.
    fn user(&self) -> Option<u32>;
    /// What is at this path.
    fn facts(&self, path: &Path) -> io::Result<Facts>;
    /// Whether all names in the directory are such ones.
    fn holds_only(&self, dir: &Path, names: fn(&OsStr) -> bool) -> bool;
    /// Creates an empty file for this user alone.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in the directory survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub(super) trait FileHandle: Inode {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes what was written survive a power cut (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
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

    fn lock(&self, dir: &Path) -> io::Result<Lock> {
        let directory = File::open(dir)?;
        // Some file systems lock no directory; then the file's lock has to do.
        if let Err(error) = lock_file(&directory)
            && error.kind() == io::ErrorKind::WouldBlock
        {
            return Err(error);
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(LOCK))?;
        lock_file(&file)?;
        Ok(Arc::new(LockedDirectory {
            directory,
            _file: file,
        }))
    }

    fn user(&self) -> Option<u32> {
        std::fs::metadata("/proc/self").ok().map(|own| own.uid())
    }

    fn facts(&self, path: &Path) -> io::Result<Facts> {
        // A link in the place of a file is another file.
        std::fs::symlink_metadata(path).map(|metadata| facts(&metadata))
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

    fn holds_only(&self, dir: &Path, names: fn(&OsStr) -> bool) -> bool {
        let only = |entries: std::fs::ReadDir| {
            let mut entries = entries;
            entries.all(|entry| entry.is_ok_and(|entry| names(&entry.file_name())))
        };
        dir.read_dir().is_ok_and(only)
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
}

impl Inode for File {
    fn facts(&self) -> io::Result<Facts> {
        self.metadata().map(|metadata| facts(&metadata))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.set_permissions(Permissions::from_mode(mode))
    }
}

struct LockedDirectory {
    directory: File,
    /// Locked too, for where a directory can't be.
    _file: File,
}

impl Inode for LockedDirectory {
    fn facts(&self) -> io::Result<Facts> {
        Inode::facts(&self.directory)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.directory.set_mode(mode)
    }
}

/// Whether a process holds the directory's lock. Takes a shared lock for a moment; a process that starts
/// waits for it.
pub(super) fn is_locked(dir: &Path) -> bool {
    [dir.to_owned(), dir.join(LOCK)].iter().any(|path| {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    })
}

fn lock_file(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            // A process that only checks whether the directory is in use holds the lock for a moment. Wait
            // for it.
            thread::sleep(Duration::from_millis(5));
            Ok(file.try_lock()?)
        }
        other => Ok(other?),
    }
}

fn facts(metadata: &Metadata) -> Facts {
    Facts {
        identity: (metadata.dev(), metadata.ino()),
        links: metadata.nlink(),
        length: metadata.len(),
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    }
}
