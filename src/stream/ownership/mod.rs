//! What one gateway knows of one partition: whether it may send the partition's events, which of them it has,
//! and which may go next. No I/O; times come in, in milliseconds since 1970 by a clock that does not jump.
//!
//! ```text
//!            first message under a pin                 nothing is out at another gateway
//!  standby ─────────────────────────────▶ taking over ──────────────────────────────────▶ owner
//!     ▲                                        │  ▲      another pin for the same gateway   │
//!     │                                        │  └──── an event came back unsent ──────────┤
//!     └────────────────────────────────────────┴────────────────────────────────────────────┘
//!                   another gateway's pin · no heartbeat · the stop · a fair share
//! ```
//!
//! # Taking over
//!
//! A gateway that has just been pinned gets new messages at once, and those that the one before it had, and
//! did not acknowledge, only when it hands them back or their time is up. Sending the new ones first would turn
//! a visitor's order round. So while it takes over it keeps what it gets, until the servers say that no more
//! messages are out than those that had come here before they were asked.
//!
//! The gateway before may still be there: servers that were away deliver again at once, and it repeats the
//! acknowledgements that they did not hear. So they are asked when `reorder` has passed, for nothing goes
//! before that anyway. Are fewer messages out then than are here, some of those that came again are over;
//! they are all returned, and those that are not over come once more. The count could be right by accident, if
//! another message is still out there: so those that came for the first time, which no gateway can have ended, are
//! counted apart; and of those that come again, the servers say how many are out. If fewer are out than came for
//! the first time, somebody has taken messages out of the stream: then all that wait are returned.
//!
//! # Keeping, and losing
//!
//! The lease lasts a term from the last question that the servers answered with this gateway's pin. If it runs
//! out, events wait for the next answer: under the same pin, nobody else can have had them. The servers change
//! their leader, and with it the pin, from time to time. If the same gateway gets the new pin while its lease
//! lasts, it keeps what it has, for the same reason. In all other cases another gateway may have had its
//! messages, so it forgets them, and they come again. If delivery lets go of an event that has not ended, those
//! behind it must not go first: the partition is taken over anew. So it is when a message was lost on its way: the
//! servers number what they deliver, and one that is missing is out until its time is up, while newer ones come
//! under the same pin. It is looked for, too, when the connection to the servers was lost and made again.
//!
//! Each message that stays here long needs signs of life (`signs`), or the servers give it to another one: an
//! attempt that begins under a lease ends before that happens, if a message may be out for the length of an
//! attempt, the lease's term, and [`UNSIGNED`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::{
    lease::Lease,
    reorder::{StreamedEvent, WaitingEvents},
};

/// How old the last sign of life of a message may get, and then some, in milliseconds: the interval between
/// signs, between two looks at them, and the way to the servers.
pub const UNSIGNED: u64 = 3_000;
/// The interval between signs of life of one message, in milliseconds.
const SIGN: u64 = 2_000;
/// After how long an acknowledgement that the servers have not confirmed is sent again, in milliseconds.
const ACKNOWLEDGE: u64 = 400;
/// After how long without a sign that the servers heard of an end nothing more is handed over, in
/// milliseconds: all that is sent meanwhile may have to be sent again by another gateway.
const UNHEARD: u64 = 1_000;
/// For how long acknowledgements are sent again, in milliseconds. The servers deliver the message again if it was in vain.
const IN_VAIN: u64 = 3_600_000;
/// For how long a message that is over is remembered, in milliseconds: it may be on its way here once more.
const REMEMBERED: u64 = 30_000;

/// How long things last, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long an event waits for older ones of its visitor.
    pub reorder: u64,
    /// How long a lease lasts from the last answer of the servers.
    pub lease: u64,
    /// How long a message is out without a sign of life before it is given to another gateway.
    pub ack_wait: u64,
}

/// How many messages of the partition are out, at any gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outstanding {
    /// All of them.
    pub all: usize,
    /// Those that were delivered more than once.
    pub again: usize,
}

/// What becomes of a message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It waits here now.
    Kept,
    /// It is here already.
    Known,
    /// Its event has ended, and the servers have not heard of that: it has to be acknowledged again.
    Over,
}

