//! A gateway's sending: the real lanes, and around them what delivery's engine does with them.

use std::time::Duration;

use gatecount::{
    delivery::{Backoff, PendingEvent, Ticket},
    queue::Position,
    stream::{DeliveryEnd, MessageSign},
};

use super::{
    Doubt, Happening, World,
    gateways::Handed,
    plausible::{Attempt, Fate},
    servers::Word,
};

/// `[plausible] concurrency`.
const AT_ONCE: usize = 64;
/// How long an event waits whose lease has run out.
const RAN_OUT: u64 = 250;

impl World<'_> {
    /// Hands over what is due.
    pub(super) fn hand_over(&mut self, gateway: usize, partition: usize) {
        let now = self.now;
        let taker = &mut self.gateways[gateway];
        while let Some((event, lease)) = taker.partitions[partition].ownership.take(now) {
            let number = self.stored[event.sequence as usize];
            let trace = &mut self.traces[number as usize];
            if trace.counted == 0 {
                trace.taken = now as u32;
            }
            let pending = PendingEvent {
                position: Position::new(0, number),
                visitor: event.visitor,
                at: event.at,
            };
            let ticket = taker.lanes.push(pending).expect("there is room");
            let handed = Handed {
                partition,
                sequence: event.sequence,
                lease,
            };
            taker.handed.insert(ticket, handed);
        }
        self.dispatch(gateway);
    }

    pub(super) fn dispatch(&mut self, gateway: usize) {
        let now = self.now;
        let life = self.gateways[gateway].life;
        self.gateways[gateway].lanes.admit(now);
        loop {
            let from = &mut self.gateways[gateway];
            if from.in_flight.len() == AT_ONCE {
                return;
            }
            let Some(ticket) = from.lanes.take() else { return };
            let (Some(handed), Some(pending)) = (from.handed.get(&ticket), from.lanes.event(ticket)) else {
                unreachable!("what is in a lane was handed over");
            };
            if !handed.lease.holds(now) {
                // If it was revoked, the next sweep finds it there.
                from.lanes.wait(ticket, now + RAN_OUT);
                self.at(now + RAN_OUT, Happening::Dispatch { gateway, life });
                continue;
            }
            let event = pending.position.to_number() as u32;
            let (connected, partition) = (from.connected, handed.partition);
            if !connected {
                self.traces[event as usize].doubt(Doubt::Cut);
            } else if self.standing(partition).is_none() {
                self.traces[event as usize].doubt(Doubt::Servers);
            }
            let attempt = Attempt {
                gateway,
                life,
                ticket,
                event,
                fate: Fate::Refused,
                draw: 0,
            };
            let number = if let Some(number) = self.free_attempts.pop() {
                self.attempts[number] = attempt;
                number
            } else {
                self.attempts.push(attempt);
                self.attempts.len() - 1
            };
            self.gateways[gateway].in_flight.insert(number);
            self.arrives(number);
        }
    }

    /// A gateway reads the answer to an attempt.
    pub(super) fn attempt_ends(&mut self, number: usize) {
        let Attempt {
            gateway,
            life,
            ticket,
            event,
            fate,
            ..
        } = self.attempts[number];
        self.free_attempts.push(number);
        if self.gateways[gateway].life != life {
            return;
        }
        let now = self.now;
        let sender = &mut self.gateways[gateway];
        sender.in_flight.remove(&number);
        if fate == Fate::Counted {
            sender.lanes.end(ticket);
            sender.failures.remove(&ticket);
            if let Some(Handed {
                partition, sequence, ..
            }) = sender.handed.remove(&ticket)
            {
                sender.unconfirmed.insert(event);
                self.end(gateway, partition, sequence, DeliveryEnd::Over);
            }
        } else {
            let failures = sender.failures.entry(ticket).or_default();
            *failures += 1;
            let wait = backoff().delay(*failures, self.chance.even());
            let again = now + 1 + wait.as_millis() as u64;
            self.gateways[gateway].lanes.wait(ticket, again);
            self.at(again, Happening::Dispatch { gateway, life });
        }
        self.sweep(gateway);
        self.dispatch(gateway);
    }

    fn end(&mut self, gateway: usize, partition: usize, sequence: u64, end: DeliveryEnd) {
        let ownership = &mut self.gateways[gateway].partitions[partition].ownership;
        match ownership.end(sequence, end, self.now) {
            Some(MessageSign::Over) => self.tell(gateway, partition, sequence, Word::Over),
            Some(MessageSign::Returned) => self.tell(gateway, partition, sequence, Word::Returned),
            Some(MessageSign::Working) | None => {}
        }
    }

    /// Takes what another gateway has the lease of out of the lanes.
    pub(super) fn sweep(&mut self, gateway: usize) {
        let from = &mut self.gateways[gateway];
        let lost = from.handed.iter().filter(|(_, handed)| handed.lease.is_revoked());
        let mut lost: Vec<Ticket> = lost.map(|(ticket, _)| *ticket).collect();
        // Those behind others in their lanes first, so that no lane sends what is about to go.
        lost.sort_unstable_by(|a, b| b.cmp(a));
        for ticket in lost {
            let from = &mut self.gateways[gateway];
            if from.lanes.withdraw(ticket)
                && let Some(Handed {
                    partition, sequence, ..
                }) = from.handed.remove(&ticket)
            {
                from.failures.remove(&ticket);
                self.end(gateway, partition, sequence, DeliveryEnd::Unsent);
            }
        }
    }
}

/// The defaults of `[plausible] retry_initial` and `retry_max`.
fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(500), Duration::from_mins(1))
}
