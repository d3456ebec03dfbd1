//! The stream's servers, as far as gateways see them: a work queue with a consumer for each partition that
//! delivers to one pinned client, and delivers again what was not acknowledged in time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{ACK_WAIT, Doubt, Happening, World};

/// A pin that its client does not renew lapses after this long.
const PIN: u64 = 5_000;
/// Clients renew their requests so often.
pub(super) const PULL: u64 = 3_000;
/// What a leader delivered so shortly before its end, the next one does not know of.
const UNKNOWN_TO_THE_NEXT: u64 = 10;

/// One partition's consumer.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// Messages that were never delivered.
    fresh: VecDeque<u64>,
    out: BTreeMap<u64, Out>,
    /// Those of them that are delivered next.
    again: BTreeSet<u64>,
    /// The gateway, and the pin's number.
    pin: Option<(usize, u64)>,
    /// There is no leader before.
    down_until: u64,
    /// When it is looked for messages whose time is up.
    timer: Option<u64>,
    /// When the last message reaches its client: one connection keeps the order.
    last: u64,
}

#[derive(Debug)]
struct Out {
    deadline: u64,
    delivered: u64,
    times: u32,
}

impl World<'_> {
    /// A sidecar's message. False if nobody is there to take it.
    pub(super) fn store(&mut self, event: u32) -> bool {
        if self.now < self.stream_down_until {
            return false;
        }
        let trace = &mut self.traces[event as usize];
        // Two hours of remembered ids are longer than any restart here.
        if trace.stored == 0 {
            trace.stored = self.now as u32;
            let partition = self.partition_of(event);
            self.stored.push(event);
            let sequence = self.stored.len() as u64 - 1;
            self.consumers[partition].fresh.push_back(sequence);
            self.deliver(partition);
        }
        true
    }

    pub(super) fn deliver(&mut self, partition: usize) {
        let limit = self.settings.out_at_once();
        loop {
            let consumer = &self.consumers[partition];
            if self.now < consumer.down_until {
                return;
            }
            let room = consumer.out.len() < limit && !consumer.fresh.is_empty();
            if !room && consumer.again.is_empty() {
                return;
            }
            let Some((gateway, pin)) = consumer.pin.or_else(|| self.choose(partition)) else {
                return;
            };
            if !self.gateways[gateway].is_asking(partition, self.now) {
                return;
            }
            let consumer = &mut self.consumers[partition];
            consumer.pin = Some((gateway, pin));
            let next = consumer.again.pop_first();
            let Some(sequence) = next.or_else(|| consumer.fresh.pop_front()) else {
                return;
            };
            let out = consumer.out.entry(sequence).or_insert(Out {
                deadline: 0,
                delivered: 0,
                times: 0,
            });
            out.times += 1;
            out.delivered = self.now;
            out.deadline = self.now + ACK_WAIT;
            let again = out.times > 1;
            let comes = (self.now + self.chance.between(1, 3)).max(consumer.last);
            consumer.last = comes;
            if consumer.timer.is_none() {
                let at = self.now + ACK_WAIT;
                consumer.timer = Some(at);
                self.at(at, Happening::Overdue(partition));
            }
            let happening = Happening::Message {
                gateway,
                life: self.gateways[gateway].life,
                partition,
                sequence,
                pin,
                again,
            };
            self.at(comes, happening);
            self.report.redelivered += u64::from(again);
        }
    }

    /// The client that is pinned next: one of those that ask, by chance.
    fn choose(&mut self, partition: usize) -> Option<(usize, u64)> {
        let asking = |gateway: &usize| self.gateways[*gateway].is_asking(partition, self.now);
        let asking: Vec<usize> = (0..self.gateways.len()).filter(asking).collect();
        if asking.is_empty() {
            return None;
        }
        self.pins += 1;
        self.report.pins += 1;
        Some((asking[self.chance.one_of(asking.len())], self.pins))
    }

    /// Messages whose time is up are delivered again.
    pub(super) fn overdue(&mut self, partition: usize) {
        let now = self.now;
        let consumer = &mut self.consumers[partition];
        for (sequence, out) in &mut consumer.out {
            if out.deadline <= now {
                out.deadline = now + ACK_WAIT;
                consumer.again.insert(*sequence);
            }
        }
        let next = consumer.out.values().map(|out| out.deadline).min();
        consumer.timer = next;
        if let Some(next) = next {
            self.at(next, Happening::Overdue(partition));
        }
        self.deliver(partition);
    }

    /// The gateway's word about a message, if it arrives.
    pub(super) fn hear_of(&mut self, partition: usize, sequence: u64, word: Word) -> bool {
        let now = self.now;
        let consumer = &mut self.consumers[partition];
        if now < consumer.down_until {
            return false;
        }
        match word {
            Word::Over => {
                if consumer.out.remove(&sequence).is_none() {
                    // A leader that did not know that it was delivered.
                    consumer.fresh.retain(|fresh| *fresh != sequence);
                }
                consumer.again.remove(&sequence);
                self.deliver(partition);
            }
            Word::Returned => {
                if consumer.out.contains_key(&sequence) {
                    consumer.again.insert(sequence);
                    self.deliver(partition);
                }
            }
            Word::Working => {
                if let Some(out) = consumer.out.get_mut(&sequence) {
                    out.deadline = now + ACK_WAIT;
                }
            }
        }
        true
    }

    /// The pin's number, how many messages are out, and how many of these were delivered more than once.
    pub(super) fn standing(&self, partition: usize) -> Option<(Option<u64>, usize, usize)> {
        let consumer = &self.consumers[partition];
        let again = consumer.out.values().filter(|out| out.times > 1).count();
        let pin = consumer.pin.map(|(_, pin)| pin);
        (self.now >= consumer.down_until).then_some((pin, consumer.out.len(), again))
    }

    /// A gateway gives its pin back.
    pub(super) fn unpin(&mut self, partition: usize, gateway: usize) {
        let consumer = &mut self.consumers[partition];
        if self.now >= consumer.down_until && consumer.pin.is_some_and(|(pinned, _)| pinned == gateway) {
            consumer.pin = None;
            self.deliver(partition);
        }
    }

    /// A gateway has stopped asking: its pins lapse, unless it asks again before.
    pub(super) fn stops_asking(&mut self, gateway: usize) {
        let ago = self.chance.between(0, PULL);
        let lapses = self.now + PIN - ago.min(PIN);
        for partition in 0..self.consumers.len() {
            if let Some((pinned, pin)) = self.consumers[partition].pin
                && pinned == gateway
            {
                self.at(lapses, Happening::PinLapses { partition, pin });
            }
        }
        self.gateways[gateway].asks_until = self.now + PULL - ago;
    }

    pub(super) fn pin_lapses(&mut self, partition: usize, pin: u64) {
        let Some((gateway, current)) = self.consumers[partition].pin else {
            return;
        };
        if current == pin && !self.gateways[gateway].asks_itself(partition, self.now) {
            self.consumers[partition].pin = None;
            self.deliver(partition);
        }
    }

    /// A consumer's leader has gone; another one is there after a while.
    pub(super) fn change_leader(&mut self, partition: usize, lasts: u64) {
        let until = self.now + lasts;
        let consumer = &mut self.consumers[partition];
        consumer.pin = None;
        consumer.down_until = consumer.down_until.max(until);
        let unknown = |out: &Out| out.times == 1 && out.delivered + UNKNOWN_TO_THE_NEXT > self.now;
        let forgotten: Vec<u64> = consumer
            .out
            .iter()
            .filter(|(_, out)| unknown(out))
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in forgotten.into_iter().rev() {
            consumer.out.remove(&sequence);
            consumer.fresh.push_front(sequence);
            self.traces[self.stored[sequence as usize] as usize].doubt(Doubt::Servers);
        }
        self.at(until, Happening::LeaderIsThere(partition));
    }

    /// How many messages no gateway has acknowledged.
    pub(super) fn left(&self) -> usize {
        let left = |consumer: &Consumer| consumer.fresh.len() + consumer.out.len();
        self.consumers.iter().map(left).sum()
    }
}

/// What a gateway says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Working,
    Over,
    Returned,
}