/// What the servers have to hear of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageSign {
    /// It is being worked on.
    Working,
    /// Its event has ended: they may forget it.
    Over,
    /// It is left to whoever is pinned.
    Returned,
}

/// How delivery got rid of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// It has ended, whichever way: no gateway is to send it any more.
    Over,
    /// It is not on its way anywhere, and another gateway may send it at once.
    Unsent,
    /// It may be on its way. Another gateway may send it once its time is up.
    Unknown,
}

/// One partition, seen by one gateway.
#[derive(Debug)]
pub struct Ownership {
    terms: Terms,
    phase: Phase,
    /// What the servers call the client that they deliver to.
    pin: String,
    /// When the gateway began to take over.
    since: u64,
    /// The last question to which the servers answered with this gateway's pin.
    confirmed: u64,
    lease: Lease,
    /// The messages that this gateway knows, by their number.
    open: BTreeMap<u64, OpenMessage>,
    waiting: WaitingEvents,
    /// When events ended, in that order, and their messages. Some may be known to the servers since.
    ends: VecDeque<(u64, u64)>,
    /// Messages that are over, as the servers know.
    over: HashSet<u64>,
    /// Until when each of them is remembered.
    remembered: VecDeque<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Standby,
    TakingOver,
    Owner,
}

#[derive(Debug)]
struct OpenMessage {
    state: MessageState,
    /// When it came under this pin; nothing if it has not.
    came: Option<u64>,
    /// Whether it was delivered before, here or elsewhere.
    again: bool,
    /// When the servers last heard of it, or sent it.
    sign: u64,
}

#[derive(Debug)]
enum MessageState {
    /// It waits for its turn.
    Waiting,
    /// Delivery has it, under this lease.
    Handed(Lease),
    /// Delivery has it under a lease that is over, and it came again since.
    Back(Box<StreamedEvent>),
    /// It has ended, since then; the servers have not confirmed that they know.
    Ended(u64),
}

impl Ownership {
    /// A partition that another gateway may own.
    pub fn new(terms: Terms) -> Self {
        Ownership {
            terms,
            phase: Phase::Standby,
            pin: String::new(),
            since: 0,
            confirmed: 0,
            lease: Lease::default(),
            open: BTreeMap::new(),
            waiting: WaitingEvents::new(terms.reorder),
            ends: VecDeque::new(),
            over: HashSet::new(),
            remembered: VecDeque::new(),
        }
    }

    /// Whether the servers deliver the partition's messages to this gateway.
    pub fn is_pinned(&self) -> bool {
        self.phase != Phase::Standby
    }

    /// Whether the gateway waits for what another one has not acknowledged.
    pub fn is_taking_over(&self) -> bool {
        self.phase == Phase::TakingOver
    }

    /// Whether anything is known of a message.
    pub fn knows(&self, sequence: u64) -> bool {
        self.open.contains_key(&sequence)
    }

    /// A message came under this pin. `again`: it was delivered before. `now`: when it came.
    pub fn receive(&mut self, pin: &str, event: StreamedEvent, again: bool, now: u64) -> Arrival {
        if !self.is_pinned() || self.pin != pin {
            self.take_over(pin, now);
        }
        if self.over.remove(&event.sequence) {
            self.end(event.sequence, DeliveryEnd::Over, now);
            return Arrival::Over;
        }
        let Some(message) = self.open.get_mut(&event.sequence) else {
            let message = OpenMessage {
                state: MessageState::Waiting,
                came: Some(now),
                again,
                sign: now,
            };
            self.open.insert(event.sequence, message);
            self.waiting.add(event, now);
            return Arrival::Kept;
        };
        message.again |= again;
        message.sign = now;
        message.came.get_or_insert(now);
        match &message.state {
            MessageState::Handed(lease) if !lease.is(&self.lease) || lease.is_revoked() => {
                message.state = MessageState::Back(Box::new(event));
                Arrival::Known
            }
            MessageState::Waiting | MessageState::Handed(_) | MessageState::Back(_) => Arrival::Known,
            MessageState::Ended(_) => Arrival::Over,
        }
    }

