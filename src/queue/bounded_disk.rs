//! A disk that answers in time, though the system's calls may not return: a network's disk whose server is
//! gone, a frozen file system, a device that tries again and again.
//!
//! Each call of the queue's owner runs on a thread of its own, one after the other, and the owner waits for
//! it at most [`PATIENCE`]. After that the call counts as failed, and so does every other one, at once, until
//! the thread is back. What a call does that was given up is undone where it would do harm: a file that it
//! created is removed, a lock that it took is given back. What it wrote after all is cut off by the next
//! call, as after any failed write.
//!
//! Calls of other threads, which is to say of the one that syncs, run where they are made.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::disk::{DirEntry, Disk, Facts, FileHandle, Inode, Lock};

/// How long the owner waits for a call.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most bytes that one call reads or writes. So a disk that is slow, but answers, is in time.
const PIECE: usize = 256 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// The disk. Whoever makes it is the owner.
pub(super) struct BoundedDisk {
    disk: Arc<dyn Disk>,
    calls: Arc<Calls>,
}

impl BoundedDisk {
    /// Puts the bound on a disk; without a thread to call on, the disk stays as it is.
    pub(super) fn over(disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        match Calls::start() {
            Ok(calls) => Arc::new(BoundedDisk {
                disk,
                calls: Arc::new(calls),
            }),
            Err(_) => disk,
        }
    }

    /// Calls with this path, and undoes what came of it if nobody waits any more.
    fn call<T: Send + 'static>(
        &self,
        path: &Path,
        call: impl FnOnce(&dyn Disk, &Path) -> io::Result<T> + Send + 'static,
        undo: impl FnOnce(&dyn Disk, &Path, T) + Send + 'static,
    ) -> io::Result<T> {
        let (disk, path) = (Arc::clone(&self.disk), path.to_owned());
        let (undo_disk, undo_path) = (Arc::clone(&disk), path.clone());
        self.calls.call(
            move || call(&*disk, &path),
            move |result| {
                if let Ok(value) = result {
                    undo(&*undo_disk, &undo_path, value);
                }
            },
        )
    }

    fn bounded(&self, file: Arc<dyn FileHandle>) -> Arc<dyn FileHandle> {
        Arc::new(BoundedFile(Bounded::new(file, &self.calls)))
    }
}

impl Disk for BoundedDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(dir, |disk, dir| disk.create_dir(dir), |_, _, ()| {})
    }

    fn lock(&self, dir: &Path) -> io::Result<Lock> {
        let lock = self.call(dir, |disk, dir| disk.lock(dir), |_, _, lock| drop(lock))?;
        Ok(Arc::new(BoundedLock(Bounded::new(lock, &self.calls))))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.call(dir, |disk, dir| disk.list(dir), |_, _, _| {})
    }

    fn user(&self) -> Option<u32> {
        self.disk.user()
    }

    fn facts(&self, path: &Path) -> io::Result<Facts> {
        self.call(path, |disk, path| disk.facts(path), |_, _, _| {})
    }

    fn holds_only(&self, dir: &Path, names: fn(&OsStr) -> bool) -> bool {
        let held = self.call(
            dir,
            move |disk, dir| Ok(disk.holds_only(dir, names)),
            |_, _, _| {},
        );
        held.unwrap_or(false)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let created = self.call(
            path,
            |disk, path| disk.create(path),
            // Nobody knows of this file, and its number may be another one's by now.
            |disk, path, _| drop(disk.remove(path)),
        );
        created.map(|file| self.bounded(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let opened = self.call(path, |disk, path| disk.open(path), |_, _, file| drop(file));
        opened.map(|file| self.bounded(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(path, |disk, path| disk.remove(path), |_, _, ()| {})
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(dir, |disk, dir| disk.sync_dir(dir), |_, _, ()| {})
    }
}

/// Something open. It is closed on the thread that calls, because closing may take as long as any call.
struct Bounded<I: Inode + ?Sized + 'static> {
    /// Taken when this is dropped.
    inner: Option<Arc<I>>,
    calls: Arc<Calls>,
}

impl<I: Inode + ?Sized + 'static> Bounded<I> {
    fn new(inner: Arc<I>, calls: &Arc<Calls>) -> Self {
        Bounded {
            inner: Some(inner),
            calls: Arc::clone(calls),
        }
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&I) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Some(inner) = self.inner.clone() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.calls.call(move || call(&inner), |_| {})
    }
}

