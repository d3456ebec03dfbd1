//! Who has reported which view of a page: the views that are held, and the reports that came before the view
//! that they are of.
//!
//! A load is one view of one page by one visitor. Up to three mouths report it, each once. A report joins the
//! oldest load of the same visitor and page that its mouth has not reported yet and that is no more than the
//! wait away; if there is none, it begins a load. So two tabs of one page are two loads, and so is a reload.
//! Of each load one event counts: the script's, else that of the first report.
//!
//! All is bounded. Where a view finds no room, it is not counted, because a missed view hurts less than a
//! double one. For the same reason no view counts that can be of a report which found no room.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, hash_map::Entry},
};

use smallvec::SmallVec;

use super::{
    decided::ShownRequest,
    hold::{HeldRequest, Hold, Mouth},
};
use crate::{delivery::lanes::Ticket, event::PageKey};

/// Views that are held at once.
const HELD: usize = 50_000;
/// Loads that are remembered beside those with a view that is held.
const REMEMBERED: usize = 50_000;
/// Requests that are kept to be shown.
const SHOWN: usize = 1_000;
/// How long after its wait a view is still held, in milliseconds: a report that was made in time takes a
/// moment to get here.
const GRACE: u64 = 50;
/// How long a report of the script is remembered at the least, in milliseconds: a log's line about the page
/// may come that late. Its time must be within the wait nevertheless.
const REMEMBER: u64 = 60_000;

/// The capacity that is kept when there is no load.
const KEPT: usize = 1_024;

/// A visitor, by the queue's key, and a page.
pub(in crate::delivery) type LoadKey = (u64, PageKey);

/// See the module.
#[derive(Debug)]
pub(in crate::delivery) struct Loads {
    pages: HashMap<LoadKey, SmallVec<[Load; 1]>>,
    /// Until when each event that is held waits, in milliseconds since 1970.
    held: HashMap<Ticket, u64>,
    /// When views are due. Some were released since.
    dues: BinaryHeap<Reverse<(u64, LoadId, LoadKey)>>,
    /// When loads are forgotten.
    ends: BinaryHeap<Reverse<(u64, LoadId, LoadKey)>>,
    count: usize,
    shown: usize,
    next: LoadId,
    /// Until then views may be of reports that found no room.
    blind_until: u64,
    limits: Limits,
}

/// Numbers of loads; none is used twice.
type LoadId = u64;

#[derive(Debug, Clone, Copy)]
struct Limits {
    held: usize,
    remembered: usize,
}

#[derive(Debug)]
struct Load {
    id: LoadId,
    /// The time of its first report, in milliseconds since 1970.
    at: u64,
    /// Who has reported it, a bit each.
    mouths: u8,
    /// The view that waits.
    view: Option<HeldView>,
}

/// A view that was held and is not any more.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::delivery) struct HeldView {
    pub(in crate::delivery) ticket: Ticket,
    /// The request about which it can be decided now.
    pub(in crate::delivery) request: Option<HeldRequest>,
    pub(in crate::delivery) shown: Option<Box<ShownRequest>>,
}

/// What becomes of a view that was reported.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::delivery) enum Viewed {
    /// It is held.
    Held,
    /// Another report stands for it.
    Tracked(HeldView),
    /// There is no room for it.
    NoRoom(HeldView),
    /// It is too old to be held.
    Due(HeldView),
}

impl Default for Loads {
    fn default() -> Self {
        Loads::within(Limits {
            held: HELD,
            remembered: REMEMBERED,
        })
    }
}

impl Loads {
    fn within(limits: Limits) -> Self {
        Loads {
            pages: HashMap::new(),
            held: HashMap::new(),
            dues: BinaryHeap::new(),
            ends: BinaryHeap::new(),
            count: 0,
            shown: 0,
            next: 0,
            blind_until: 0,
            limits,
        }
    }

    /// How many views are held.
    pub(in crate::delivery) fn held(&self) -> usize {
        self.held.len()
    }

    /// Until when an event is held, in milliseconds since 1970; `None` if it is not.
    pub(in crate::delivery) fn due_of(&self, ticket: Ticket) -> Option<u64> {
        // Usually empty; checking that is cheaper than a failed lookup.
        if self.held.is_empty() {
            return None;
        }
        self.held.get(&ticket).copied()
    }

    /// Whether a request that is held now can be kept to be shown.
    pub(in crate::delivery) fn has_room_to_show(&self) -> bool {
        self.shown < SHOWN
    }

    /// Lets a view, made at `at`, join a load that was reported before, without an event of its own. False if
    /// there is no such load.
    pub(in crate::delivery) fn join(&mut self, key: LoadKey, at: u64, hold: &Hold) -> bool {
        let wait = hold.wait_millis();
        let bit = bit(hold.mouth);
        let load = self
            .pages
            .get_mut(&key)
            .and_then(|loads| loads.iter_mut().find(|load| load.is_open(bit, at, wait)));
        match load {
            Some(load) => {
                load.mouths |= bit;
                true
            }
            None => false,
        }
    }

