//! The delivery thread's loop. All state belongs to this thread, so nothing here is locked.
//!
//! A pass settles the attempts that ended (`settle`), takes in what was offered (`take_in`), looks after the
//! queue (`upkeep`), and writes the ends down. Only then does it start further attempts (`dispatch`):
//! whatever kills the process, no more events are sent twice than were in flight. Between passes the engine
//! waits (`wait`).

mod dispatch;
mod fed;
mod hold;
mod recovery;
mod settle;
mod state;
mod streamed;
mod take_in;
mod tries;
mod trouble;
mod upkeep;
mod wait;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc::UnboundedReceiver, time::timeout_at};

use crate::delivery::{status::DeliveryState, streamed::Streamed};

pub(super) use state::{CarryOver, Command, Engine, EngineParts};
use wait::LONGEST_STOP;

/// How long a stop goes on sending what is left.
const LAST_SENDS: Duration = Duration::from_secs(1);
/// How long a gateway's stop waits until the stream's servers know of the last ends.
const LAST_ACKS: Duration = Duration::from_secs(1);

impl Engine<'_> {
    /// Works until it is told to stop. `after_panic`: an engine before this one panicked.
    pub(super) async fn run(mut self, after_panic: bool, commands: &mut UnboundedReceiver<Command>) {
        self.recover(!after_panic);
        loop {
            self.pass(true);
            match self.wait(commands).await {
                None => {}
                Some(Command::Reload(rules)) => self.carry.rules = *rules,
                Some(Command::Feed(request)) => self.answer(request),
                Some(Command::Stop { deadline }) => return self.stop(deadline).await,
                #[cfg(test)]
                Some(Command::Panic) => panic!("a test asked for it"),
            }
        }
    }

    fn pass(&mut self, send: bool) {
        let instant = Instant::now();
        let now = self.shared.clock.millis_at(instant);
        self.hurry = false;
        self.settle(instant, now);
        self.take_in(instant, now);
        self.take_in_streamed();
        self.decide_due(now);
        self.look_after(instant, now);
        if std::mem::take(&mut self.unflushed_ends) {
            self.queue.flush();
        }
        if send {
            self.dispatch(instant, now);
        }
        self.publish();
        debug_assert_eq!(
            (self.lanes.len() + self.carry.intake.waiting()) as u64,
            self.carry.pending(),
            "every event ends once"
        );
    }

    /// Takes in everything that was offered, goes on sending for a moment if Plausible accepts events, and
    /// waits for what is in flight. The rest stays in the queue, or goes back to the stream at once.
    async fn stop(&mut self, deadline: Instant) {
        let begun = Instant::now();
        let is_gateway = self.carry.streamed.is_some();
        let deadline = if is_gateway {
            deadline
        } else {
            deadline.min(begun + LONGEST_STOP)
        };
        if let Some(streamed) = &self.carry.streamed {
            streamed.leave();
        }
        self.take_in_all();
        loop {
            let now = Instant::now();
            let may_send = !is_gateway && self.breaker.is_passing();
            let send = may_send && now < begun + LAST_SENDS && now < deadline;
            self.pass(send);
            self.hand_over(true);
            let busy = self.senders.in_flight() > 0 || self.hurry || send && self.lanes.ready();
            if !busy || now >= deadline {
                break;
            }
            let next = if send || self.hurry {
                self.next_pass().min(deadline)
            } else {
                deadline
            };
            tokio::select! {
                biased;
                () = self.finished.reach(1) => self.gather().await,
                () = self.timer.at(next) => {}
            }
        }
        self.queue.flush();
        self.publish();
        if let Some(streamed) = &mut self.carry.streamed {
            // What is still on its way: its answer is not waited for.
            streamed.forget();
            // Events of which the servers don't hear come twice.
            let _ = timeout_at((Instant::now() + LAST_ACKS).into(), streamed.left()).await;
        }
    }

    /// Shows the status and the metrics how things stand.
    fn publish(&mut self) {
        self.beat();
        self.publish_held();
        let shared = &self.shared;
        let holdings = &shared.holdings;
        shared
            .in_flight
            .store(self.senders.in_flight(), Ordering::Relaxed);
        let streamed = self.carry.streamed.as_ref().map_or(0, Streamed::bytes);
        holdings
            .bytes
            .store(self.queue.bytes() + streamed, Ordering::Relaxed);
        let oldest = self.lanes.oldest().unwrap_or(0);
        holdings.oldest.store(oldest, Ordering::Relaxed);
        let failing = self.health.failing.as_ref();
        let state = match DeliveryState::from(self.breaker.phase()) {
            DeliveryState::Passing if failing.is_some() => DeliveryState::Failing,
            state => state,
        };
        let since = failing.map_or(self.health.well_since, |failing| failing.at);
        if self.published != Some((state, since)) {
            self.published = Some((state, since));
            shared.set_state(state, since);
        }
    }
}
