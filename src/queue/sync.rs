//! Runs `fdatasync` on a thread of its own, so that neither an append nor a send waits for it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    disk::{Disk, FileHandle},
    disk_error::DiskError,
};

/// The least time from one sync's start to the next one's.
pub(super) const EVERY: Duration = Duration::from_millis(150);

/// How long a close waits for the last sync. What was written survives the process without it, and a stuck
/// disk must not keep the process from ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// An open segment file.
pub(super) struct SegmentFile {
    pub(super) handle: Arc<dyn FileHandle>,
    pub(super) path: PathBuf,
    /// Whether a sync has been asked for that has not started yet.
    asked: AtomicBool,
}

impl SegmentFile {
    pub(super) fn new(handle: Arc<dyn FileHandle>, path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            handle,
            path,
            asked: AtomicBool::new(false),
        })
    }
}

/// What is to be synced.
enum SyncJob {
    File(Arc<SegmentFile>),
    /// The directory's entries, after a file was created or removed.
    Directory,
}

/// Syncs what the queue has written, at most once in [`EVERY`].
pub(super) struct Syncer {
    by: SyncBy,
    /// How many syncs were asked for. A file counts once until its sync starts.
    asked: u64,
    done: Arc<AtomicU64>,
    failed: Receiver<DiskError>,
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
    done: Arc<AtomicU64>,
    failed: Sender<DiskError>,
}

impl Syncer {
    pub(super) fn start(disk: &Arc<dyn Disk>, dir: &Path, own_thread: bool) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let (report, failed) = mpsc::channel();
        let files = || Files {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            done: Arc::clone(&done),
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
            failed,
        }
    }

    /// The file was written to.
    pub(super) fn file(&mut self, target: &Arc<SegmentFile>) {
        if !target.asked.swap(true, Ordering::AcqRel) {
            self.ask(SyncJob::File(Arc::clone(target)));
        }
    }

    /// A file was created or removed.
    pub(super) fn directory(&mut self) {
        self.ask(SyncJob::Directory);
    }

    fn ask(&mut self, job: SyncJob) {
        self.asked += 1;
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
        // One failure is enough to know.
        self.failed.try_iter().last()
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

    /// Syncs files before the directory, so that an entry that survives a power cut has its content.
    fn sync(&self, jobs: Vec<SyncJob>) {
        let count = jobs.len() as u64;
        let mut directory = false;
        for job in jobs {
            match job {
                SyncJob::Directory => directory = true,
                SyncJob::File(target) => {
                    // Cleared before the sync: a write from here on asks for another sync.
                    target.asked.swap(false, Ordering::AcqRel);
                    self.report("syncing", &target.path, target.handle.sync());
                }
            }
        }
        if directory {
            self.report("syncing", &self.dir, self.disk.sync_dir(&self.dir));
        }
        self.done.fetch_add(count, Ordering::AcqRel);
    }

    fn report(&self, doing: &'static str, path: &Path, result: std::io::Result<()>) {
        if let Err(error) = result {
            // Fails only after the queue is closed.
            drop(self.failed.send(DiskError::call(doing, path, error)));
        }
    }
}
