//! The delivery thread: runs an engine, and another one should it panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::UnboundedReceiver,
    task::LocalSet,
    time::timeout,
};

use super::{
    Settings, Stopped,
    backoff::Backoff,
    endpoint::Endpoint,
    engine::{Command, Engine, Kept, Parts},
    metrics::Metrics,
    request::Target,
    status::Shared,
};
use crate::queue::{self, Queue};

/// How long the thread rests after a panic: first, and at the most.
const REST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// An engine that worked for so long panicked for a reason of its own.
const LONG: Duration = Duration::from_mins(1);

/// All that the thread is given.
pub(super) struct Work {
    pub(super) settings: Settings,
    pub(super) queue: queue::Settings,
    pub(super) target: Target,
    pub(super) kept: Kept,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Metrics,
    pub(super) commands: UnboundedReceiver<Command>,
}

impl Work {
    /// Delivers until it is told to stop. Traffic goes on whatever happens here: while no engine runs, offers wait in
    /// the rings, and then count as overflow.
    pub(super) fn run(mut self) -> Stopped {
        let rest = Backoff::new(REST.0, REST.1);
        let mut panics = 0;
        loop {
            let begun = Instant::now();
            if self.attempt(panics > 0) {
                break;
            }
            panics = if begun.elapsed() > LONG { 1 } else { panics + 1 };
            self.kept.intake.forget();
            self.shared.set_state("restarting");
            tracing::error!(
                panics,
                "delivery failed, by a fault of gatecount's own; it starts again"
            );
            if self.is_told_to_stop(rest.ceiling(panics)) {
                break;
            }
        }
        self.shared.set_state("stopped");
        Stopped {
            pending: self.shared.account.balance().pending,
        }
    }

    /// Runs one engine; false if it panicked.
    fn attempt(&mut self, again: bool) -> bool {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return false;
        };
        let mut queue = Queue::open(&self.queue, self.shared.clock.millis());
        let ran = catch_unwind(AssertUnwindSafe(|| self.drive(&runtime, &mut queue, again)));
        // A name that is being looked up may not hold up a stop.
        runtime.shutdown_background();
        // Its last ends are written down even after a panic, unless it was the queue that panicked.
        let _ = catch_unwind(AssertUnwindSafe(|| queue.close()));
        ran.is_ok()
    }

    fn drive(&mut self, runtime: &Runtime, queue: &mut Queue, again: bool) {
        let engine = Engine::new(Parts {
            settings: &self.settings,
            shared: &self.shared,
            metrics: &self.metrics,
            kept: &mut self.kept,
            queue,
            endpoint: Endpoint::new(self.target.clone(), self.settings.timeout),
        });
        LocalSet::new().block_on(runtime, engine.run(again, &mut self.commands));
    }

    /// Rests, and listens; other commands than a stop are obeyed.
    fn is_told_to_stop(&mut self, rest: Duration) -> bool {
        let Ok(runtime) = Builder::new_current_thread().enable_time().build() else {
            std::thread::sleep(rest);
            return false;
        };
        let until = Instant::now() + rest;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = runtime.block_on(async { timeout(left, self.commands.recv()).await });
            match heard {
                Err(_) => return false,
                Ok(Some(Command::Reload(rules))) => self.kept.rules = *rules,
                Ok(None | Some(_)) => return true,
            }
        }
    }
}
