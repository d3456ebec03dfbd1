//! Finds the files of a log: the one under its name, and those that it was rotated into.

use std::{
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    file::Followed,
    place::{FilePlace, MAX_FILES, Place},
};

/// How much earlier than a place a file may have been written last that was not read then. Files stay in a
/// place for longer than this after they were last written.
pub(super) const SLACK: Duration = Duration::from_secs(30);

/// A file beside the log that has a name of a rotated one.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    written: SystemTime,
}

/// The log's files from a place on, the oldest first: those that the place names, wherever they are now,
/// those that came after them, and the one under the log's name. Those that can't be opened or are gone are
/// left out, and `gone` is told of each.
pub(super) fn from_place(
    log: &Path,
    place: &Place,
    mut gone: impl FnMut(&FilePlace),
) -> io::Result<Vec<Followed>> {
    let mut current = open_if_there(log)?;
    let mut rotated = rotated(log)?;
    let mut files = Vec::new();
    for known in &place.files {
        if let Some(current) = &mut current
            && current.place.offset == 0
            && is_at(current, known)?
        {
            resume(current, known)?;
            continue;
        }
        match take_rotated(&mut rotated, known) {
            Some(file) => files.push(file),
            // Nothing of an empty file was read.
            None if known.offset == 0 => {}
            None => gone(known),
        }
    }
    add_unseen(&mut files, rotated, current.as_ref(), place.at);
    files.extend(current);
    let excess = files.len().saturating_sub(MAX_FILES);
    files.drain(..excess);
    Ok(files)
}

/// When the log's directory last changed; none if that can't be found out.
pub(super) fn changed(log: &Path) -> Option<SystemTime> {
    fs::metadata(log.parent()?).ok()?.modified().ok()
}

/// The copy of a file that was cut: where what was not read of it goes on.
pub(super) fn copy_of(log: &Path, known: &FilePlace) -> io::Result<Option<Followed>> {
    Ok(take_rotated(&mut rotated(log)?, known).filter(|copy| copy.place.inode != known.inode))
}

/// Opens the log; none if it does not exist.
pub(super) fn open_if_there(log: &Path) -> io::Result<Option<Followed>> {
    match Followed::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Whether a file is the one of a place: it begins like it, or nothing of it was read and it is the same
/// file.
fn is_at(file: &Followed, known: &FilePlace) -> io::Result<bool> {
    if known.head.length == 0 {
        return Ok(file.place.inode == known.inode && file.place.device == known.device);
    }
    file.begins_with(known.head)
}

/// Goes on where the place says. A file that is shorter has lost its end, as in a power cut.
fn resume(file: &mut Followed, known: &FilePlace) -> io::Result<()> {
    let offset = known.offset.min(file.length()?);
    file.seek(offset, known.skipping)
}

/// Takes the file of a place out of the rotated ones. The inode's own comes first; a copy of it will do.
fn take_rotated(rotated: &mut Vec<Rotated>, known: &FilePlace) -> Option<Followed> {
    let mut found: Vec<(bool, usize, Followed)> = Vec::new();
    for (index, candidate) in rotated.iter().enumerate() {
        let Ok(file) = Followed::open(&candidate.path) else {
            continue;
        };
        let is_long_enough = file.length().is_ok_and(|length| length >= known.offset);
        if is_long_enough && is_at(&file, known).unwrap_or(false) {
            found.push((file.place.inode != known.inode, index, file));
        }
    }
    let (_, index, mut file) = found
        .into_iter()
        .min_by_key(|(is_copy, index, _)| (*is_copy, *index))?;
    resume(&mut file, known).ok()?;
    rotated.remove(index);
    Some(file)
}

/// Adds the rotated files that were written since, from their beginning: they came and went unseen. A copy of
/// a file that is known is none of them.
fn add_unseen(files: &mut Vec<Followed>, rotated: Vec<Rotated>, current: Option<&Followed>, since: u64) {
    let since = UNIX_EPOCH + Duration::from_millis(since);
    for candidate in rotated {
        if candidate.written + SLACK < since {
            continue;
        }
        let Ok(file) = Followed::open(&candidate.path) else {
            continue;
        };
        let is_known = |other: &Followed| other.place.inode == file.place.inode || file.is_copy_of(other);
        if !files.iter().chain(current).any(is_known) {
            files.push(file);
        }
    }
}

/// Rotated files that came up while these were followed.
pub(super) fn unseen(log: &Path, known: &[Followed], since: u64) -> io::Result<Vec<Followed>> {
    let mut rotated = rotated(log)?;
    rotated.retain(|candidate| {
        let Ok(file) = Followed::open(&candidate.path) else {
            return false;
        };
        let is_known = |other: &Followed| other.place.inode == file.place.inode || file.is_copy_of(other);
        !known.iter().any(is_known)
    });
    let mut files = Vec::new();
    add_unseen(&mut files, rotated, None, since);
    Ok(files)
}

/// The rotated files beside the log, the one that was written last at the end.
fn rotated(log: &Path) -> io::Result<Vec<Rotated>> {
    let (Some(directory), Some(name)) = (log.parent(), log.file_name()) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !is_rotated(name, &entry.file_name()) {
            continue;
        }
        // A file that has gone by now is none.
        if let Ok(facts) = entry.metadata()
            && facts.is_file()
        {
            found.push(Rotated {
                path: entry.path(),
                written: written(&facts),
            });
        }
    }
    // Names that count up count the older ones up: of two files of one time, `.2` is older than `.1`.
    found.sort_by(|a, b| a.written.cmp(&b.written).then_with(|| b.path.cmp(&a.path)));
    Ok(found)
}

fn written(facts: &Metadata) -> SystemTime {
    facts.modified().unwrap_or(UNIX_EPOCH)
}

/// Whether `other` is a name that `name` is rotated to: with a number or a date at its end, or before its
/// extension. A compressed file is none.
fn is_rotated(name: &OsStr, other: &OsStr) -> bool {
    let (name, other) = (name.as_bytes(), other.as_bytes());
    let is_count = |middle: &[u8]| {
        middle.iter().any(u8::is_ascii_digit)
            && middle
                .iter()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'T' | b':'))
    };
    let dot = memchr::memrchr(b'.', name).unwrap_or(name.len());
    let (stem, extension) = name.split_at(dot);
    let between = other
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(extension));
    let after = other.strip_prefix(name);
    after.is_some_and(is_count) || between.is_some_and(is_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_files_name_has_a_number_or_a_date() {
        for (other, rotated) in [
            ("access.log.1", true),
            ("access.log.12", true),
            ("access.log-20261126", true),
            ("access.log.2026-11-26T10:00:00", true),
            ("access-20261126.log", true),
            ("access.1.log", true),
            ("access.log", false),
            ("access.log.1.gz", false),
            ("access.log.bak", false),
            ("error.log.1", false),
            ("access.log.", false),
            ("accessory1.log", false),
        ] {
            assert_eq!(
                is_rotated("access.log".as_ref(), other.as_ref()),
                rotated,
                "{other}"
            );
        }
    }
}
