//! The index of all pending events; it knows which event is sent next.
//!
//! Each visitor with pending events has a lane: the visitor's events in the order in which they happened.
//! Only the first event of a lane may be sent. Lanes may overtake each other. Of the lanes that may send, the
//! one with the oldest event goes first.
//!
//! # Memory
//! An event takes 32 bytes. A visitor takes 5 bytes in a table that is between 44 % and 88 % full. There is
//! no list of the lanes that may send. Entries are numbered by age, and a cursor goes over them once, so it
//! meets the first entries of all lanes in the right order. Only a lane whose next entry is already behind
//! the cursor is kept in a heap.

mod ledger;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::BinaryHeap};

use hashbrown::{HashTable, hash_table};
use ledger::{LaneState, Ledger, LedgerEntry};

pub use ledger::Ticket;

use crate::queue::Position;

/// The capacity that the tables keep when nothing is pending.
const KEPT: usize = 1_024;

/// All lanes; see the module's doc.
#[derive(Debug)]
pub struct Lanes {
    ledger: Ledger,
    /// The low half of the ticket of each visitor's first entry, found by visitor.
    heads: HashTable<u32>,
    /// Mixed into the visitors' hashes, so that nobody can choose visitors whose hashes collide.
    seed: u64,
    /// The cursor has met every first entry before this one.
    cursor: Ticket,
    /// First entries behind the cursor that may be sent.
    returning: BinaryHeap<Reverse<Ticket>>,
    /// First entries that wait, and until when in milliseconds since 1970. Some may have ended since.
    waiting: BinaryHeap<Reverse<(u64, Ticket)>>,
}

/// What the index knows of a pending event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingEvent {
    /// Its place in the queue.
    pub position: Position,
    /// Its visitor.
    pub visitor: u64,
    /// When it happened, in milliseconds since 1970.
    pub at: u64,
}

impl Lanes {
    /// Lanes of which none has an event. `seed`: random, and secret where visitors are strangers.
    pub fn new(seed: u64) -> Self {
        Lanes {
            ledger: Ledger::default(),
            heads: HashTable::new(),
            seed,
            cursor: Ticket(0),
            returning: BinaryHeap::new(),
            waiting: BinaryHeap::new(),
        }
    }

    /// Pending events, including those in flight.
    pub(super) fn len(&self) -> usize {
        self.ledger.len()
    }

    /// A pending event; `None` if it has ended.
    pub fn event(&self, ticket: Ticket) -> Option<PendingEvent> {
        self.ledger.get(ticket).map(PendingEvent::of)
    }

