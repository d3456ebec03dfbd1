//! The delivery thread: runs an engine, and another one should it panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::UnboundedReceiver,
    task::{LocalSet, spawn_local},
    time::timeout,
};

use super::{
    Settings, Stopped,
    backoff::Backoff,
    endpoint::Endpoint,
    engine::{Command, Engine, Kept, Parts},
    lent::Lent,
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
    /// There while no engine runs.
    pub(super) kept: Option<Kept>,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Metrics,
    /// There while no engine runs.
    pub(super) commands: Option<UnboundedReceiver<Command>>,
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
            let Some(kept) = &mut self.kept else { break };
            kept.intake.forget();
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
        let queue = Queue::open(&self.queue, self.shared.clock.millis());
        let (ran, queue) = self.drive(&runtime, queue, again);
        // A name that is being looked up may not hold up a stop.
        runtime.shutdown_background();
        // Its last ends are written down even after a panic, unless it was the queue that panicked.
        let _ = catch_unwind(AssertUnwindSafe(|| queue.map(Queue::close)));
        ran
    }

    /// Runs an engine as a task of its own: one that is not the runtime's first is woken without a system call. Gives
    /// the queue back, and whether the engine ended well.
    fn drive(&mut self, runtime: &Runtime, queue: Queue, again: bool) -> (bool, Option<Queue>) {
        let (Some(kept), Some(commands)) = (self.kept.take(), self.commands.take()) else {
            return (false, Some(queue));
        };
        let (kept, kept_home) = Lent::new(kept);
        let (commands, commands_home) = Lent::new(commands);
        let (queue, queue_home) = Lent::new(queue);
        let engine = Engine::new(Parts {
            settings: self.settings.clone(),
            shared: self.shared.clone(),
            metrics: self.metrics.clone(),
            kept,
            queue,
            endpoint: Endpoint::new(self.target.clone(), self.settings.timeout),
        });
        let local = LocalSet::new();
        let ran = local.block_on(runtime, async { spawn_local(engine.run(again, commands)).await });
        // What other tasks hold goes with them.
        drop(local);
        self.kept = kept_home.take();
        self.commands = commands_home.take();
        (ran.is_ok(), queue_home.take())
    }

    /// Rests, and listens; other commands than a stop are obeyed.
    fn is_told_to_stop(&mut self, rest: Duration) -> bool {
        let Ok(runtime) = Builder::new_current_thread().enable_time().build() else {
            std::thread::sleep(rest);
            return false;
        };
        let until = Instant::now() + rest;
        let (Some(commands), Some(kept)) = (&mut self.commands, &mut self.kept) else {
            return true;
        };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = runtime.block_on(async { timeout(left, commands.recv()).await });
            match heard {
                Err(_) => return false,
                Ok(Some(Command::Reload(rules))) => kept.rules = *rules,
                Ok(None | Some(_)) => return true,
            }
        }
    }
}
