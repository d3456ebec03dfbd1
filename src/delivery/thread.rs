//! The delivery thread: runs an engine, and another one should it panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc::UnboundedReceiver,
    task::spawn_local,
    time::timeout,
};

use super::{
    Settings, Stopped,
    backoff::Backoff,
    endpoint::Endpoint,
    engine::{Command, Engine, Kept, Parts},
    lent::{Home, Lent},
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

/// The same, while an engine may have some of it.
struct Thread {
    settings: Settings,
    queue: queue::Settings,
    target: Target,
    kept: Home<Kept>,
    shared: Arc<Shared>,
    metrics: Metrics,
    commands: Home<UnboundedReceiver<Command>>,
}

impl Work {
    /// Delivers until it is told to stop. Traffic goes on whatever happens here: while no engine runs, offers wait in
    /// the rings, and then count as overflow.
    pub(super) fn run(self) -> Stopped {
        Thread {
            settings: self.settings,
            queue: self.queue,
            target: self.target,
            kept: Home::of(self.kept),
            shared: self.shared,
            metrics: self.metrics,
            commands: Home::of(self.commands),
        }
        .run()
    }
}

impl Thread {
    fn run(&self) -> Stopped {
        give_way();
        let rest = Backoff::new(REST.0, REST.1);
        let mut panics = 0;
        loop {
            let begun = Instant::now();
            if self.attempt(panics > 0) {
                break;
            }
            panics = if begun.elapsed() > LONG { 1 } else { panics + 1 };
            if let Some(mut kept) = self.kept.lend() {
                kept.intake.forget();
            }
            self.shared.set_state("restarting");
            self.shared.in_flight.store(0, Ordering::Relaxed);
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
    fn attempt(&self, again: bool) -> bool {
        let Ok(runtime) = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
        else {
            return false;
        };
        let now = self.shared.clock.millis();
        let Ok(queue) = catch_unwind(AssertUnwindSafe(|| Queue::open(&self.queue, now))) else {
            return false;
        };
        let queue = Home::of(queue);
        let ran = match (self.kept.lend(), queue.lend(), self.commands.lend()) {
            (Some(kept), Some(queue), Some(commands)) => {
                runtime.block_on(self.drive(kept, queue, commands, again))
            }
            // Nobody else lends them, and engines give them back.
            _ => false,
        };
        // A name that is being looked up may not hold up a stop.
        runtime.shutdown_background();
        // Its last ends are written down even after a panic, unless it was the queue that panicked.
        let _ = catch_unwind(AssertUnwindSafe(|| queue.leave().map(Queue::close)));
        ran
    }

    /// The engine runs as a task among the senders' tasks: what wakes it costs no look at the system's events.
    async fn drive(
        &self,
        kept: Lent<Kept>,
        queue: Lent<Queue>,
        commands: Lent<UnboundedReceiver<Command>>,
        again: bool,
    ) -> bool {
        let parts = Parts {
            settings: self.settings.clone(),
            shared: self.shared.clone(),
            metrics: self.metrics.clone(),
            kept,
            queue,
            endpoint: Endpoint::new(self.target.clone(), self.settings.timeout),
        };
        let engine = spawn_local(async move { Engine::new(parts).run(again, commands).await });
        engine.await.is_ok()
    }

    /// Rests, and listens; other commands than a stop are obeyed.
    fn is_told_to_stop(&self, rest: Duration) -> bool {
        let Ok(runtime) = Builder::new_current_thread().enable_time().build() else {
            std::thread::sleep(rest);
            return false;
        };
        // An engine gives them back, whatever ends it.
        let (Some(mut kept), Some(mut commands)) = (self.kept.lend(), self.commands.lend()) else {
            return true;
        };
        let until = Instant::now() + rest;
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

/// Has this thread, and those that it starts, wait for their turn where a worker serves on the same CPU, in place of
/// taking the CPU whenever an answer of Plausible's wakes it: `SCHED_BATCH` (sched(7)). Its share stays what it was.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use preempt_rt::sched::{Pid, Scheduler, SchedulerParams, set_scheduler};
        // Where it is forbidden, all goes on as it would have without.
        let normal = SchedulerParams { priority: 0 };
        let _ = set_scheduler(Pid::current_thread(), Scheduler::SCHED_BATCH, normal);
    }
}