    /// When the oldest pending event happened.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        let front = self.ledger.front()?;
        Some(self.ledger[front].at())
    }

    /// Adds an event at the end of its visitor's lane. Events have to be added in the order of their
    /// positions. `None` if there is no room: the oldest pending event is four billion events old.
    #[must_use]
    pub fn push(&mut self, event: PendingEvent) -> Option<Ticket> {
        let entry = LedgerEntry::new(event.position, event.visitor, event.at);
        let ticket = self.ledger.push(entry)?;
        let (ledger, seed) = (&self.ledger, self.seed);
        let found = self.heads.entry(
            hash(seed, event.visitor),
            |low| ledger[ledger.ticket(*low)].visitor == event.visitor,
            |low| hash(seed, ledger[ledger.ticket(*low)].visitor),
        );
        match found {
            hash_table::Entry::Vacant(place) => {
                place.insert(ticket.low());
                self.ledger[ticket].state = LaneState::Fresh;
            }
            hash_table::Entry::Occupied(head) => {
                let head = self.ledger.ticket(*head.get());
                let tail = self.ledger.ticket(self.ledger[head].tail);
                self.ledger[tail].next = ticket.low();
                self.ledger[head].tail = ticket.low();
                self.ledger[ticket].tail = tail.low();
            }
        }
        Some(ticket)
    }

    /// Whether an event may be sent now.
    pub(super) fn ready(&mut self) -> bool {
        self.next().is_some()
    }

    /// Takes the oldest event that may be sent. Nothing else of its lane is sent until the event ends or
    /// waits.
    pub fn take(&mut self) -> Option<Ticket> {
        let ticket = self.next()?;
        if self.ledger[ticket].state == LaneState::Returning {
            self.returning.pop();
        } else {
            self.cursor = Ticket(ticket.0 + 1);
        }
        self.ledger[ticket].state = LaneState::InFlight;
        Some(ticket)
    }

    /// Takes the oldest event that may be sent of those that were passed over: those that waited, and what comes
    /// after such ones in their lanes.
    pub(super) fn take_passed_over(&mut self) -> Option<Ticket> {
        let ticket = self.returning()?;
        self.returning.pop();
        self.ledger[ticket].state = LaneState::InFlight;
        Some(ticket)
    }

    /// Ends an event that was taken. The next event of its lane may be sent.
    pub fn end(&mut self, ticket: Ticket) {
        let entry = self.ledger[ticket];
        debug_assert!(
            !matches!(entry.state, LaneState::Queued | LaneState::Ended),
            "a first entry ends"
        );
        let seed = self.seed;
        let head = self
            .heads
            .find_entry(hash(seed, entry.visitor), |low| *low == ticket.low());
        if let Ok(mut head) = head {
            if entry.next == ticket.low() {
                head.remove();
            } else {
                *head.get_mut() = entry.next;
            }
        }
        if entry.next != ticket.low() {
            let next = self.ledger.ticket(entry.next);
            self.ledger[next].tail = entry.tail;
            self.promote(next);
        }
        self.ledger.remove(ticket);
        if self.ledger.len() == 0 {
            self.give_back();
        }
    }

    /// Ends an event that is not being sent, wherever in its lane it is. False if it is being sent, or has
    /// ended.
    pub fn withdraw(&mut self, ticket: Ticket) -> bool {
        let Some(entry) = self.ledger.get(ticket).copied() else {
            return false;
        };
        match entry.state {
            LaneState::InFlight | LaneState::Ended => return false,
            LaneState::Queued => self.unlink(ticket, entry),
            LaneState::Fresh | LaneState::Returning | LaneState::Waiting => self.end(ticket),
        }
        true
    }

    /// Ends an event that is not the first of its lane.
    fn unlink(&mut self, ticket: Ticket, entry: LedgerEntry) {
        let before = self.ledger.ticket(entry.tail);
        if entry.next == ticket.low() {
            self.ledger[before].next = before.low();
            let head = self.heads.find(hash(self.seed, entry.visitor), |low| {
                self.ledger[self.ledger.ticket(*low)].visitor == entry.visitor
            });
            if let Some(head) = head.map(|low| self.ledger.ticket(*low)) {
                self.ledger[head].tail = before.low();
            }
        } else {
            let next = self.ledger.ticket(entry.next);
            self.ledger[before].next = next.low();
            self.ledger[next].tail = before.low();
        }
        self.ledger.remove(ticket);
    }

    /// Puts an event that was taken back to the head of its lane, where it waits until `due` (milliseconds
    /// since 1970). The lane waits with it, because order matters more than speed.
    pub fn wait(&mut self, ticket: Ticket, due: u64) {
        debug_assert_eq!(
            self.ledger[ticket].state,
            LaneState::InFlight,
            "only what was taken waits"
        );
        self.ledger[ticket].state = LaneState::Waiting;
        self.waiting.push(Reverse((due, ticket)));
    }

    /// Lets the lanes send whose wait is over.
    pub fn admit(&mut self, now: u64) {
        while let Some(due) = self.next_due()
            && due <= now
            && let Some(Reverse((_, ticket))) = self.waiting.pop()
        {
            self.promote(ticket);
        }
    }

    /// When the next wait is over.
    pub(super) fn next_due(&mut self) -> Option<u64> {
        while let Some(Reverse((due, ticket))) = self.waiting.peek() {
            if self
                .ledger
                .get(*ticket)
                .is_some_and(|e| e.state == LaneState::Waiting)
            {
                return Some(*due);
            }
            self.waiting.pop();
        }
        None
    }

    /// Ends the oldest events for as long as `over` is true, at most `limit`, and calls `each` for each.
    /// Skips events in flight and those behind them in their lanes. True if it stopped at the limit.
    pub(super) fn sweep(
        &mut self,
        limit: usize,
        over: impl Fn(&PendingEvent) -> bool,
        mut each: impl FnMut(Ticket, &PendingEvent),
    ) -> bool {
        let mut swept = 0;
        let mut at = self.ledger.front();
        while let Some(ticket) = at {
            let event = PendingEvent::of(&self.ledger[ticket]);
            if !over(&event) {
                return false;
            }
            if swept == limit {
                return true;
            }
            if self.may_go(ticket) {
                self.end(ticket);
                each(ticket, &event);
                swept += 1;
            }
            at = self.ledger.at_or_after(Ticket(ticket.0 + 1));
        }
        false
    }

    /// Ends all events for which `over` is true, and calls `each` for each. Skips the same events as
    /// [`Lanes::sweep`]. It looks at every pending event, which takes 10 ms for a million.
    pub(super) fn drop_all(
        &mut self,
        over: impl Fn(&PendingEvent) -> bool,
        mut each: impl FnMut(Ticket, &PendingEvent),
    ) {
        let mut at = self.ledger.front();
        while let Some(ticket) = at {
            let event = PendingEvent::of(&self.ledger[ticket]);
            if over(&event) && self.may_go(ticket) {
                self.end(ticket);
                each(ticket, &event);
            }
            at = self.ledger.at_or_after(Ticket(ticket.0 + 1));
        }
    }

    /// Whether an event can end without having been taken: it is the first of its lane and not in flight.
    fn may_go(&self, ticket: Ticket) -> bool {
        !matches!(self.ledger[ticket].state, LaneState::InFlight | LaneState::Queued)
    }

    /// Gives memory back after a backlog.
    fn give_back(&mut self) {
        if self.heads.capacity() > KEPT {
            self.heads = HashTable::new();
        }
        self.returning.clear();
        self.returning.shrink_to(KEPT);
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
    }

    /// Bytes allocated.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.ledger.memory()
            + self.heads.allocation_size()
            + self.returning.capacity() * size_of::<Reverse<Ticket>>()
            + self.waiting.capacity() * size_of::<Reverse<(u64, Ticket)>>()
    }

    /// The oldest event that may be sent.
    fn next(&mut self) -> Option<Ticket> {
        // Entries of the heap are behind the cursor, so they are older than the next one that the cursor
        // meets.
        self.returning().or_else(|| self.fresh())
    }

    /// The oldest event behind the cursor that may be sent.
    fn returning(&mut self) -> Option<Ticket> {
        while let Some(Reverse(ticket)) = self.returning.peek() {
            if self
                .ledger
                .get(*ticket)
                .is_some_and(|e| e.state == LaneState::Returning)
            {
                break;
            }
            self.returning.pop();
        }
        self.returning.peek().map(|Reverse(ticket)| *ticket)
    }

    /// Moves the cursor to the next first entry of a lane.
    fn fresh(&mut self) -> Option<Ticket> {
        while let Some(ticket) = self.ledger.at_or_after(self.cursor) {
            self.cursor = ticket;
            if self.ledger[ticket].state == LaneState::Fresh {
                return Some(ticket);
            }
            self.cursor = Ticket(ticket.0 + 1);
        }
        self.cursor = self.ledger.end();
        None
    }

    /// Lets a lane's first entry be sent.
    fn promote(&mut self, ticket: Ticket) {
        if ticket < self.cursor {
            self.ledger[ticket].state = LaneState::Returning;
            self.returning.push(Reverse(ticket));
        } else {
            self.ledger[ticket].state = LaneState::Fresh;
        }
    }
}

impl PendingEvent {
    fn of(entry: &LedgerEntry) -> Self {
        PendingEvent {
            position: entry.position,
            visitor: entry.visitor,
            at: entry.at(),
        }
    }
}

/// A visitor's hash: a folded multiplication. Every bit of it depends on every bit of the key.
fn hash(seed: u64, visitor: u64) -> u64 {
    let product = u128::from(visitor ^ seed) * u128::from(seed.rotate_left(32) | 1);
    (product >> 64) as u64 ^ product as u64
}
