//! Reads a queue's directory from outside, for `gatecount queue`. It takes no lock and writes nothing. In a
//! directory in use it sees each file as it is when it reads it.
//!
//! Only [`purge`] changes anything. It takes the lock, and refuses if another process holds it.

use std::{
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    directory::{self, Listed},
    disk::{self, Disk, LOCK, Real},
    disk_error::DiskError,
    frame::{HEADER, Header},
    record::{Millis, Position, Record},
    scan::{self, Contents, Window},
};

/// A record that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRecord<'a> {
    /// Its position, the same as in the process that uses the directory.
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
    /// Their total length.
    pub bytes: u64,
    /// Records that have not ended.
    pub pending: u64,
    /// Records that have ended, in files that are still there.
    pub ended: u64,
    /// Damaged records that no start has counted yet.
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
        /// The system's error.
        source: io::Error,
    },
    /// It has neither a lock nor a segment: no process has used it yet, or it belongs to something else.
    #[error("{} holds no queue", .0.display())]
    NoQueue(PathBuf),
    /// A process uses it. That process has to be stopped before anything is changed.
    #[error("{} is in use: stop the process that uses it first", .0.display())]
    InUse(PathBuf),
    /// A file could not be removed, or the lock could not be taken.
    #[error("{0}")]
    Change(String),
}

/// What the directory holds.
pub fn totals(dir: &Path) -> Result<Totals, InspectError> {
    let mut totals = Totals {
        in_use: disk::is_locked(dir),
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
/// In a directory in use, a record may end meanwhile and still be passed to `each`.
pub fn pending_records(
    dir: &Path,
    each: &mut dyn FnMut(PendingRecord<'_>) -> ControlFlow<()>,
) -> Result<(), InspectError> {
    let mut window = Window::new();
    for file in list(dir)? {
        let Some((handle, length)) = open(dir, &file) else {
            continue;
        };
        // The end of a record is written behind it. Reading the file twice saves keeping its bytes in memory.
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

/// Removes every record of a directory that no process uses; returns how many had not ended.
///
/// Files that are not the queue's stay.
pub fn purge(dir: &Path) -> Result<u64, InspectError> {
    list(dir)?;
    let _held = Real.lock(dir).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => InspectError::InUse(dir.to_owned()),
        _ => InspectError::Change(DiskError::call("locking", dir, error).to_string()),
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
        // The newest file is cut back to its header, as the queue does, so that its number is not used again.
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
    if files.is_empty() && !dir.join(LOCK).exists() && !disk::is_locked(dir) {
        return Err(InspectError::NoQueue(dir.to_owned()));
    }
    Ok(files)
}

/// `None` if it can't be opened, or was removed since it was listed.
fn open(dir: &Path, file: &Listed) -> Option<(File, u64)> {
    let file = File::open(dir.join(file.name.to_string())).ok()?;
    let length = file.metadata().ok()?.len();
    Some((file, length))
}

fn pending(contents: &Contents) -> impl Iterator<Item = &scan::Found> {
    contents
        .records
        .iter()
        .filter(|found| !contents.ended.contains(found.offset))
}
