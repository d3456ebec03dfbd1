use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::{ledger::LedgerEntry, *};

fn event(number: u32, visitor: u64) -> PendingEvent {
    PendingEvent {
        position: Position::new(0, number),
        visitor,
        at: u64::from(number),
    }
}

/// Lanes with one event for each visitor named, at times 0, 1, 2 …
fn lanes(visitors: &[u64]) -> Lanes {
    let mut lanes = Lanes::new(1);
    for (number, visitor) in visitors.iter().enumerate() {
        assert!(lanes.push(event(number as u32, *visitor)).is_some());
    }
    lanes
}

/// The times of all that may be taken now, in that order.
fn take_all(lanes: &mut Lanes) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(ticket) = lanes.take() {
        times.push(lanes.event(ticket).unwrap().at);
    }
    times
}

#[test]
fn one_of_a_visitor_at_a_time_oldest_first() {
    let mut lanes = lanes(&[7, 8, 7, 9, 7]);
    let first = lanes.take().unwrap();
    assert_eq!(lanes.event(first).unwrap().at, 0);
    assert_eq!(take_all(&mut lanes), [1, 3]);
    assert!(!lanes.ready());
    lanes.end(first);
    assert_eq!(take_all(&mut lanes), [2]);
}

#[test]
fn what_returns_goes_before_what_is_younger() {
    let mut lanes = lanes(&[7, 8, 7, 9]);
    let first = lanes.take().unwrap();
    let second = lanes.take().unwrap();
    let third = lanes.take().unwrap();
    assert_eq!(lanes.event(third).unwrap().at, 3);
    assert!(lanes.push(event(4, 10)).is_some());
    lanes.end(first);
    lanes.end(second);
    assert_eq!(take_all(&mut lanes), [2, 4]);
}

#[test]
fn what_was_passed_over_can_be_taken_alone() {
    let mut lanes = lanes(&[7, 8, 7, 9]);
    let first = lanes.take().unwrap();
    let second = lanes.take().unwrap();
    assert_eq!(lanes.take_passed_over(), None, "both are on their way");
    lanes.wait(second, 5);
    lanes.admit(5);
    assert_eq!(lanes.take_passed_over(), Some(second));
    lanes.end(first);
    assert_eq!(lanes.take_passed_over(), None, "the others are still to come");
    assert_eq!(take_all(&mut lanes), [2, 3]);
}

#[test]
fn a_waiting_event_holds_its_lane_and_no_other() {
    let mut lanes = lanes(&[7, 7, 8]);
    let first = lanes.take().unwrap();
    lanes.wait(first, 500);
    assert_eq!(take_all(&mut lanes), [2]);
    assert_eq!(lanes.next_due(), Some(500));
    lanes.admit(499);
    assert!(!lanes.ready());
    lanes.admit(500);
    assert_eq!(lanes.next_due(), None);
    assert_eq!(take_all(&mut lanes), [0]);
    lanes.end(first);
    assert_eq!(take_all(&mut lanes), [1]);
}

#[test]
fn a_sweep_takes_the_old_end_and_leaves_what_flies() {
    let mut lanes = lanes(&[7, 8, 8, 7, 9, 10]);
    let flying = lanes.take().unwrap();
    let mut swept = Vec::new();
    let more = lanes.sweep(10, |event| event.at < 5, |_, event| swept.push(event.at));
    assert!(!more);
    assert_eq!(swept, [1, 2, 4], "0 flies, and 3 stands behind it");
    assert_eq!(lanes.len(), 3);
    assert_eq!(lanes.oldest(), Some(0));
    lanes.end(flying);
    assert_eq!(take_all(&mut lanes), [3, 5]);
}

#[test]
fn a_sweep_stops_at_its_limit_and_at_the_first_that_stays() {
    let mut lanes = lanes(&[1, 2, 3, 4, 5]);
    assert!(lanes.sweep(2, |_| true, |_, _| ()));
    assert_eq!(lanes.oldest(), Some(2));
    assert!(!lanes.sweep(2, |event| event.at == 2, |_, _| ()));
    assert_eq!(lanes.len(), 2);
}

