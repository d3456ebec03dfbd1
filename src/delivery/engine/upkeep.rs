//! Taking in, recovering, and looking after the queue.

use std::time::{Duration, Instant};

use super::{ENDS_PER_PASS, Engine};
use crate::{
    delivery::{
        account::{End, Source},
        compose,
        lanes::Facts,
    },
    queue::{Recovered, Why},
};

/// How often the queue is looked after while it has something to do, and while it has not.
const TICK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long after the last event the queue may still have something to write.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How often late events are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// When to look after what.
#[derive(Debug)]
pub(super) struct Timing {
    ticked: Instant,
    busy_until: Instant,
    swept: Instant,
    /// The last sweep left some.
    sweeping: bool,
    overflow: u64,
    alarm: Option<String>,
}

impl Timing {
    pub(super) fn new(now: Instant) -> Self {
        Timing {
            ticked: now,
            busy_until: now + AFTERMATH,
            swept: now,
            sweeping: false,
            overflow: 0,
            alarm: None,
        }
    }

    pub(super) fn due(&self) -> Instant {
        let busy = self.alarm.is_some() || self.ticked < self.busy_until;
        self.ticked + if busy { TICK.0 } else { TICK.1 }
    }
}

impl Engine {
    /// Takes what earlier processes left, or an engine before this one. `anew`: those events are not in the account.
    pub(super) fn recover(&mut self, anew: bool) {
        let now = self.shared.clock.millis();
        if !anew {
            self.look_back();
        }
        let mut by_source = [0; Source::ALL.len()];
        let mut too_many = Vec::new();
        let lanes = &mut self.lanes;
        let recovered = self.queue.recover(now, &mut |pending| {
            by_source[Source::of_tag(pending.tag) as usize] += 1;
            let facts = Facts {
                position: pending.position,
                visitor: pending.key,
                at: pending.at,
            };
            if !lanes.push(facts) {
                too_many.push(pending.position);
            }
        });
        let unreported = recovered.corrupt + recovered.evicted + recovered.expired;
        by_source[Source::Page as usize] += unreported;
        if anew {
            self.adopt(by_source);
        } else {
            self.reconcile(by_source.iter().sum());
        }
        self.ended(End::Corrupt, recovered.corrupt);
        self.ended(End::Evicted, recovered.evicted);
        self.ended(End::Expired, recovered.expired);
        self.ended(End::Overflow, too_many.len() as u64);
        for position in too_many {
            self.queue.finish(position);
        }
        report(&recovered);
    }

    /// Takes up what was told by the engine that panicked, so that nothing of it stands for ever or is told again.
    fn look_back(&mut self) {
        self.shared.set_alarm(self.queue.alarm());
        self.timing.alarm = self.queue.alarm().map(str::to_owned);
        self.timing.overflow = self.shared.account.balance().finished[End::Overflow as usize];
    }

    fn adopt(&mut self, by_source: [u64; Source::ALL.len()]) {
        for source in Source::ALL {
            let events = by_source[source as usize];
            self.shared.account.offered(source, events);
            self.kept.adopted += events;
        }
    }

    /// Brings the account into line with what a panic left: what is not there any more is lost, and what is there
    /// though it had ended will end again.
    fn reconcile(&mut self, found: u64) {
        let expected = self.kept.pending();
        if found > expected {
            self.shared.account.offered(Source::Page, found - expected);
            self.kept.adopted += found - expected;
        } else {
            self.ended(End::Overflow, expected - found);
        }
    }

    /// Takes in what was offered, if it is time.
    pub(super) fn take_in(&mut self, instant: Instant, now: u64) {
        let (kept, batch) = (&mut *self.kept, &mut self.batch);
        let (intake, rules) = (&mut kept.intake, &kept.rules);
        let mut failed = 0;
        intake.round(instant, &mut |source, sighting| {
            failed += u64::from(compose::add(batch, rules, source, sighting).is_err());
        });
        self.store(failed, instant, now);
    }

    /// Takes in everything, at a stop.
    pub(super) fn take_in_all(&mut self) {
        let (kept, batch) = (&mut *self.kept, &mut self.batch);
        let (intake, rules) = (&mut kept.intake, &kept.rules);
        let mut failed = 0;
        intake.last_round(&mut |source, sighting| {
            failed += u64::from(compose::add(batch, rules, source, sighting).is_err());
        });
        let instant = Instant::now();
        self.store(failed, instant, self.shared.clock.millis_at(instant));
    }