    /// The servers said whom they deliver to, and how many messages are out; they were asked at `asked`.
    /// Returns the messages that have to be returned to them: another gateway is pinned, or some may be over.
    pub fn confirm(&mut self, pin: Option<&str>, out: Outstanding, asked: u64, now: u64) -> Vec<u64> {
        if !self.is_pinned() {
            return Vec::new();
        }
        if pin != Some(&self.pin) {
            // An answer from before the pin says nothing of it.
            return if asked < self.since {
                Vec::new()
            } else {
                self.give_back(now)
            };
        }
        let end = asked + self.terms.lease;
        if end <= now {
            return Vec::new();
        }
        self.confirmed = self.confirmed.max(asked);
        self.lease.extend(end);
        if self.lease.is_revoked() {
            self.lease = Lease::until(end);
            if self.phase == Phase::Owner {
                self.phase = Phase::TakingOver;
                self.since = now;
            }
        }
        if self.phase != Phase::TakingOver || asked < self.since + self.terms.reorder {
            return Vec::new();
        }
        let (here, first) = self.here(asked);
        if out.all < here {
            return self.forget_doubtful();
        }
        // A server that has become the leader may not know which ones it has delivered more than once. By then
        // all that another gateway had has come.
        let late = now >= self.since + self.terms.lease + self.terms.ack_wait;
        if out.all == here && (late || out.all.saturating_sub(out.again) <= first) {
            self.phase = Phase::Owner;
        }
        Vec::new()
    }

    /// A message was lost on its way here, or may have been. It comes again, later than those that came behind it.
    pub fn missed(&mut self, now: u64) {
        if self.is_pinned() {
            self.phase = Phase::TakingOver;
            self.since = now;
        }
    }

    /// Leaves the partition to another gateway, as [`Ownership::lose`] does. Returns the messages that waited
    /// and can't have gone to another one yet: returned, they are there at once.
    pub fn give_back(&mut self, now: u64) -> Vec<u64> {
        let alone = self.lease.holds(now);
        let forgotten = self.lose();
        if alone { forgotten } else { Vec::new() }
    }

    /// The partition is not this gateway's any more: what waits is forgotten, and nothing of it is sent. What
    /// is on the wire may end. Returns the messages that were forgotten.
    pub fn lose(&mut self) -> Vec<u64> {
        self.phase = Phase::Standby;
        self.ends.clear();
        self.lease.revoke();
        self.waiting.clear();
        let mut forgotten = Vec::new();
        let lease = &self.lease;
        self.open.retain(|sequence, message| {
            message.came = None;
            match message.state {
                MessageState::Waiting => {
                    forgotten.push(*sequence);
                    return false;
                }
                MessageState::Back(_) => message.state = MessageState::Handed(lease.clone()),
                MessageState::Handed(_) | MessageState::Ended(_) => {}
            }
            true
        });
        forgotten
    }

    /// When the next event may go; nothing if none waits or none may go.
    pub fn due(&mut self, now: u64) -> Option<u64> {
        let may_send = self.phase == Phase::Owner && self.lease.holds(now) && self.is_heard(now);
        may_send.then(|| self.waiting.next_due()).flatten()
    }

    /// Takes the next event that may go.
    pub fn take(&mut self, now: u64) -> Option<(StreamedEvent, Lease)> {
        self.due(now)?;
        let event = self.waiting.take(now)?;
        if let Some(message) = self.open.get_mut(&event.sequence) {
            message.state = MessageState::Handed(self.lease.clone());
        }
        Some((event, self.lease.clone()))
    }

    /// Delivery has nothing more to do with an event. Returns what the servers have to hear of it.
    pub fn end(&mut self, sequence: u64, end: DeliveryEnd, now: u64) -> Option<MessageSign> {
        if end == DeliveryEnd::Over {
            let ended = OpenMessage {
                state: MessageState::Ended(now),
                came: None,
                again: true,
                sign: now,
            };
            self.open.insert(sequence, ended);
            self.ends.push_back((now, sequence));
            return Some(MessageSign::Over);
        }
        let message = self.open.get_mut(&sequence)?;
        match std::mem::replace(&mut message.state, MessageState::Waiting) {
            MessageState::Back(event) => {
                self.waiting.add(*event, now);
                None
            }
            MessageState::Handed(lease) => {
                self.open.remove(&sequence);
                if lease.is(&self.lease) {
                    self.lease.revoke();
                }
                // Later, another gateway may have it, and a third one would get it.
                let alone = now + UNSIGNED < self.confirmed + self.terms.ack_wait;
                (alone && end == DeliveryEnd::Unsent).then_some(MessageSign::Returned)
            }
            other => {
                message.state = other;
                None
            }
        }
    }