#[test]
fn waiting_events_can_be_dropped() {
    let mut lanes = lanes(&[7, 7, 8]);
    let first = lanes.take().unwrap();
    lanes.wait(first, 500);
    let mut dropped = Vec::new();
    lanes.drop_all(|event| event.at != 1, |_, event| dropped.push(event.at));
    assert_eq!(dropped, [0, 2]);
    assert_eq!(lanes.next_due(), None);
    assert_eq!(take_all(&mut lanes), [1]);
}

#[test]
fn memory_goes_back_after_a_backlog() {
    let mut lanes = Lanes::new(1);
    for number in 0..100_000 {
        assert!(lanes.push(event(number, u64::from(number))).is_some());
    }
    while let Some(ticket) = lanes.take() {
        lanes.end(ticket);
    }
    assert_eq!((lanes.len(), lanes.oldest()), (0, None));
    assert!(
        lanes.memory() < 200_000,
        "{} bytes for nothing pending",
        lanes.memory()
    );
    assert!(lanes.push(event(1, 1)).is_some());
    assert_eq!(take_all(&mut lanes), [1]);
}

/// Q9 of the figures: 64 MiB for a million queued events, of which the queue's own share is small.
#[test]
fn a_million_events_of_a_million_visitors_fit() {
    const MILLION: u32 = 1_000_000;
    assert_eq!(size_of::<LedgerEntry>(), 32);
    let mut lanes = Lanes::new(1);
    for number in 0..MILLION {
        assert!(lanes.push(event(number, u64::from(number))).is_some());
    }
    let mib = lanes.memory() as f64 / f64::from(1 << 20);
    assert!(mib < 46.0, "{mib} MiB");
    let mut taken = 0;
    while let Some(ticket) = lanes.take() {
        assert_eq!(lanes.event(ticket).unwrap().at, u64::from(taken));
        lanes.end(ticket);
        taken += 1;
    }
    assert_eq!(taken, MILLION);
}

/// What lanes are, as simply as it can be said.
#[derive(Default)]
struct Model {
    lanes: BTreeMap<u64, VecDeque<u32>>,
    flying: BTreeMap<u64, Ticket>,
    waiting: BTreeMap<u64, u64>,
    ended: Vec<u32>,
    pushed: u32,
    /// The tickets, by number.
    given: Vec<Ticket>,
}

impl Model {
    /// The oldest event that may be sent.
    fn next(&self) -> Option<(u64, u32)> {
        let free = |visitor: &u64| !self.flying.contains_key(visitor) && !self.waiting.contains_key(visitor);
        self.lanes
            .iter()
            .filter(|(visitor, _)| free(visitor))
            .filter_map(|(visitor, lane)| Some((*visitor, *lane.front()?)))
            .min_by_key(|(_, number)| *number)
    }

    /// What is pending: its visitor, its place in the lane, its ticket.
    fn tickets(&self) -> Vec<(u64, usize, Ticket)> {
        let places = self
            .lanes
            .iter()
            .flat_map(|(visitor, lane)| lane.iter().enumerate().map(move |(at, n)| (*visitor, at, *n)));
        places
            .map(|(visitor, at, number)| (visitor, at, self.given[number as usize]))
            .collect()
    }

    fn withdraw(&mut self, visitor: u64, at: usize) {
        let number = self.lanes.get_mut(&visitor).unwrap().remove(at).unwrap();
        self.ended.push(number);
        if at == 0 {
            self.waiting.remove(&visitor);
        }
    }

    fn end_front(&mut self, visitor: u64) {
        let number = self.lanes.get_mut(&visitor).unwrap().pop_front().unwrap();
        self.ended.push(number);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push { visitor: u64 },
    Take,
    EventEnd { which: usize },
    Withdraw { which: usize },
    Wait { which: usize, due: u64 },
    Admit { now: u64 },
    Sweep { below: u64 },
    Drop { from: u64, below: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..12_u64).prop_map(|visitor| Step::Push { visitor }),
        5 => Just(Step::Take),
        4 => any::<usize>().prop_map(|which| Step::EventEnd { which }),
        3 => any::<usize>().prop_map(|which| Step::Withdraw { which }),
        2 => (any::<usize>(), 0..100_u64).prop_map(|(which, due)| Step::Wait { which, due }),
        2 => (0..100_u64).prop_map(|now| Step::Admit { now }),
        1 => (0..300_u64).prop_map(|below| Step::Sweep { below }),
        1 => (0..300_u64, 0..30_u64).prop_map(|(from, len)| Step::Drop { from, below: from + len }),
    ]
}

