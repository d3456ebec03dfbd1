//! When there is something to do: the waiting between passes, and the last passes before a stop.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc::UnboundedReceiver, task::yield_now};

use super::{Command, Engine};

/// How long a stop waits for what is in flight, at the most, and for how long it sends what is left.
const STOP: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(1));

/// How long the end of an attempt waits for the ends of others.
const GATHER: Duration = Duration::from_millis(1);

impl Engine {
    /// Waits until there is something to do, or a command.
    pub(super) async fn wait(&mut self, commands: &mut UnboundedReceiver<Command>) -> Option<Command> {
        if self.hurry {
            // The senders' turn, between two of many passes.
            yield_now().await;
        }
        let until = self.next_time();
        tokio::select! {
            biased;
            command = commands.recv() => {
                // Whoever drops the handle wants an end too.
                return Some(command.unwrap_or(Command::Stop { deadline: Instant::now() + STOP.0 }));
            }
            () = self.kept.intake.signalled() => {}
            () = self.letterbox.holds(1) => {}
            () = self.timer.at(until) => {}
        }
        self.gather().await;
        None
    }

    /// Where one attempt has ended, others are about to: gives them a moment, so that their ends are written down
    /// together. For a Plausible 50 ms away that is a fiftieth of its throughput, for a near one a good part of the cost.
    async fn gather(&mut self) {
        if self.letterbox.is_empty() {
            return;
        }
        let half = self.senders.in_flight().div_ceil(2);
        let limit = Instant::now() + GATHER;
        // Whichever comes first.
        let _ = self.moment.within(limit, self.letterbox.holds(half)).await;
    }

    /// When there will be something to do, without anything happening before.
    fn next_time(&mut self) -> Instant {
        let mut next = self.timing.due();
        if self.hurry {
            return Instant::now();
        }
        if let Some(round) = self.kept.intake.due() {
            next = next.min(round);
        }
        next.min(self.next_send().unwrap_or(next))
    }

    /// When an attempt can start, if that is a matter of time alone.
    fn next_send(&mut self) -> Option<Instant> {
        let clock = self.shared.clock;
        let event = if self.lanes.ready() {
            0
        } else {
            self.lanes.next_due()?
        };
        if let Some(until) = self.breaker.until() {
            return Some(clock.instant(event.max(until)));
        }
        if !self.breaker.is_passing() || self.senders.is_busy() {
            return None;
        }
        if event > 0 {
            return Some(clock.instant(event));
        }
        self.senders.grows_at()
    }

    /// Takes in everything that was offered, goes on sending for a moment if Plausible takes it, and waits for what is
    /// in flight. What is left stays in the queue.
    pub(super) async fn stop(&mut self, deadline: Instant) {
        let begun = Instant::now();
        let deadline = deadline.min(begun + STOP.0);
        self.take_in_all();
        loop {
            let now = Instant::now();
            let send = now < begun + STOP.1 && now < deadline && self.breaker.is_passing();
            self.pass(send);
            let busy = self.senders.in_flight() > 0 || self.hurry || send && self.lanes.ready();
            if !busy || now >= deadline {
                break;
            }
            let next = if send || self.hurry {
                self.next_time().min(deadline)
            } else {
                deadline
            };
            tokio::select! {
                biased;
                () = self.letterbox.holds(1) => self.gather().await,
                () = self.timer.at(next) => {}
            }
        }
        self.queue.flush();
        self.publish();
    }
}