    /// The servers know that the message is over.
    pub fn acknowledged(&mut self, sequence: u64, now: u64) {
        let open = self.open.get(&sequence);
        if open.is_some_and(|message| matches!(message.state, MessageState::Ended(_))) {
            self.open.remove(&sequence);
            self.over.insert(sequence);
            self.remembered.push_back((now + REMEMBERED, sequence));
        }
    }

    /// The messages of which the servers have to hear now. Has to be asked several times a second, also while
    /// another gateway is pinned.
    pub fn signs(&mut self, now: u64) -> Vec<(u64, MessageSign)> {
        while let Some((_, sequence)) = self.remembered.pop_front_if(|(until, _)| *until <= now) {
            self.over.remove(&sequence);
        }
        if self.open.is_empty() {
            return Vec::new();
        }
        let mut signs = Vec::new();
        let alone = self.is_pinned() && self.lease.holds(now);
        let lease = &self.lease;
        self.open.retain(|sequence, message| {
            let sign = match &message.state {
                MessageState::Handed(under) if alone && under.is(lease) => MessageSign::Working,
                MessageState::Waiting | MessageState::Back(_) if alone => MessageSign::Working,
                MessageState::Ended(_) => MessageSign::Over,
                _ => return true,
            };
            if matches!(message.state, MessageState::Ended(since) if since + IN_VAIN <= now) {
                return false;
            }
            let pace = if sign == MessageSign::Over {
                ACKNOWLEDGE
            } else {
                SIGN
            };
            if message.sign + pace <= now {
                message.sign = now;
                signs.push((*sequence, sign));
            }
            true
        });
        signs
    }

    /// Begins to take over under another pin.
    fn take_over(&mut self, pin: &str, now: u64) {
        if self.is_pinned() && self.lease.holds(now) {
            // Nobody else can have had what is here.
            for message in self.open.values_mut().filter(|message| message.came.is_some()) {
                message.came = Some(now);
            }
        } else {
            self.lose();
        }
        pin.clone_into(&mut self.pin);
        self.phase = Phase::TakingOver;
        self.since = now;
    }

    /// Whether the servers hear of the events that end.
    fn is_heard(&mut self, now: u64) -> bool {
        while let Some((since, sequence)) = self.ends.front() {
            let open = self.open.get(sequence);
            if open.is_some_and(|message| matches!(message.state, MessageState::Ended(at) if at == *since)) {
                return now < since + UNHEARD || self.confirmed >= *since;
            }
            self.ends.pop_front();
        }
        true
    }

    /// How many messages were here, under this pin, at that time, and how many of these came for the first time.
    fn here(&self, asked: u64) -> (usize, usize) {
        let came = |message: &&OpenMessage| message.came.is_some_and(|came| came < asked);
        let here = || {
            self.open
                .values()
                .filter(came)
                .filter(|message| self.is_here(message))
        };
        (here().count(), here().filter(|message| !message.again).count())
    }

    /// Forgets the messages that may be over without this gateway's knowing: those that came again, or where
    /// there is none of them, all that wait. Returns them: those that are not over come again.
    fn forget_doubtful(&mut self) -> Vec<u64> {
        let waits = |message: &OpenMessage| matches!(message.state, MessageState::Waiting);
        let some_again = self.open.values().any(|message| message.again && waits(message));
        let mut forgotten = Vec::new();
        let waiting = &mut self.waiting;
        self.open.retain(|sequence, message| {
            let doubtful = waits(message) && (message.again || !some_again);
            if doubtful {
                waiting.remove(*sequence);
                forgotten.push(*sequence);
            }
            !doubtful
        });
        forgotten
    }

    /// Whether a message is out here, and nothing of it is on the wire under a lease that is over.
    fn is_here(&self, message: &OpenMessage) -> bool {
        match &message.state {
            MessageState::Waiting => true,
            MessageState::Handed(lease) => lease.is(&self.lease),
            MessageState::Back(_) | MessageState::Ended(_) => false,
        }
    }
}
