//! An open segment file, and what shows that somebody else changed it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    disk::{Disk, Facts, FileHandle, read_full_at},
    disk_error::{DiskError, Tampering},
};

/// The length of a file that a failed call left with an unknown one.
const UNKNOWN: u64 = u64::MAX;
/// So many of the last bytes are compared from look to look.
const TAIL: usize = 16;

type Tail = [u8; TAIL];

/// An open segment file. The queue's owner writes it; another thread may look at it.
pub(super) struct SegmentFile {
    pub(super) handle: Arc<dyn FileHandle>,
    pub(super) path: PathBuf,
    /// Whether a sync has been asked for that has not started yet.
    asked: AtomicBool,
    /// The length that this process gave it.
    length: AtomicU64,
    /// Odd while this process changes the file, and another number after each change.
    version: AtomicU64,
    /// Whether the queue has given the file up, so that nothing that becomes of it matters.
    retired: AtomicBool,
    seen: Mutex<Seen>,
}

/// What the last looks saw.
#[derive(Debug, Default)]
struct Seen {
    /// The last bytes at some moment. The queue never changes them afterwards, unless it cuts the file.
    tail: Option<(u64, Tail)>,
    /// When the bytes had last changed, at a version.
    modified: Option<(u64, (i64, i64))>,
}

impl SegmentFile {
    /// A file of that length.
    pub(super) fn new(handle: Arc<dyn FileHandle>, path: PathBuf, length: u64) -> Arc<Self> {
        Arc::new(Self {
            handle,
            path,
            asked: AtomicBool::new(false),
            length: AtomicU64::new(length),
            version: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            seen: Mutex::default(),
        })
    }

    /// Changes the file, after which it has that length. If the change fails, the length is not known.
    pub(super) fn change(
        &self,
        length: u64,
        change: impl FnOnce(&dyn FileHandle) -> io::Result<()>,
    ) -> io::Result<()> {
        self.version.fetch_add(1, Ordering::AcqRel);
        let result = change(&*self.handle);
        let length = if result.is_ok() { length } else { UNKNOWN };
        self.length.store(length, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
        result
    }

    /// Cuts the file.
    pub(super) fn truncate(&self, length: u64) -> io::Result<()> {
        self.change(length, |handle| handle.truncate(length))
    }

    /// Notes that a sync is asked for. True if it was not before.
    pub(super) fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::AcqRel)
    }

    /// A sync starts. What is written from here on asks for another one.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.asked.swap(false, Ordering::AcqRel);
        self.handle.sync()
    }

    /// From here on nothing matters that becomes of the file. To be called before it is removed.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Whether the file is where it should be, and as this process left it.
    pub(super) fn look(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let version = self.version.load(Ordering::Acquire);
        let length = self.length.load(Ordering::Acquire);
        let facts = self.handle.facts();
        let found = disk.facts(&self.path);
        let (tail, last) = self.read_tails(length);
        let stable = version.is_multiple_of(2) && version == self.version.load(Ordering::Acquire);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let tampering = place(&found, &facts).or_else(|| {
            let facts = facts.as_ref().ok().filter(|_| stable && length != UNKNOWN)?;
            let same_tail = seen.tail.zip(tail).is_none_or(|((_, before), now)| before == now);
            let same_time = seen
                .modified
                .is_none_or(|(at, modified)| at != version || modified == facts.modified);
            match facts.length {
                shorter if shorter < length => Some(Tampering::CutShort),
                longer if longer > length => Some(Tampering::Written),
                _ if !same_tail || !same_time => Some(Tampering::Written),
                _ => None,
            }
        });
        if self.is_retired() {
            return Ok(());
        }
        if let Some(how) = tampering {
            return Err(DiskError::Changed {
                path: self.path.clone(),
                how,
            });
        }
        let facts = facts.map_err(|error| DiskError::call("looking at", &self.path, error))?;
        if stable {
            seen.tail = last.or(seen.tail);
            // A sync may change the time on a network's disk, so only what was synced is compared.
            if !self.asked.load(Ordering::Acquire) {
                seen.modified = Some((version, facts.modified));
            }
        }
        Ok(())
    }

    /// The bytes that were last seen at the end, as they are now, and those that are at the end now.
    fn read_tails(&self, length: u64) -> (Option<Tail>, Option<(u64, Tail)>) {
        let read = |at: u64| {
            let mut bytes = [0; TAIL];
            let read = read_full_at(&*self.handle, &mut bytes, at);
            (read.ok() == Some(TAIL)).then_some(bytes)
        };
        let before = self.seen.lock().unwrap_or_else(PoisonError::into_inner).tail;
        let before = before.filter(|(at, _)| length != UNKNOWN && at + TAIL as u64 <= length);
        let at = length.checked_sub(TAIL as u64).filter(|_| length != UNKNOWN);
        let last = match (before, at) {
            // Nothing was written since.
            (Some((seen_at, _)), Some(at)) if seen_at == at => None,
            _ => at.and_then(|at| Some((at, read(at)?))),
        };
        (before.and_then(|(at, _)| read(at)), last)
    }
}

/// Whether a directory or a file is still where it was opened.
pub(super) fn place(found: &io::Result<Facts>, opened: &io::Result<Facts>) -> Option<Tampering> {
    match (found, opened) {
        (_, Ok(opened)) if opened.links == 0 => Some(Tampering::Removed),
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Some(Tampering::Removed),
        // Something else is in the place of a directory above.
        (Err(error), _) if error.kind() == io::ErrorKind::NotADirectory => Some(Tampering::Removed),
        (Err(error), _) if error.kind() == io::ErrorKind::PermissionDenied => Some(Tampering::Hidden),
        (Ok(found), Ok(opened)) if found.identity != opened.identity => Some(Tampering::Replaced),
        (Ok(_), Ok(opened)) if opened.mode & 0o600 != 0o600 => Some(Tampering::Hidden),
        _ => None,
    }
}

/// The error for a directory that is not what it was.
pub(super) fn look_at_directory(
    disk: &dyn Disk,
    path: &Path,
    opened: &io::Result<Facts>,
) -> Result<(), DiskError> {
    match place(&disk.facts(path), opened) {
        Some(how) => Err(DiskError::Changed {
            path: path.to_owned(),
            how,
        }),
        None => Ok(()),
    }
}
