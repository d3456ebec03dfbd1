//! Looks after the queue, and ends events that are too late.

use std::time::{Duration, Instant};

use super::state::{ENDS_PER_PASS, Engine};
use crate::{
    delivery::account::EventEnd,
    queue::Why,
    telemetry::{TroubleKind, TroubleWords},
};

/// How often late events are looked for.
const SWEEP: Duration = Duration::from_secs(1);

impl Engine<'_> {
    /// Ticks the queue and looks for late events, if it is time.
    pub(super) fn look_after(&mut self, instant: Instant, now: u64) {
        if self.unflushed_ends {
            self.schedule.queue_used(instant);
        }
        self.drop_gone(instant);
        if self.schedule.sweeping {
            self.sweep(now);
        }
        if instant < self.schedule.due(self.lanes.len() > 0) {
            return;
        }
        self.schedule.ticked = instant;
        self.queue.tick(now);
        self.drop_gone(instant);
        self.hand_over(false);
        if self.queue.needs_recovery() {
            self.recover(true);
        }
        if instant.saturating_duration_since(self.schedule.swept) >= SWEEP {
            self.schedule.swept = instant;
            self.sweep(now);
        }
        self.senders.close_idle(instant);
        self.report_alarm();
        self.report_filling();
        self.report_overflow(instant);
        self.report_silence(now);
    }

    /// Ends events older than `max_age`, also while nothing can be sent.
    fn sweep(&mut self, now: u64) {
        let max_age = self.max_age;
        let (queue, tries) = (&mut *self.queue, &mut self.tries);
        let streamed = &mut self.carry.streamed;
        let mut expired = 0;
        let more = self.lanes.sweep(
            ENDS_PER_PASS,
            |event| now.saturating_sub(event.at) > max_age,
            |ticket, event| {
                queue.finish(event.position);
                tries.remove(&ticket);
                if let Some(streamed) = streamed {
                    streamed.finish(ticket);
                }
                expired += 1;
            },
        );
        if expired > 0 {
            self.count_ended(EventEnd::Expired, expired);
        }
        self.schedule.sweeping = more;
        self.hurry |= more;
    }

    /// Ends the events that the queue has evicted or let expire.
    fn drop_gone(&mut self, instant: Instant) {
        while let Some(gone) = self.queue.next_gone() {
            let (queue, tries) = (&mut *self.queue, &mut self.tries);
            let mut events = 0;
            self.lanes.drop_all(
                |event| gone.contains(event.position),
                |ticket, event| {
                    tries.remove(&ticket);
                    queue.finish(event.position);
                    events += 1;
                },
            );
            let end = match gone.why {
                Why::Evicted => EventEnd::Evicted,
                Why::Expired => EventEnd::Expired,
                Why::Damaged => EventEnd::Corrupt,
            };
            self.count_ended(end, events);
            if gone.why == Why::Damaged {
                // Those of them that are in flight, or behind such ones, may yet be delivered.
                let events = gone.records;
                tracing::error!(events, "queue: somebody changed its files, and events are lost");
            }
            if gone.why == Why::Evicted
                && let Some(events) = self.log.evicted.pass(instant, events)
            {
                tracing::error!(events, "queue: full, the oldest events went");
            }
        }
    }

    /// Says what is wrong with the queue's disk, and when it is in order again.
    fn report_alarm(&mut self) {
        while let Some(note) = self.queue.next_note() {
            tracing::warn!("queue: {note}");
        }
        let alarm = self.queue.alarm();
        if self.schedule.alarm.as_deref() != alarm {
            self.shared.set_alarm(alarm);
            self.schedule.alarm = alarm.map(str::to_owned);
        }
        let (kind, troubles) = (TroubleKind::QueueStorage, &self.shared.troubles);
        match alarm {
            Some(alarm) => {
                let words = TroubleWords {
                    what: format!("queue: {alarm}"),
                    error: None,
                    cure: "see to the directory of [queue] path and its disk; events are durable again soon after"
                        .to_owned(),
                };
                troubles.keep_only(kind, self.queue.alarm_kind());
                troubles.begin(kind, self.queue.alarm_kind(), words);
            }
            None => troubles.end_all(kind, "queue: in order again"),
        }
    }

    fn report_overflow(&mut self, instant: Instant) {
        let overflow = self.shared.account.balance().finished[EventEnd::Overflow as usize];
        let more = overflow - self.schedule.overflow;
        self.schedule.overflow = overflow;
        if let Some(events) = self.log.overflow.pass(instant, more) {
            tracing::error!(
                events,
                "events were offered faster than they could be taken in, and are lost"
            );
        }
    }
}
