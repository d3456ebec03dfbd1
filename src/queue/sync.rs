//! Runs `fdatasync` on a thread of its own, so that neither an append nor a send waits for it. The same
//! thread looks whether the files are still as the queue left them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    disk::{Disk, FileHandle, Inode, Lock},
    disk_error::DiskError,
    segment_file::{SegmentFile, look_at_directory},
};

/// The least time from one sync's start to the next one's.
pub(super) const EVERY: Duration = Duration::from_millis(150);

/// How long a close waits for the last sync. What was written survives the process without it, and a stuck
/// disk must not keep the process from ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be done.
enum SyncJob {
    File(Arc<SegmentFile>),
    /// The owner's note.
    Note(Arc<dyn FileHandle>, PathBuf),
    /// The directory's entries, after a file was created or removed.
    Directory,
    /// Nothing is synced; it is looked at.
    Look(Vec<Arc<SegmentFile>>),
}

/// What went wrong, and over which file.
struct SyncFailure {
    error: DiskError,
    file: Option<Arc<SegmentFile>>,
}

/// Syncs what the queue has written, at most once in [`EVERY`].
pub(super) struct Syncer {
    by: SyncBy,
    /// How many syncs were asked for. A file counts once until its sync starts.
    asked: u64,
    done: Arc<AtomicU64>,
    /// Whether a look is asked for that is not over.
    looking: Arc<AtomicBool>,
    failed: Receiver<SyncFailure>,
}

enum SyncBy {
    Thread {
        jobs: Sender<SyncJob>,
        /// Disconnected once the thread has ended.
        ended: Receiver<()>,
    },
    /// The owner syncs at each tick, in tests and if no thread could be started.
    Owner { jobs: Vec<SyncJob>, files: Files },
}

/// What a sync needs.
struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Not held: the lock goes with the queue though a sync is stuck.
    lock: Weak<dyn Inode>,
    done: Arc<AtomicU64>,
    looking: Arc<AtomicBool>,
    failed: Sender<SyncFailure>,
}

impl Syncer {
    pub(super) fn start(disk: &Arc<dyn Disk>, dir: &Path, lock: &Lock, own_thread: bool) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let looking = Arc::new(AtomicBool::new(false));
        let (report, failed) = mpsc::channel();
        let files = || Files {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            lock: Arc::downgrade(lock),
            done: Arc::clone(&done),
            looking: Arc::clone(&looking),
            failed: report.clone(),
        };
        let thread = own_thread.then(|| {
            let (jobs, taken) = mpsc::channel();
            let (alive, ended) = mpsc::channel();
            let files = files();
            let builder = thread::Builder::new().name("gatecount-sync".into());
            let serve = move || {
                files.serve(&taken);
                drop(alive);
            };
            builder.spawn(serve).map(|_| SyncBy::Thread { jobs, ended })
        });
        let by = match thread {
            Some(Ok(thread)) => thread,
            _ => SyncBy::Owner {
                jobs: Vec::new(),
                files: files(),
            },
        };
        Self {
            by,
            asked: 0,
            done,
            looking,
            failed,
        }
    }

    /// The file was written to.
    pub(super) fn file(&mut self, target: &Arc<SegmentFile>) {
        if target.ask() {
            self.asked += 1;
            self.give(SyncJob::File(Arc::clone(target)));
        }
    }

    /// The owner's note was written.
    pub(super) fn note(&mut self, handle: &Arc<dyn FileHandle>, path: &Path) {
        self.asked += 1;
        self.give(SyncJob::Note(Arc::clone(handle), path.to_owned()));
    }

    /// A file was created or removed.
    pub(super) fn directory(&mut self) {
        self.asked += 1;
        self.give(SyncJob::Directory);
    }

    /// Looks at the directory and these files, unless the last look is not over.
    pub(super) fn look(&mut self, files: impl Iterator<Item = Arc<SegmentFile>>) {
        if !self.looking.swap(true, Ordering::AcqRel) {
            self.give(SyncJob::Look(files.collect()));
        }
    }

    fn give(&mut self, job: SyncJob) {
        match &mut self.by {
            // The thread ends only when the sender is dropped.
            SyncBy::Thread { jobs, .. } => drop(jobs.send(job)),
            SyncBy::Owner { jobs, .. } => jobs.push(job),
        }
    }

    /// Syncs, if the owner does it. Returns what has failed since the last call.
    pub(super) fn tick(&mut self) -> Option<DiskError> {
        if let SyncBy::Owner { jobs, files } = &mut self.by
            && !jobs.is_empty()
        {
            files.sync(std::mem::take(jobs));
        }
        // One failure is enough to know, and none of a file that was given up meanwhile.
        let matters = |failure: &SyncFailure| !failure.file.as_ref().is_some_and(|file| file.is_retired());
        self.failed
            .try_iter()
            .filter(matters)
            .last()
            .map(|failure| failure.error)
    }

    /// Whether all that was written would survive a power cut.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) == self.asked
    }

    /// Syncs what is left, and waits for it at most [`PATIENCE`].
    pub(super) fn close(self) {
        match self.by {
            SyncBy::Thread { jobs, ended } => {
                drop(jobs);
                // The channel carries nothing. It closes when the thread ends.
                let _ = ended.recv_timeout(PATIENCE);
            }
            SyncBy::Owner { jobs, files } => files.sync(jobs),
        }
    }
}