impl<I: Inode + ?Sized + 'static> Inode for Bounded<I> {
    fn facts(&self) -> io::Result<Facts> {
        self.call(Inode::facts)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.call(move |inner| inner.set_mode(mode))
    }
}

impl<I: Inode + ?Sized + 'static> Drop for Bounded<I> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.calls.dispose(inner);
        }
    }
}

struct BoundedLock(Bounded<dyn Inode>);

impl Inode for BoundedLock {
    fn facts(&self) -> io::Result<Facts> {
        self.0.facts()
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.0.set_mode(mode)
    }
}

struct BoundedFile(Bounded<dyn FileHandle>);

impl Inode for BoundedFile {
    fn facts(&self) -> io::Result<Facts> {
        self.0.facts()
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.0.set_mode(mode)
    }
}

impl FileHandle for BoundedFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut piece = vec![0; into.len().min(PIECE)];
        let (read, piece) = self.0.call(move |file| {
            let read = file.read_at(&mut piece, offset)?;
            Ok((read, piece))
        })?;
        into[..read].copy_from_slice(&piece[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let piece = bytes[..bytes.len().min(PIECE)].to_vec();
        self.0.call(move |file| file.write_at(&piece, offset))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.call(move |file| file.truncate(length))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.call(FileHandle::sync)
    }
}

/// The thread that calls, seen from the owner.
struct Calls {
    owner: Thread,
    thread: Thread,
    jobs: Arc<Jobs>,
    /// A call is under way.
    busy: Arc<AtomicBool>,
}

/// What the thread has to do. The two threads wake each other, which costs less than a channel and a condition
/// variable: each batch of ends is written by such a call.
#[derive(Default)]
struct Jobs {
    list: Mutex<VecDeque<Job>>,
    /// No more will come.
    closed: AtomicBool,
}

impl Jobs {
    fn run(&self) {
        loop {
            // Not in the condition of a loop, where the lock would be held while the job runs.
            let job = self.list().pop_front();
            match job {
                Some(job) => job(),
                None if self.closed.load(Ordering::Acquire) => return,
                None => thread::park(),
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.jobs.closed.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Calls {
    fn start() -> io::Result<Self> {
        let jobs = Arc::new(Jobs::default());
        let run = Arc::clone(&jobs);
        let builder = thread::Builder::new().name("gatecount-disk".into());
        let thread = builder.spawn(move || run.run())?;
        Ok(Calls {
            owner: thread::current(),
            thread: thread.thread().clone(),
            jobs,
            busy: Arc::default(),
        })
    }

    fn is_owners_turn(&self) -> bool {
        thread::current().id() == self.owner.id()
    }

    fn send(&self, job: Job) {
        self.jobs.list().push_back(job);
        self.thread.unpark();
    }

    /// Runs `call`. If it takes longer than the owner's patience, `undo` gets what came of it.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
        undo: impl FnOnce(io::Result<T>) + Send + 'static,
    ) -> io::Result<T> {
        if !self.is_owners_turn() {
            return call();
        }
        // The owner makes one call after the other, so this one is busy with a call that was given up.
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(no_answer());
        }
        let answer = Arc::new(Answer::of(self.owner.clone()));
        let (busy, slot) = (Arc::clone(&self.busy), Arc::clone(&answer));
        self.send(Box::new(move || {
            if let Some(unwanted) = slot.give(call()) {
                undo(unwanted);
                busy.store(false, Ordering::Release);
            }
        }));
        match answer.take(PATIENCE) {
            Some(result) => {
                self.busy.store(false, Ordering::Release);
                result
            }
            None => Err(no_answer()),
        }
    }

    /// Drops something open, and waits for that as for a call.
    fn dispose<T: Send + Sync + ?Sized + 'static>(&self, open: Arc<T>) {
        if self.is_owners_turn() && self.busy.load(Ordering::Acquire) {
            // After the call that is under way, and without waiting for it.
            self.send(Box::new(move || drop(open)));
            return;
        }
        // Late or not, it is dropped.
        drop(self.call(
            move || {
                drop(open);
                Ok(())
            },
            |_| {},
        ));
    }
}

fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")
}

