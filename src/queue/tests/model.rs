//! Random histories: whatever the order of things, what an owner expects is there.

use proptest::prelude::*;

use super::{MAX_BYTES, Owner, settings};

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    /// One in so many, from the oldest on.
    Finish(usize),
    /// That one, counted from the youngest.
    FinishOne(usize),
    Flush,
    Tick(u64),
    Read,
    Close,
    Kill,
    /// The disk has room for so much from here on.
    Room(Option<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..60_u64).prop_map(Step::Append),
        1 => (60..400_u64).prop_map(Step::Append),
        4 => (1..9_usize).prop_map(Step::Finish),
        4 => (0..99_usize).prop_map(Step::FinishOne),
        3 => Just(Step::Flush),
        4 => (1..300_u64).prop_map(Step::Tick),
        1 => (300..2_000_000_u64).prop_map(Step::Tick),
        1 => Just(Step::Read),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => prop::option::of(0..400_000_usize).prop_map(Step::Room),
    ]
}

fn live(steps: &[Step]) {
    let mut owner = Owner::new(settings());
    for step in steps {
        match *step {
            Step::Append(count) => owner.append(count),
            Step::Finish(every) => owner.finish(every),
            Step::FinishOne(index) => {
                if let Some((&at, &key)) = owner.live.iter().rev().nth(index) {
                    owner.finish_at(at, key);
                }
            }
            Step::Flush => owner.flush(),
            Step::Tick(millis) => owner.tick(millis),
            Step::Read => owner.read_all(),
            Step::Close => {
                owner.close();
                owner.open();
            }
            Step::Kill => {
                owner.kill();
                owner.open();
            }
            Step::Room(room) => owner.disk.limit(room),
        }
        assert!(owner.disk.used() as u64 <= MAX_BYTES + 24);
    }
    owner.disk.limit(None);
    owner.tick(1000);
    owner.tick(1000);
    assert_eq!(owner.queue().alarm(), None);
    owner.read_all();
    owner.close();
    owner.open();
    owner.read_all();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_queue_holds_what_an_owner_expects(steps in prop::collection::vec(step(), 1..60)) {
        live(&steps);
    }
}
