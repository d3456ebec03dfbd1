//! The entries of all pending events, ordered by age.

use std::{
    collections::VecDeque,
    ops::{Index, IndexMut},
};

use crate::queue::Position;

/// Entries of one allocation, which has 32 KiB. A few old events keep little memory, and a million events
/// take a thousand allocations.
const CHUNK: usize = 1_024;

/// The number of an entry. Numbers grow and are never used again, so tickets compare by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

impl Ticket {
    #[cfg(test)]
    pub(in super::super) fn of(number: u64) -> Self {
        Ticket(number)
    }

    /// The low half. It is enough to identify a pending entry (see [`Ledger::ticket`]).
    pub(super) fn low(self) -> u32 {
        self.0 as u32
    }
}

/// The state of an entry in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneState {
    /// Behind the first entry of its lane.
    Queued,
    /// First of its lane, and the cursor has yet to meet it.
    Fresh,
    /// First of its lane and behind the cursor, so it is in the heap `returning`.
    Returning,
    /// First of its lane, and being sent.
    InFlight,
    /// First of its lane, and waiting for its backoff.
    Waiting,
    /// Not pending any more.
    Ended,
}

/// One pending event. It has 32 bytes, because there can be a million.
#[derive(Debug, Clone, Copy)]
pub(super) struct LedgerEntry {
    pub(super) position: Position,
    pub(super) visitor: u64,
    at_low: u32,
    at_high: u16,
    pub(super) state: LaneState,
    /// The low half of the lane's next ticket; of its own if it is the last one.
    pub(super) next: u32,
    /// The low half of another ticket: in the first entry of a lane, of the lane's last one; in the others, of
    /// the one before.
    pub(super) tail: u32,
}

impl LedgerEntry {
    pub(super) fn new(position: Position, visitor: u64, at: u64) -> Self {
        LedgerEntry {
            position,
            visitor,
            at_low: at as u32,
            at_high: (at >> 32) as u16,
            state: LaneState::Queued,
            next: 0,
            tail: 0,
        }
    }

    /// When it happened, in milliseconds since 1970. 48 bits last until the year 10889.
    pub(super) fn at(&self) -> u64 {
        u64::from(self.at_high) << 32 | u64::from(self.at_low)
    }
}

/// Entries in the order in which they came. They may end in any order; memory is freed a chunk at a time.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    chunks: VecDeque<LedgerChunk>,
    /// The ticket of the first chunk's first entry.
    first: u64,
    /// The ticket of the next entry.
    end: u64,
    /// No entry before this one is pending.
    front: u64,
    live: usize,
}

#[derive(Debug, Default)]
struct LedgerChunk {
    /// Empty and without capacity once all entries of a full chunk have ended.
    entries: Vec<LedgerEntry>,
    live: usize,
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The ticket that the next entry gets.
    pub(super) fn end(&self) -> Ticket {
        Ticket(self.end)
    }

    /// Adds an entry. `None` if the oldest pending entry is four billion entries old, because then the low
    /// halves of tickets would not be unique any more.
    pub(super) fn push(&mut self, mut entry: LedgerEntry) -> Option<Ticket> {
        if self.end - self.first >= u64::from(u32::MAX) {
            return None;
        }
        if self.live == 0 {
            self.start_over();
        }
        if self.chunks.back().is_none_or(|chunk| chunk.used() == CHUNK) {
            self.chunks.push_back(LedgerChunk {
                entries: Vec::with_capacity(CHUNK),
                live: 0,
            });
        }
        let ticket = Ticket(self.end);
        entry.next = ticket.low();
        entry.tail = ticket.low();
        let chunk = self.chunks.back_mut()?;
        chunk.entries.push(entry);
        chunk.live += 1;
        self.end += 1;
        self.live += 1;
        Some(ticket)
    }

    /// Ends an entry.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        debug_assert!(self.get(ticket).is_some(), "an entry ends once");
        self[ticket].state = LaneState::Ended;
        let chunk = &mut self.chunks[((ticket.0 - self.first) / CHUNK as u64) as usize];
        chunk.live -= 1;
        self.live -= 1;
        if chunk.live == 0 && chunk.entries.len() == CHUNK {
            chunk.entries = Vec::new();
            while self.chunks.len() > 1 && self.chunks[0].entries.capacity() == 0 {
                self.chunks.pop_front();
                self.first += CHUNK as u64;
            }
        }
    }

    /// A pending entry.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&LedgerEntry> {
        let index = ticket.0.checked_sub(self.first)?;
        let chunk = self.chunks.get((index / CHUNK as u64) as usize)?;
        let entry = chunk.entries.get((index % CHUNK as u64) as usize)?;
        (entry.state != LaneState::Ended).then_some(entry)
    }

    /// The ticket of a pending entry by its low half.
    pub(super) fn ticket(&self, low: u32) -> Ticket {
        Ticket(self.first + u64::from(low.wrapping_sub(self.first as u32)))
    }

    /// The oldest pending entry.
    pub(super) fn front(&mut self) -> Option<Ticket> {
        let front = self.at_or_after(Ticket(self.front));
        self.front = front.map_or(self.end, |ticket| ticket.0);
        front
    }

    /// The oldest pending entry that is no older than `ticket`.
    pub(super) fn at_or_after(&self, ticket: Ticket) -> Option<Ticket> {
        let mut at = ticket.0.max(self.first);
        while at < self.end {
            let index = at - self.first;
            let chunk = &self.chunks[(index / CHUNK as u64) as usize];
            if chunk.live == 0 {
                at += CHUNK as u64 - index % CHUNK as u64;
                continue;
            }
            let rest = &chunk.entries[(index % CHUNK as u64) as usize..];
            match rest.iter().position(|entry| entry.state != LaneState::Ended) {
                Some(ended) => return Some(Ticket(at + ended as u64)),
                None => at += CHUNK as u64 - index % CHUNK as u64,
            }
        }
        None
    }

    /// Bytes allocated.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let entries: usize = self.chunks.iter().map(|chunk| chunk.entries.capacity()).sum();
        entries * size_of::<LedgerEntry>() + self.chunks.capacity() * size_of::<LedgerChunk>()
    }

    /// Keeps one chunk when nothing is pending, so that a quiet site does not allocate one for each event.
    fn start_over(&mut self) {
        self.chunks.truncate(1);
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.entries.clear();
            chunk.entries.reserve_exact(CHUNK);
        }
        self.first = self.end;
        self.front = self.end;
    }
}

impl LedgerChunk {
    /// How many tickets of it are used up: all of them if its entries were freed.
    fn used(&self) -> usize {
        if self.entries.capacity() == 0 {
            CHUNK
        } else {
            self.entries.len()
        }
    }
}

impl Index<Ticket> for Ledger {
    type Output = LedgerEntry;

    /// Panics on a ticket whose chunk is gone; the lanes hold tickets of pending entries only.
    fn index(&self, ticket: Ticket) -> &LedgerEntry {
        let index = ticket.0 - self.first;
        &self.chunks[(index / CHUNK as u64) as usize].entries[(index % CHUNK as u64) as usize]
    }
}

impl IndexMut<Ticket> for Ledger {
    fn index_mut(&mut self, ticket: Ticket) -> &mut LedgerEntry {
        let index = ticket.0 - self.first;
        &mut self.chunks[(index / CHUNK as u64) as usize].entries[(index % CHUNK as u64) as usize]
    }
}
