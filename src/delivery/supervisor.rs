//! The delivery thread: runs an engine, and starts another one if it panics.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::Ordering,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc::UnboundedReceiver,
    task::spawn_local,
    time::timeout,
};

use super::{
    backoff::Backoff,
    engine::{CarryOver, Command, Engine, EngineParts},
    status::{DeliveryState, Stopped},
};
use crate::{
    priority,
    queue::{self, Closed, Queue},
};

/// How long the thread rests after a panic: first, and at the most.
const REST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A panic of an engine that worked for this long counts as the first one.
const WORKED_WELL: Duration = Duration::from_mins(1);

/// What the delivery thread is started with. What an engine changes is passed to it and comes back with its
/// end.
pub(super) struct Supervisor {
    pub(super) parts: EngineParts,
    pub(super) queue: queue::Settings,
    pub(super) carry: CarryOver,
    pub(super) commands: UnboundedReceiver<Command>,
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EngineEnd {
    Stopped,
    Panicked,
}

impl Supervisor {
    /// Delivers until it is told to stop. Traffic goes on whatever happens here: while no engine runs, offers
    /// wait in the rings, and count as overflow once the rings are full.
    pub(super) fn run(mut self) -> Stopped {
        priority::run_behind_traffic();
        let shared = self.parts.shared.clone();
        let rest = Backoff::new(REST.0, REST.1);
        let mut panics = 0;
        loop {
            let begun = Instant::now();
            let ended;
            (self, ended) = self.run_engine(panics > 0);
            if ended == EngineEnd::Stopped {
                break;
            }
            panics = if begun.elapsed() > WORKED_WELL {
                1
            } else {
                panics + 1
            };
            self.carry.intake.forget();
            if let Some(streamed) = &mut self.carry.streamed {
                streamed.forget();
            }
            shared.set_state(DeliveryState::Restarting, shared.clock.millis());
            shared.in_flight.store(0, Ordering::Relaxed);
            tracing::error!(
                panics,
                "delivery failed, by a fault of gatecount's own; it starts again"
            );
            if self.is_told_to_stop_within(rest.ceiling(panics)) {
                break;
            }
        }
        shared.set_state(DeliveryState::Stopped, shared.clock.millis());
        Stopped {
            pending: shared.account.balance().pending,
        }
    }

    /// Runs one engine on a runtime of its own.
    fn run_engine(self, after_panic: bool) -> (Self, EngineEnd) {
        let Ok(runtime) = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
        else {
            return (self, EngineEnd::Panicked);
        };
        let now = self.parts.shared.clock.millis();
        let Ok(queue) = catch_unwind(AssertUnwindSafe(|| Queue::open(&self.queue, now))) else {
            return (self, EngineEnd::Panicked);
        };
        // The engine is a task beside the senders' tasks, not the root future: when a task wakes another
        // task, the runtime does not look at the system's events in between.
        let engine = runtime.block_on(async { spawn_local(self.drive(queue, after_panic)).await });
        // Does not wait for a name lookup that is under way.
        runtime.shutdown_background();
        let (supervisor, queue, ended) = match engine {
            Ok(ended) => ended,
            // The task catches the engine's panics. This one is of the few lines around it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        // Even after a panic the last ends are written down, unless the queue itself panicked.
        if let Ok(closed) = catch_unwind(AssertUnwindSafe(|| queue.close()))
            && ended == EngineEnd::Stopped
        {
            report_lost(&closed);
        }
        (supervisor, ended)
    }

    /// Drives an engine to its end. The engine borrows carry-over, queue and commands, so they are still
    /// there if it panics.
    async fn drive(mut self, mut queue: Queue, after_panic: bool) -> (Self, Queue, EngineEnd) {
        let ended = {
            let engine = Engine::new(self.parts.clone(), &mut self.carry, &mut queue);
            let mut run = pin!(engine.run(after_panic, &mut self.commands));
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(())) => Poll::Ready(EngineEnd::Stopped),
                    Err(_) => Poll::Ready(EngineEnd::Panicked),
                },
            )
            .await
        };
        (self, queue, ended)
    }

    /// Rests, and obeys commands meanwhile. True if one of them is to stop.
    fn is_told_to_stop_within(&mut self, rest: Duration) -> bool {
        let Ok(runtime) = Builder::new_current_thread().enable_time().build() else {
            std::thread::sleep(rest);
            return false;
        };
        let until = Instant::now() + rest;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let received = runtime.block_on(async { timeout(left, self.commands.recv()).await });
            match received {
                Err(_) => return false,
                Ok(Some(Command::Reload(rules))) => self.carry.rules = *rules,
                // Its source learns from the lost answer that it has to ask again.
                Ok(Some(Command::Feed(request))) => drop(request),
                Ok(None | Some(_)) => return true,
            }
        }
    }
}

/// Says what the next process will not find.
fn report_lost(closed: &Closed) {
    let gone: u64 = closed.gone.iter().map(|gone| gone.records).sum();
    let events = closed.lost + gone;
    if events == 0 {
        return;
    }
    let Closed { alarm, .. } = closed;
    if let Some(alarm) = alarm {
        tracing::error!(
            events,
            "queue: {alarm}; the events that were in memory alone are lost"
        );
    } else if closed.lost > 0 {
        tracing::warn!(events, "the queue is in memory: the events that waited are lost");
    } else {
        tracing::error!(events, "queue: full or damaged, events are lost");
    }
}