impl Files {
    fn serve(&self, taken: &Receiver<SyncJob>) {
        let mut last: Option<Instant> = None;
        while let Ok(first) = taken.recv() {
            let mut jobs = vec![first];
            let due = last.map_or_else(Instant::now, |last| last + EVERY);
            while let Ok(job) = taken.recv_timeout(due.saturating_duration_since(Instant::now())) {
                jobs.push(job);
            }
            last = Some(Instant::now());
            self.sync(jobs);
        }
    }

    /// Syncs files before the directory, so that an entry that survives a power cut has its content, and
    /// before the note, so that the note says no more than what survives.
    fn sync(&self, jobs: Vec<SyncJob>) {
        let (mut done, mut directory, mut note) = (0, false, None);
        for job in jobs {
            match job {
                SyncJob::Directory => {
                    directory = true;
                    done += 1;
                }
                SyncJob::Note(handle, path) => {
                    note = Some((handle, path));
                    done += 1;
                }
                SyncJob::File(target) => {
                    let synced = target.sync();
                    let synced = synced.map_err(|error| DiskError::call("syncing", &target.path, error));
                    self.report(Some(&target), synced);
                    self.report(Some(&target), target.look(&*self.disk));
                    done += 1;
                }
                SyncJob::Look(files) => {
                    for file in &files {
                        self.report(Some(file), file.look(&*self.disk));
                    }
                    self.looking.store(false, Ordering::Release);
                }
            }
        }
        if let Some((handle, path)) = note {
            let synced = handle.sync();
            self.report(
                None,
                synced.map_err(|error| DiskError::call("syncing", &path, error)),
            );
        }
        // Where the directory is gone, syncing its path would say so in other words.
        let opened = self.lock.upgrade().map(|lock| lock.facts());
        let looked = opened.map_or(Ok(()), |opened| {
            look_at_directory(&*self.disk, &self.dir, &opened)
        });
        if looked.is_ok() && directory {
            let synced = self.disk.sync_dir(&self.dir);
            self.report(
                None,
                synced.map_err(|error| DiskError::call("syncing", &self.dir, error)),
            );
        }
        self.report(None, looked);
        self.done.fetch_add(done, Ordering::AcqRel);
    }

    fn report(&self, file: Option<&Arc<SegmentFile>>, result: Result<(), DiskError>) {
        if let Err(error) = result {
            // Fails only after the queue is closed.
            drop(self.failed.send(SyncFailure {
                error,
                file: file.cloned(),
            }));
        }
    }
}
