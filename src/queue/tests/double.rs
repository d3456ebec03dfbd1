//! A disk in memory that counts its calls, and fails, dies, fills up or forgets when it is told to.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::super::disk::{DirEntry, Disk, Facts, FileHandle, Inode, Lock};

/// What becomes of the calls, which are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Work,
    /// From call `from` to the one before `until`, every call fails. Writes leave half of their bytes.
    Fail {
        from: u64,
        until: u64,
        kind: io::ErrorKind,
    },
    /// From this call on nothing has any effect, as the process is dead; but a write leaves half of its
    /// bytes.
    Die {
        at: u64,
    },
}

#[derive(Clone, Default)]
pub(super) struct Double(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The one directory.
    entries: BTreeMap<String, usize>,
    synced_entries: BTreeMap<String, usize>,
    files: Vec<Content>,
    locked: bool,
    calls: u64,
    failures: u64,
    plan: Option<Plan>,
    dead: bool,
    /// Syncs do not return.
    stuck: bool,
    /// Bytes that the disk has room for.
    capacity: Option<usize>,
    peak: usize,
}

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

/// What a call has to do.
enum Turn {
    Work,
    Half(io::Error),
    Fail(io::Error),
}

impl State {
    fn turn(&mut self) -> Turn {
        let call = self.calls;
        self.calls += 1;
        let turn = match self.plan {
            _ if self.dead => Turn::Fail(io::Error::other("dead")),
            Some(Plan::Fail { from, until, kind }) if (from..until).contains(&call) => {
                Turn::Half(kind.into())
            }
            Some(Plan::Die { at }) if call >= at => {
                self.dead = true;
                Turn::Half(io::Error::other("dead"))
            }
            _ => Turn::Work,
        };
        self.failures += u64::from(!matches!(turn, Turn::Work));
        turn
    }

    fn all_or_nothing(&mut self) -> io::Result<()> {
        match self.turn() {
            Turn::Work => Ok(()),
            Turn::Half(error) | Turn::Fail(error) => Err(error),
        }
    }

    fn facts(&self, index: usize) -> io::Result<Facts> {
        if self.dead {
            return Err(io::Error::other("dead"));
        }
        Ok(Facts {
            identity: (0, index as u64),
            links: self.entries.values().filter(|file| **file == index).count() as u64,
            length: self.files.get(index).map_or(0, |file| file.now.len() as u64),
            mode: 0o600,
            owner: 0,
            modified: (0, 0),
        })
    }

    fn used(&self) -> usize {
        self.entries
            .values()
            .map(|&file| self.files[file].now.len())
            .sum()
    }
}

impl Double {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn plan(&self, plan: Plan) {
        self.state().plan = Some(plan);
    }

    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many calls failed.
    pub(super) fn failures(&self) -> u64 {
        self.state().failures
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Another process, the same files.
    pub(super) fn revive(&self) {
        let mut state = self.state();
        state.dead = false;
        state.locked = false;
        state.plan = None;
    }

    /// What was not synced is lost; of each file's unsynced tail the first `keep` of 256 parts are there all
    /// the same.
    pub(super) fn cut_power(&self, keep: usize) {
        let mut state = self.state();
        state.entries = state.synced_entries.clone();
        for file in &mut state.files {
            let lost = file.now.len().saturating_sub(file.synced.len());
            let kept = file.synced.len() + lost * keep / 256;
            let tail = file.now.get(file.synced.len()..kept).unwrap_or_default().to_vec();
            file.synced.extend(tail);
            file.now.clone_from(&file.synced);
        }
        drop(state);
        self.revive();
    }

    /// From here on, syncs return only once they are let to.
    pub(super) fn stick(&self, stuck: bool) {
        self.state().stuck = stuck;
    }

    pub(super) fn limit(&self, capacity: Option<usize>) {
        self.state().capacity = capacity;
    }

    pub(super) fn used(&self) -> usize {
        self.state().used()
    }

    /// The most that was ever used.
    pub(super) fn peak(&self) -> usize {
        self.state().peak
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state()
            .entries
            .keys()
            .filter(|name| *name != "lock")
            .cloned()
            .collect()
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.entries[name]].now.clone()
    }