    /// Puts the batch into the queue and the lanes.
    fn store(&mut self, failed: u64, instant: Instant, now: u64) {
        if failed > 0 {
            self.ended(End::Rejected, failed);
            if let Some(events) = self.log.broken_events.pass(instant, failed) {
                tracing::error!(events, "events could not be made: a fault of gatecount's own");
            }
        }
        if self.batch.is_empty() {
            return;
        }
        self.timing.busy_until = instant + AFTERMATH;
        let lanes = &mut self.lanes;
        let mut no_room = 0;
        let mut too_many = Vec::new();
        self.queue.append(&mut self.batch, now, &mut |stored| {
            let Some(position) = stored.position else {
                no_room += 1;
                return;
            };
            let facts = Facts {
                position,
                visitor: stored.key,
                at: stored.at,
            };
            if !lanes.push(facts) {
                too_many.push(position);
            }
        });
        if no_room + too_many.len() > 0 {
            self.ended(End::Overflow, (no_room + too_many.len()) as u64);
        }
        for position in too_many {
            self.queue.finish(position);
        }
    }

    /// Looks after the queue and for late events, if it is time.
    pub(super) fn look_after(&mut self, instant: Instant, now: u64) {
        if self.ends {
            self.timing.busy_until = instant + AFTERMATH;
        }
        self.drop_gone(instant);
        if self.timing.sweeping {
            self.sweep(now);
        }
        if instant < self.timing.due() {
            return;
        }
        self.timing.ticked = instant;
        self.queue.tick(now);
        self.drop_gone(instant);
        if self.queue.needs_recovery() {
            self.recover(true);
        }
        if instant.saturating_duration_since(self.timing.swept) >= SWEEP {
            self.timing.swept = instant;
            self.sweep(now);
        }
        self.senders.close_idle(instant);
        self.tell_alarm();
        self.tell_overflow(instant);
    }

    /// Ends what is too late to be sent, whether or not anything can be sent.
    fn sweep(&mut self, now: u64) {
        let max_age = self.max_age;
        let (queue, tries) = (&mut *self.queue, &mut self.tries);
        let mut expired = 0;
        let more = self.lanes.sweep(
            ENDS_PER_PASS,
            |facts| now.saturating_sub(facts.at) > max_age,
            |ticket, facts| {
                queue.finish(facts.position);
                tries.remove(&ticket);
                expired += 1;
            },
        );
        if expired > 0 {
            self.ended(End::Expired, expired);
        }
        self.timing.sweeping = more;
        self.hurry |= more;
    }

    /// Ends what the queue has let go.
    fn drop_gone(&mut self, instant: Instant) {
        while let Some(gone) = self.queue.next_gone() {
            let tries = &mut self.tries;
            let mut events = 0;
            self.lanes.drop_all(
                |facts| (gone.from..gone.below).contains(&facts.position),
                |ticket, _| {
                    tries.remove(&ticket);
                    events += 1;
                },
            );
            let end = match gone.why {
                Why::Evicted => End::Evicted,
                Why::Expired => End::Expired,
            };
            self.ended(end, events);
            if gone.why == Why::Evicted
                && let Some(events) = self.log.gone.pass(instant, events)
            {
                tracing::error!(events, "queue: full, the oldest events went");
            }
        }
    }

    fn tell_alarm(&mut self) {
        let alarm = self.queue.alarm();
        if self.timing.alarm.as_deref() == alarm {
            return;
        }
        if let Some(alarm) = alarm {
            tracing::error!("queue: {alarm}");
        } else {
            tracing::info!("queue: in order again");
        }
        self.shared.set_alarm(alarm);
        self.timing.alarm = alarm.map(str::to_owned);
    }

    fn tell_overflow(&mut self, instant: Instant) {
        let overflow = self.shared.account.balance().finished[End::Overflow as usize];
        let more = overflow - self.timing.overflow;
        self.timing.overflow = overflow;
        if let Some(events) = self.log.overflow.pass(instant, more) {
            tracing::error!(
                events,
                "events were offered faster than they could be taken in, and are lost"
            );
        }
    }
}

fn report(recovered: &Recovered) {
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
