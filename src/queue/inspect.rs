//! A look into a queue's directory from outside, for `gatecount queue`: it takes no lock, writes nothing, and
//! sees a directory in use as it was at some moment while it looked.
//!
//! Only [`purge`] changes anything. It takes the lock, and refuses where another process holds it.

use std::{
    fs::{File, TryLockError},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    directory::{self, LOCK, Listed},
    disk::{Disk, Real},
    disk_error::DiskError,
    frame::{HEADER, Header},
    record::{Millis, Position, Record},
    scan::{self, Contents, Window},
};

/// A record that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRecord<'a> {
    /// Where it is; the same as for the process that uses the directory.
    pub position: Position,
    /// All that was stored.
    pub record: Record<'a>,
}

/// What a directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Whether a process holds the lock.
    pub in_use: bool,
    /// Segment files.
    pub segments: u64,
    /// Their length in all.
    pub bytes: u64,
    /// Records that have not ended.
    pub pending: u64,
    /// Records that have ended, in files that are still there.
    pub ended: u64,
    /// Records that can't be read any more, and that no start has counted yet.
    pub corrupt: u64,
    /// Files that can't be read, or are of another version of the format.
    pub unreadable: u64,
    /// The time of the oldest record that has not ended.
    pub oldest: Option<Millis>,
}

/// Why a directory can't be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is not there, is no directory, or may not be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has neither a lock nor a segment: no process has used it so far, or it is something else's.
    #[error("{} holds no queue", .0.display())]
    NoQueue(PathBuf),
    /// It may not be changed while a process uses it. That process has to be stopped first.
    #[error("{} is in use: stop the process that uses it first", .0.display())]
    InUse(PathBuf),
    /// A file could not be removed, or the lock not be taken.
    #[error("{0}")]
    Change(String),
}

/// What the directory holds.
pub fn totals(dir: &Path) -> Result<Totals, InspectError> {
    let mut totals = Totals {
        in_use: is_in_use(dir),
        ..Totals::default()
    };
    let mut window = Window::new();
    for file in list(dir)? {
        let Some((handle, length)) = open(dir, &file) else {
            totals.unreadable += 1;
            continue;
        };
        totals.segments += 1;
        totals.bytes += length;
        let contents = scan::read(&handle, file.name.seed(), length, &mut window, &mut |_, _| {});
        if matches!(contents.header, Header::OtherVersion(_)) {
            totals.unreadable += 1;
        }
        totals.pending += u64::from(contents.pending);
        totals.ended += contents.records.len() as u64 - u64::from(contents.pending);
        totals.corrupt += u64::from(contents.corrupt);
        let oldest = pending(&contents).map(|found| found.at).min();
        totals.oldest = [totals.oldest, oldest].into_iter().flatten().min();
    }
    Ok(totals)
}

/// Calls `each` for every record that has not ended, oldest first, until it breaks off.
///
/// In a directory in use, a record may end meanwhile and be seen all the same.
pub fn pending_records(
    dir: &Path,
    each: &mut dyn FnMut(PendingRecord<'_>) -> ControlFlow<()>,
) -> Result<(), InspectError> {
    let mut window = Window::new();
    for file in list(dir)? {
        let Some((handle, length)) = open(dir, &file) else {
            continue;
        };
        // That a record has ended stands behind it: the file is read twice, and no bytes are held.
        let contents = scan::read(&handle, file.name.seed(), length, &mut window, &mut |_, _| {});
        if contents.pending == 0 {
            continue;
        }
        let mut flow = ControlFlow::Continue(());
        scan::read(
            &handle,
            file.name.seed(),
            length,
            &mut window,
            &mut |offset, record| {
                if flow.is_continue() && !contents.ended.contains(offset) {
                    flow = each(PendingRecord {
                        position: Position::new(file.name.number, offset),
                        record,
                    });
                }
            },
        );
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Removes every record of a directory that no process uses; says how many had not ended.
///
/// Files that are not the queue's stay.
pub fn purge(dir: &Path) -> Result<u64, InspectError> {
    list(dir)?;
    let lock = dir.join(LOCK);
    let _held = Real.lock(&lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => InspectError::InUse(dir.to_owned()),
        _ => InspectError::Change(DiskError::call("locking", &lock, error).to_string()),
    })?;
    let mut window = Window::new();
    let mut purged = 0;
    let files = list(dir)?;
    for (index, file) in files.iter().enumerate() {
        let path = dir.join(file.name.to_string());
        if let Some((handle, length)) = open(dir, file) {
            let contents = scan::read(&handle, file.name.seed(), length, &mut window, &mut |_, _| {});
            if matches!(contents.header, Header::OtherVersion(_)) {
                continue;
            }
            purged += u64::from(contents.pending);
        }
        // The newest is cut back to its header, as the queue does: it keeps the number.
        let removed = if index + 1 == files.len() {
            let cut = |file: File| file.set_len(file.metadata()?.len().min(HEADER as u64));
            File::options().write(true).open(&path).and_then(cut)
        } else {
            Real.remove(&path)
        };
        removed
            .map_err(|error| InspectError::Change(DiskError::call("removing", &path, error).to_string()))?;
    }
    Real.sync_dir(dir)
        .map_err(|error| InspectError::Change(DiskError::call("syncing", dir, error).to_string()))?;
    Ok(purged)
}

fn list(dir: &Path) -> Result<Vec<Listed>, InspectError> {
    let files = directory::list(&Real, dir).map_err(|source| InspectError::Read {
        path: dir.to_owned(),
        source,
    })?;
    if files.is_empty() && !dir.join(LOCK).exists() {
        return Err(InspectError::NoQueue(dir.to_owned()));
    }
    Ok(files)
}

/// `None`: it can't be opened, or went since it was listed.
fn open(dir: &Path, file: &Listed) -> Option<(File, u64)> {
    let file = File::open(dir.join(file.name.to_string())).ok()?;
    let length = file.metadata().ok()?.len();
    Some((file, length))
}

fn is_in_use(dir: &Path) -> bool {
    // A shared lock, for a moment, which starting processes wait out.
    File::open(dir.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn pending(contents: &Contents) -> impl Iterator<Item = &scan::Found> {
    contents
        .records
        .iter()
        .filter(|found| !contents.ended.contains(found.offset))
}