/// What came of a call, handed from one thread to the other.
struct Answer<T> {
    state: Mutex<AnswerState<T>>,
    /// Who waits for it.
    owner: Thread,
}

enum AnswerState<T> {
    Awaited,
    Given(T),
    /// Taken, or nobody waits any more.
    Over,
}

impl<T> Answer<T> {
    fn of(owner: Thread) -> Self {
        Answer {
            state: Mutex::new(AnswerState::Awaited),
            owner,
        }
    }

    fn state(&self) -> MutexGuard<'_, AnswerState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the answer; gives it back if nobody waits any more.
    fn give(&self, answer: T) -> Option<T> {
        {
            let mut state = self.state();
            if matches!(*state, AnswerState::Over) {
                return Some(answer);
            }
            *state = AnswerState::Given(answer);
        }
        self.owner.unpark();
        None
    }

    /// Waits for the answer; nothing if it does not come in time.
    fn take(&self, patience: Duration) -> Option<T> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            {
                let mut state = self.state();
                if !matches!(*state, AnswerState::Awaited) || left.is_zero() {
                    return match std::mem::replace(&mut *state, AnswerState::Over) {
                        AnswerState::Given(answer) => Some(answer),
                        AnswerState::Awaited | AnswerState::Over => None,
                    };
                }
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, mpsc};

    use super::*;

    /// A call that returns when it is let go.
    struct Gate(Arc<(Mutex<bool>, Condvar)>);

    impl Gate {
        fn shut() -> Self {
            Gate(Arc::default())
        }

        fn wait(&self) -> impl FnOnce() + Send + 'static {
            let gate = Arc::clone(&self.0);
            move || {
                let (open, changed) = &*gate;
                drop(changed.wait_while(open.lock().unwrap(), |open| !*open));
            }
        }

        fn open(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_all();
        }
    }

    fn is_late<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    #[test]
    fn a_call_that_does_not_return_fails_in_time_and_the_next_ones_at_once() {
        let calls = Calls::start().unwrap();
        assert_eq!(calls.call(|| Ok(7), |_| {}).unwrap(), 7);
        let gate = Gate::shut();
        let wait = gate.wait();
        let (undone, seen) = mpsc::channel();
        let begun = Instant::now();
        let call = move || {
            wait();
            Ok(8)
        };
        assert!(is_late(
            calls.call(call, move |result| undone.send(result.ok()).unwrap())
        ));
        assert!((PATIENCE..PATIENCE * 3).contains(&begun.elapsed()));
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(is_late(calls.call(|| Ok(9), |_| {})));
        }
        assert!(begun.elapsed() < PATIENCE);
        gate.open();
        assert_eq!(seen.recv().unwrap(), Some(8), "what came of it is undone");
        while calls.busy.load(Ordering::Acquire) {
            thread::yield_now();
        }
        assert_eq!(calls.call(|| Ok(9), |_| {}).unwrap(), 9);
    }

    #[test]
    fn what_is_closed_meanwhile_is_closed_after_the_call_and_nobody_waits() {
        let calls = Calls::start().unwrap();
        let gate = Gate::shut();
        let wait = gate.wait();
        assert!(is_late(calls.call(
            move || {
                wait();
                Ok(())
            },
            |_| {}
        )));
        let open = Arc::new(());
        let watched = Arc::downgrade(&open);
        let begun = Instant::now();
        calls.dispose(open);
        assert!(begun.elapsed() < PATIENCE);
        assert!(watched.upgrade().is_some());
        gate.open();
        while watched.upgrade().is_some() {
            thread::yield_now();
        }
    }

    #[test]
    fn other_threads_call_where_they_are() {
        let calls = Calls::start().unwrap();
        let on = || Ok(thread::current().id());
        let own = thread::scope(|scope| {
            scope
                .spawn(|| (calls.call(on, |_| {}).unwrap(), thread::current().id()))
                .join()
                .unwrap()
        });
        assert_eq!(own.0, own.1);
        assert_ne!(calls.call(on, |_| {}).unwrap(), calls.owner.id());
    }
}
