//! `fdatasync`, on a thread of its own, so that neither an append nor a send waits for it.

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

/// How long a close waits for the last sync. What was written survives the process without it; a disk that is
/// stuck may not keep the process from ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// An open segment file.
pub(super) struct SegmentFile {
    pub(super) handle: Arc<dyn FileHandle>,
    pub(super) path: PathBuf,
    /// Whether a sync that has yet to start will cover what has been written.
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
    /// Its entries: after a file was created or removed.
    Directory,
}

/// Asked by the queue after each write; does it at most once in [`EVERY`].
pub(super) struct Syncer {
    by: SyncBy,
    /// Each directory or file counts once, however often it was asked for before its sync starts.
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
    /// Where no thread could be started, and in tests: at each tick, by the owner itself.
    Owner { jobs: Vec<SyncJob>, files: Files },
}

/// What the syncing itself needs.
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

    /// Where the owner syncs itself, it does so now. Says what has failed since the last call.
    pub(super) fn tick(&mut self) -> Option<DiskError> {
        if let SyncBy::Owner { jobs, files } = &mut self.by
            && !jobs.is_empty()
        {
            files.sync(std::mem::take(jobs));
        }
        // One is enough to know; more would tell the same.
        self.failed.try_iter().last()
    }

    /// Whether all that was written would survive a power cut.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) == self.asked
    }

    /// Syncs what is left, now; waits for that no longer than [`PATIENCE`].
    pub(super) fn close(self) {
        match self.by {
            SyncBy::Thread { jobs, ended } => {
                drop(jobs);
                // Nothing is ever sent: the wait ends with the thread, or with the time.
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

    /// Files first: an entry that survives has its content then.
    fn sync(&self, jobs: Vec<SyncJob>) {
        let count = jobs.len() as u64;
        let mut directory = false;
        for job in jobs {
            match job {
                SyncJob::Directory => directory = true,
                SyncJob::File(target) => {
                    // Before the sync: what is written from here on asks for another one.
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
            // Nobody listens after the queue is closed.
            drop(self.failed.send(DiskError::call(doing, path, error)));
        }
    }
}