    pub(super) fn write(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let index = state.entries.get(name).copied().unwrap_or(state.files.len());
        if index == state.files.len() {
            state.files.push(Content::default());
            state.entries.insert(name.to_owned(), index);
        }
        state.files[index] = Content {
            synced: bytes.clone(),
            now: bytes,
        };
    }

    /// Somebody removes a file that may be open.
    pub(super) fn snatch(&self, name: &str) {
        self.state().entries.remove(name);
    }

    /// The bytes of a file that may be open.
    pub(super) fn overwrite(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let index = state.entries[name];
        bytes.clone_into(&mut state.files[index].now);
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

struct Held(Double);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl Inode for Held {
    fn facts(&self) -> io::Result<Facts> {
        Ok(directory())
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        Ok(())
    }
}

/// The one directory is always there.
fn directory() -> Facts {
    Facts {
        identity: (0, u64::MAX),
        links: 1,
        length: 0,
        mode: 0o700,
        owner: 0,
        modified: (0, 0),
    }
}

impl Disk for Double {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.state().all_or_nothing()
    }

    fn lock(&self, _: &Path) -> io::Result<Lock> {
        let mut state = self.state();
        state.all_or_nothing()?;
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Arc::new(Held(self.clone())))
    }

    fn user(&self) -> Option<u32> {
        Some(0)
    }

    fn facts(&self, path: &Path) -> io::Result<Facts> {
        if path == Path::new("/queue") {
            return Ok(directory());
        }
        let state = self.state();
        let index = state.entries.get(&name_of(path)).ok_or(io::ErrorKind::NotFound)?;
        state.facts(*index)
    }

    fn holds_only(&self, _: &Path, names: fn(&OsStr) -> bool) -> bool {
        self.state().entries.keys().all(|name| names(OsStr::new(name)))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.state();
        state.all_or_nothing()?;
        let entry = |(name, &file): (&String, &usize)| DirEntry {
            name: name.into(),
            length: state.files[file].now.len() as u64,
            modified: 0,
        };
        Ok(state.entries.iter().map(entry).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut state = self.state();
        state.all_or_nothing()?;
        state.files.push(Content::default());
        let index = state.files.len() - 1;
        state.entries.insert(name_of(path), index);
        Ok(Arc::new(Opened {
            disk: self.clone(),
            index,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut state = self.state();
        state.all_or_nothing()?;
        let index = *state.entries.get(&name_of(path)).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Opened {
            disk: self.clone(),
            index,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.all_or_nothing()?;
        state
            .entries
            .remove(&name_of(path))
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.all_or_nothing()?;
        state.synced_entries = state.entries.clone();
        Ok(())
    }
}

struct Opened {
    disk: Double,
    index: usize,
}

impl FileHandle for Opened {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.all_or_nothing()?;
        let bytes = state.files[self.index]
            .now
            .get(offset as usize..)
            .unwrap_or_default();
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let (mut part, result) = match state.turn() {
            Turn::Work => (bytes, None),
            Turn::Half(error) => (&bytes[..bytes.len() / 2], Some(error)),
            Turn::Fail(error) => return Err(error),
        };
        let offset = offset as usize;
        let used = state.used();
        let capacity = state.capacity.unwrap_or(usize::MAX);
        let file = &mut state.files[self.index].now;
        // As a real disk does: what there is room for is written, the next call fails.
        let room = capacity.saturating_sub(used) + file.len().saturating_sub(offset);
        if room == 0 && result.is_none() {
            state.failures += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        part = &part[..part.len().min(room)];
        let end = offset + part.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[offset..end].copy_from_slice(part);
        state.peak = state.peak.max(state.used());
        result.map_or(Ok(part.len()), Err)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.all_or_nothing()?;
        state.files[self.index].now.truncate(length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        while self.disk.state().stuck {
            thread::sleep(Duration::from_millis(1));
        }
        let mut state = self.disk.state();
        state.all_or_nothing()?;
        let file = &mut state.files[self.index];
        file.synced = file.now.clone();
        Ok(())
    }
}

impl Inode for Opened {
    fn facts(&self) -> io::Result<Facts> {
        self.disk.state().facts(self.index)
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        Ok(())
    }
}
