//! Where events wait for older ones of the same visitor.

use std::collections::{BTreeMap, BTreeSet};

/// An event as a gateway gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedEvent {
    /// Its number in the stream.
    pub sequence: u64,
    /// The visitor's key.
    pub visitor: u64,
    /// When its page was shown, in milliseconds since 1970; no later than when it came into the stream, for a
    /// sidecar's clock may be ahead.
    pub at: u64,
    /// The event as queues store it.
    pub record: Vec<u8>,
}

/// Events that wait. Each may go once it has waited for so long here, and takes those with it that are before
/// it in its visitor's order, by the times of their pages.
///
/// The wait begins when the event comes, and not at its page: so it does not depend on the clocks of sidecars,
/// and an event that a sidecar could not publish for an hour still waits for its older sisters. That is no rare
/// case: whenever the servers choose a leader, all sidecars publish late, and at the same time.
#[derive(Debug)]
pub(super) struct WaitingEvents {
    /// For how long each waits, in milliseconds.
    wait: u64,
    /// By their number, and when each may go.
    events: BTreeMap<u64, (StreamedEvent, u64)>,
    /// When each may go, and its number.
    due: BTreeSet<(u64, u64)>,
    /// By visitor, time of the page, and number.
    order: BTreeSet<(u64, u64, u64)>,
}

impl WaitingEvents {
    pub(super) fn new(wait: u64) -> Self {
        WaitingEvents {
            wait,
            events: BTreeMap::new(),
            due: BTreeSet::new(),
            order: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, event: StreamedEvent, now: u64) {
        let due = now.saturating_add(self.wait);
        self.due.insert((due, event.sequence));
        self.order.insert((event.visitor, event.at, event.sequence));
        self.events.insert(event.sequence, (event, due));
    }

    /// When the next one may go.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes the next one that may go.
    pub(super) fn take(&mut self, now: u64) -> Option<StreamedEvent> {
        let (due, sequence) = *self.due.first()?;
        if due > now {
            return None;
        }
        let visitor = self.events.get(&sequence)?.0.visitor;
        let place = *self.order.range((visitor, 0, 0)..).next()?;
        self.order.remove(&place);
        let (event, due) = self.events.remove(&place.2)?;
        self.due.remove(&(due, event.sequence));
        Some(event)
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        if let Some((event, due)) = self.events.remove(&sequence) {
            self.due.remove(&(due, sequence));
            self.order.remove(&(event.visitor, event.at, sequence));
        }
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.due.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(sequence: u64, visitor: u64, at: u64) -> StreamedEvent {
        StreamedEvent {
            sequence,
            visitor,
            at,
            record: Vec::new(),
        }
    }

    fn taken(waiting: &mut WaitingEvents, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| waiting.take(now).map(|event| event.sequence)).collect()
    }

    #[test]
    fn an_event_takes_its_visitors_older_ones_along() {
        let mut waiting = WaitingEvents::new(500);
        waiting.add(event(1, 7, 200), 1_000);
        waiting.add(event(2, 8, 90), 1_100);
        waiting.add(event(3, 7, 100), 1_400);
        waiting.add(event(4, 7, 300), 1_400);
        assert_eq!(waiting.next_due(), Some(1_500));
        assert_eq!(taken(&mut waiting, 1_499), Vec::<u64>::new());
        assert_eq!(taken(&mut waiting, 1_500), [3, 1]);
        assert_eq!(taken(&mut waiting, 1_600), [2]);
        assert_eq!(taken(&mut waiting, 1_900), [4]);
        assert_eq!(waiting.next_due(), None);
    }

    /// Takes the next one, and checks that it may go now.
    fn check(waiting: &mut WaitingEvents, came: &mut BTreeMap<u64, (u64, u64, u64)>, now: u64) {
        let next = waiting.take(now).expect("one is due");
        let (at, visitor, page) = came.remove(&next.sequence).expect("it came and has not gone");
        assert_eq!((visitor, page), (next.visitor, next.at));
        assert!(now <= at + waiting.wait, "none waits longer");
        let older = came.iter().find(|(number, (_, other, other_page))| {
            *other == visitor && (*other_page, **number) < (page, next.sequence)
        });
        assert_eq!(older, None, "an older one of its visitor is there");
    }

    proptest! {
        #[test]
        fn each_goes_once_in_time_and_in_order_of_what_is_there(
            comes in prop::collection::vec((0_u64..300, 0_u64..4, 0_u64..1_000), 1..60),
            wait in 0_u64..1_000,
        ) {
            let mut waiting = WaitingEvents::new(wait);
            let mut came = BTreeMap::new();
            let mut now = 0;
            for (number, (pause, visitor, at)) in comes.into_iter().enumerate() {
                let next = now + pause;
                while let Some(due) = waiting.next_due().filter(|due| *due <= next) {
                    check(&mut waiting, &mut came, due.max(now));
                }
                now = next;
                waiting.add(event(number as u64, visitor, at), now);
                came.insert(number as u64, (now, visitor, at));
            }
            while let Some(due) = waiting.next_due() {
                check(&mut waiting, &mut came, due.max(now));
            }
            prop_assert!(came.is_empty(), "{came:?} never went");
        }
    }
}
