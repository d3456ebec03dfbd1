//! Waits for the next pass.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc::UnboundedReceiver, task::yield_now};

use super::state::{CarryOver, Command, Engine};

/// The longest that a stop waits for what is in flight.
pub(super) const LONGEST_STOP: Duration = Duration::from_secs(2);
/// How long the end of one attempt waits for the ends of others.
const GATHER: Duration = Duration::from_millis(1);

impl Engine<'_> {
    /// Waits until there is something to do, or for a command. A dropped handle counts as a stop.
    pub(super) async fn wait(&mut self, commands: &mut UnboundedReceiver<Command>) -> Option<Command> {
        if self.hurry {
            // Many passes follow each other: the senders get their turn between two of them.
            yield_now().await;
        }
        let until = self.next_pass();
        let CarryOver { intake, streamed, .. } = &mut *self.carry;
        let arrival = async {
            match streamed {
                Some(streamed) => streamed.arrival().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = commands.recv() => {
                let deadline = Instant::now() + LONGEST_STOP;
                return Some(command.unwrap_or(Command::Stop { deadline }));
            }
            () = intake.signalled() => {}
            () = self.finished.reach(1) => {}
            () = arrival => {}
            () = self.timer.at(until) => {}
        }
        self.gather().await;
        None
    }

    /// After one attempt has ended, waits a moment for the others, so that their ends are written down together: a
    /// write is a call to another thread, which costs more than the event. With a Plausible 50 ms away this costs a
    /// fiftieth of the throughput; with a near one it saves a good part of the CPU.
    pub(super) async fn gather(&mut self) {
        if self.finished.is_empty() {
            return;
        }
        let all = self.senders.in_flight();
        let limit = Instant::now() + GATHER;
        // All of them or the limit, whichever comes first.
        let _ = self.gather_timer.within(limit, self.finished.reach(all)).await;
    }

    /// When there will be something to do, if nothing happens before.
    pub(super) fn next_pass(&mut self) -> Instant {
        let mut next = self.schedule.due(self.lanes.len() > 0);
        if self.hurry {
            return Instant::now();
        }
        if let Some(round) = self.carry.intake.due() {
            next = next.min(round);
        }
        if let Some(due) = self.loads.next_due() {
            next = next.min(self.shared.clock.instant(due));
        }
        next.min(self.next_send().unwrap_or(next))
    }

    /// When an attempt can start, if that depends on time alone.
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
        if !self.breaker.is_passing() {
            return None;
        }
        if self.senders.is_busy() {
            // Events that wait may get the place of a slow one.
            return self.lanes.ready().then(|| self.senders.gives_up_at()).flatten();
        }
        if event > 0 {
            return Some(clock.instant(event));
        }
        self.senders.grows_at()
    }
}