proptest! {
    #[test]
    fn lanes_do_what_the_model_does(steps in proptest::collection::vec(step(), 0..400)) {
        let mut lanes = Lanes::new(3);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Push { visitor } => {
                    let ticket = lanes.push(event(model.pushed, visitor));
                    prop_assert!(ticket.is_some());
                    model.given.extend(ticket);
                    model.lanes.entry(visitor).or_default().push_back(model.pushed);
                    model.pushed += 1;
                }
                Step::Take => {
                    let taken = lanes.take();
                    let found = taken.map(|ticket| lanes.event(ticket).unwrap());
                    let expected = model.next().map(|(visitor, number)| event(number, visitor));
                    prop_assert_eq!(found, expected);
                    if let (Some(ticket), Some(event)) = (taken, found) {
                        model.flying.insert(event.visitor, ticket);
                    }
                }
                Step::EventEnd { which } => {
                    let Some((visitor, ticket)) = pick(&model.flying, which) else { continue };
                    model.flying.remove(&visitor);
                    model.end_front(visitor);
                    lanes.end(ticket);
                }
                Step::Withdraw { which } => {
                    let pending: Vec<(u64, usize, Ticket)> = model.tickets();
                    let Some((visitor, at, ticket)) = which.checked_rem(pending.len()).map(|n| pending[n])
                    else {
                        continue;
                    };
                    let flies = at == 0 && model.flying.contains_key(&visitor);
                    prop_assert_eq!(lanes.withdraw(ticket), !flies);
                    if !flies {
                        model.withdraw(visitor, at);
                    }
                    prop_assert!(flies || !lanes.withdraw(ticket), "it has ended");
                }
                Step::Wait { which, due } => {
                    let Some((visitor, ticket)) = pick(&model.flying, which) else { continue };
                    model.flying.remove(&visitor);
                    model.waiting.insert(visitor, due);
                    lanes.wait(ticket, due);
                }
                Step::Admit { now } => {
                    model.waiting.retain(|_, due| *due > now);
                    lanes.admit(now);
                }
                Step::Sweep { below } => {
                    let mut swept = Vec::new();
                    lanes.sweep(usize::MAX, |event| event.at < below, |_, event| swept.push(*event));
                    end_all(&mut model, &swept, |at| at < below)?;
                }
                Step::Drop { from, below } => {
                    let mut dropped = Vec::new();
                    lanes.drop_all(|event| (from..below).contains(&event.at), |_, event| dropped.push(*event));
                    end_all(&mut model, &dropped, |at| (from..below).contains(&at))?;
                }
            }
            let pending: usize = model.lanes.values().map(VecDeque::len).sum();
            prop_assert_eq!(lanes.len(), pending);
            let oldest = model.lanes.values().filter_map(|lane| lane.front()).min();
            prop_assert_eq!(lanes.oldest(), oldest.map(|number| u64::from(*number)));
            prop_assert_eq!(lanes.ready(), model.next().is_some());
            prop_assert_eq!(lanes.next_due(), model.waiting.values().min().copied());
        }
        let mut ended = model.ended.clone();
        ended.sort_unstable();
        ended.dedup();
        prop_assert_eq!(ended.len(), model.ended.len(), "an event ends once");
    }
}

fn pick(flying: &BTreeMap<u64, Ticket>, which: usize) -> Option<(u64, Ticket)> {
    let nth = which.checked_rem(flying.len())?;
    flying
        .iter()
        .nth(nth)
        .map(|(visitor, ticket)| (*visitor, *ticket))
}

/// Each that the lanes ended is the first of a lane that does not fly, in the range; and no such one is left.
fn end_all(
    model: &mut Model,
    ended: &[PendingEvent],
    range: impl Fn(u64) -> bool,
) -> Result<(), TestCaseError> {
    for event in ended {
        prop_assert!(range(event.at));
        prop_assert!(!model.flying.contains_key(&event.visitor));
        prop_assert_eq!(
            model.lanes[&event.visitor].front().copied(),
            Some(event.at as u32)
        );
        model.waiting.remove(&event.visitor);
        model.end_front(event.visitor);
    }
    for (visitor, lane) in &model.lanes {
        if let Some(first) = lane.front().filter(|_| !model.flying.contains_key(visitor)) {
            prop_assert!(!range(u64::from(*first)), "{first} was left");
        }
    }
    Ok(())
}