    /// A view, made at `at`, whose event has a place in its lane.
    pub(in crate::delivery) fn view(
        &mut self,
        key: LoadKey,
        at: u64,
        now: u64,
        hold: &Hold,
        view: HeldView,
    ) -> Viewed {
        if self.join(key, at, hold) {
            return Viewed::Tracked(view);
        }
        let is_full =
            self.held.len() >= self.limits.held || self.count >= self.limits.held + self.limits.remembered;
        if is_full || at < self.blind_until {
            return Viewed::NoRoom(view);
        }
        let due = at + hold.wait_millis() + GRACE;
        if due <= now {
            return Viewed::Due(view);
        }
        self.held.insert(view.ticket, due);
        self.shown += usize::from(view.shown.is_some());
        let id = self.begin(key, at, hold.mouth, Some(view));
        self.dues.push(Reverse((due, id, key)));
        let end = match hold.mouth {
            Mouth::Server => due,
            Mouth::Pixel | Mouth::Script => due.max(at + REMEMBER),
        };
        self.ends.push(Reverse((end, id, key)));
        Viewed::Held
    }

    /// A report of the script, made at `at`. Gives the view that it releases, if one is held.
    pub(in crate::delivery) fn report(&mut self, key: LoadKey, at: u64, hold: &Hold) -> Option<HeldView> {
        let (wait, bit) = (hold.wait_millis(), bit(Mouth::Script));
        if let Some(loads) = self.pages.get_mut(&key) {
            let open = |load: &Load| load.is_open(bit, at, wait);
            let waiting = loads.iter().position(|load| load.view.is_some() && open(load));
            if let Some(found) = waiting.or_else(|| loads.iter().position(open)) {
                loads[found].mouths |= bit;
                let view = loads[found].view.take();
                return view.inspect(|view| self.let_go(view));
            }
        }
        if self.count.saturating_sub(self.held.len()) >= self.limits.remembered {
            self.blind_until = self.blind_until.max(at + wait);
        } else {
            let id = self.begin(key, at, Mouth::Script, None);
            self.ends.push(Reverse((at + wait.max(REMEMBER), id, key)));
        }
        None
    }

    /// When the next view is due, in milliseconds since 1970.
    pub(in crate::delivery) fn next_due(&mut self) -> Option<u64> {
        while let Some(Reverse((due, id, key))) = self.dues.peek() {
            let load = self
                .pages
                .get(key)
                .and_then(|loads| loads.iter().find(|load| load.id == *id));
            if load.is_some_and(|load| load.view.is_some()) {
                return Some(*due);
            }
            self.dues.pop();
        }
        None
    }

    /// Takes a view that nobody released in time. Its load is remembered for a while.
    pub(in crate::delivery) fn take_due(&mut self, now: u64) -> Option<HeldView> {
        if self.next_due().is_none_or(|due| due > now) {
            // Only now, when no load is left whose view is due.
            self.forget(now);
            return None;
        }
        let Reverse((_, id, key)) = self.dues.pop()?;
        let load = self.pages.get_mut(&key)?.iter_mut().find(|load| load.id == id)?;
        let view = load.view.take()?;
        self.let_go(&view);
        Some(view)
    }

    fn begin(&mut self, key: LoadKey, at: u64, mouth: Mouth, view: Option<HeldView>) -> LoadId {
        let id = self.next;
        self.next += 1;
        self.count += 1;
        self.pages.entry(key).or_default().push(Load {
            id,
            at,
            mouths: bit(mouth),
            view,
        });
        id
    }

    fn let_go(&mut self, view: &HeldView) {
        self.held.remove(&view.ticket);
        self.shown -= usize::from(view.shown.is_some());
    }

    /// Forgets what is over.
    fn forget(&mut self, now: u64) {
        while let Some(Reverse((end, _, _))) = self.ends.peek()
            && *end <= now
            && let Some(Reverse((_, id, key))) = self.ends.pop()
        {
            let Entry::Occupied(mut loads) = self.pages.entry(key) else {
                continue;
            };
            let before = loads.get().len();
            loads.get_mut().retain(|load| load.id != id);
            self.count -= before - loads.get().len();
            if loads.get().is_empty() {
                loads.remove();
            }
        }
        if self.count == 0 && self.pages.capacity() > KEPT {
            *self = Loads {
                next: self.next,
                blind_until: self.blind_until,
                ..Loads::within(self.limits)
            };
        }
    }
}

impl Load {
    /// Whether a report of this mouth, made at `at`, can be of it.
    fn is_open(&self, bit: u8, at: u64, wait: u64) -> bool {
        self.mouths & bit == 0 && self.at.abs_diff(at) <= wait
    }
}

fn bit(mouth: Mouth) -> u8 {
    1 << mouth as u8
}

#[cfg(test)]
mod tests;
