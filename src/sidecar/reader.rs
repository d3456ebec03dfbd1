//! Reads the configuration again, on a thread of its own: a file system that hangs holds up reloads and
//! nothing else.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::{Config, FileWatcher, Mistakes};

/// How often the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A configuration that was read again.
pub(super) struct Reading {
    pub(super) config: Result<Config, Mistakes>,
    /// The files that have changed since the reading before it.
    pub(super) changed: BTreeSet<PathBuf>,
}

/// What the thread is told.
enum Order {
    /// Read now.
    Read,
    /// Watch these files instead.
    Watch(Vec<PathBuf>),
}

/// The thread, as seen from the others. It ends when this is dropped.
pub(super) struct Reader {
    orders: Sender<Order>,
    readings: UnboundedReceiver<Reading>,
}

impl Reader {
    /// Starts the thread. It reads with `load` when it is told to, and when one of the files has changed.
    ///
    /// # Errors
    /// The system's, where it refuses a thread.
    pub(super) fn start(
        files: &[PathBuf],
        load: impl Fn() -> Result<Config, Mistakes> + Send + 'static,
    ) -> io::Result<Reader> {
        let (orders, receiver) = channel();
        let (sender, readings) = unbounded_channel();
        let watcher = FileWatcher::new(files);
        thread::Builder::new()
            .name("gatecount-files".to_owned())
            .spawn(move || run(watcher, &receiver, &sender, load))?;
        Ok(Reader { orders, readings })
    }

    /// Asks for a reading.
    pub(super) fn read(&self) {
        // The thread lives as long as this does.
        let _ = self.orders.send(Order::Read);
    }

    /// Watches these files from now on.
    pub(super) fn watch(&self, files: &[PathBuf]) {
        // As above.
        let _ = self.orders.send(Order::Watch(files.to_vec()));
    }

    /// The next reading. It can be cancelled without missing one.
    pub(super) async fn next(&mut self) -> Option<Reading> {
        self.readings.recv().await
    }
}

fn run(
    mut watcher: FileWatcher,
    orders: &Receiver<Order>,
    readings: &UnboundedSender<Reading>,
    load: impl Fn() -> Result<Config, Mistakes>,
) {
    loop {
        match orders.recv_timeout(POLL_INTERVAL) {
            Ok(Order::Watch(files)) => {
                watcher.set_files(&files);
                continue;
            }
            Ok(Order::Read) => {}
            Err(RecvTimeoutError::Timeout) if watcher.refresh() => {}
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        watcher.refresh();
        let reading = Reading {
            config: load(),
            changed: watcher.take_changed(),
        };
        if readings.send(reading).is_err() {
            return;
        }
    }
}
