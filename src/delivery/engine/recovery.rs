//! Takes over the events that an earlier process left in the queue, or an engine that panicked.

use std::collections::VecDeque;

use super::{
    hold::{RECOVERED, RecoveredHold},
    state::Engine,
};
use crate::{
    delivery::{
        account::{EventEnd, Source},
        lanes::PendingEvent,
    },
    queue::Recovered,
};

impl Engine<'_> {
    /// Takes over the queue's events. `anew`: the account does not know them, because an earlier process left
    /// them.
    pub(super) fn recover(&mut self, anew: bool) {
        let now = self.shared.clock.millis();
        if !anew {
            self.resume_reports();
        }
        let mut by_source = [0; Source::ALL.len()];
        let mut too_many = Vec::new();
        let mut newest_placed = None;
        let mut with_hold = VecDeque::new();
        let lanes = &mut self.lanes;
        let recovered = self.queue.recover(now, &mut |pending| {
            by_source[Source::of_tag(pending.tag) as usize] += 1;
            if Source::is_placed(pending.tag) {
                newest_placed = Some(pending.position);
            }
            let event = PendingEvent {
                position: pending.position,
                visitor: pending.key,
                at: pending.at,
            };
            let Some(ticket) = lanes.push(event) else {
                too_many.push(pending.position);
                return;
            };
            if Source::has_hold(pending.tag) {
                if with_hold.len() == RECOVERED {
                    with_hold.pop_front();
                }
                with_hold.push_back(RecoveredHold {
                    ticket,
                    position: pending.position,
                    visitor: pending.key,
                    at: pending.at,
                });
            }
        });
        self.newest_placed = newest_placed.max(self.newest_placed);
        // The queue reports no source for these.
        by_source[Source::Page as usize] += recovered.corrupt + recovered.evicted + recovered.expired;
        if anew {
            self.adopt(by_source);
        } else {
            self.reconcile(by_source.iter().sum());
        }
        self.count_ended(EventEnd::Corrupt, recovered.corrupt);
        self.count_ended(EventEnd::Evicted, recovered.evicted);
        self.count_ended(EventEnd::Expired, recovered.expired);
        self.count_ended(EventEnd::Overflow, too_many.len() as u64);
        for position in too_many {
            self.queue.finish(position);
        }
        self.hold_recovered(with_hold, now);
        log_recovered(&recovered);
    }

    /// Continues the reports of the engine that panicked: an alarm that is over does not stay, and no
    /// overflow is reported twice.
    fn resume_reports(&mut self) {
        self.shared.set_alarm(self.queue.alarm());
        self.schedule.alarm = self.queue.alarm().map(str::to_owned);
        self.forget_troubles();
        self.schedule.overflow = self.shared.account.balance().finished[EventEnd::Overflow as usize];
    }

    fn adopt(&mut self, by_source: [u64; Source::ALL.len()]) {
        for source in Source::ALL {
            let events = by_source[source as usize];
            self.shared.account.offered(source, events);
            self.carry.adopt(events);
        }
    }

    /// Brings the account into line with the queue after a panic. Events missing from the queue are lost.
    /// Events that had ended and are still in the queue will end again.
    fn reconcile(&mut self, found: u64) {
        let expected = self.carry.pending();
        if found > expected {
            self.shared.account.offered(Source::Page, found - expected);
            self.carry.adopt(found - expected);
        } else {
            // What came from the stream is there still, for whichever gateway it is given to.
            let end = match self.carry.streamed {
                Some(_) => EventEnd::HandedOver,
                None => EventEnd::Overflow,
            };
            self.count_ended(end, expected - found);
        }
    }
}

fn log_recovered(recovered: &Recovered) {
    for note in &recovered.notes {
        tracing::warn!("queue: {note}");
    }
    let (corrupt, evicted, expired) = (recovered.corrupt, recovered.evicted, recovered.expired);
    if corrupt + evicted > 0 {
        tracing::error!(corrupt, evicted, "queue: events of an earlier run are lost");
    }
    if recovered.pending + expired > 0 {
        tracing::info!(
            events = recovered.pending,
            expired,
            "queue: events of an earlier run were found"
        );
    }
}
