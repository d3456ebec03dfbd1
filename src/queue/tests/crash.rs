//! The process is killed at every single call to the file system; the power is cut.

use std::collections::BTreeSet;

use super::{Owner, double::Plan, settings};

/// A life with all that there is to it: rotation, ends in and out of order, eviction, expiry, restarts.
const LIFE: [fn(&mut Owner); 30] = [
    |owner| owner.append(10),
    |owner| owner.finish(2),
    |owner| owner.flush(),
    |owner| owner.append(45),
    |owner| owner.tick(100),
    |owner| owner.finish(3),
    |owner| owner.tick(100),
    |owner| owner.append(45),
    |owner| owner.append(1),
    |owner| owner.finish(1),
    |owner| owner.flush(),
    |owner| owner.append(30),
    |owner| owner.close(),
    |owner| owner.open(),
    |owner| owner.append(60),
    |owner| owner.finish(4),
    |owner| owner.tick(60_000),
    |owner| owner.append(1),
    |owner| owner.append(200),
    |owner| owner.tick(100),
    |owner| owner.append(100),
    |owner| owner.finish(5),
    |owner| owner.flush(),
    |owner| owner.kill(),
    |owner| owner.open(),
    |owner| owner.tick(3_550_000),
    |owner| owner.append(3),
    |owner| owner.tick(60_000),
    |owner| owner.tick(3_600_000),
    |owner| owner.close(),
];

/// Lives until the plan ends it; says how many calls that took.
fn live(owner: &mut Owner) -> u64 {
    for step in LIFE {
        step(owner);
        if owner.disk.is_dead() {
            break;
        }
    }
    owner.disk.calls()
}

fn go_on_after(owner: &mut Owner) {
    owner.append(50);
    owner.finish(2);
    owner.tick(100);
    owner.read_all();
    owner.close();
    owner.open();
    assert_eq!(owner.queue().alarm(), None);
    owner.finish(1);
    owner.close();
    assert!(owner.disk.used() <= 24, "a header at the most is left");
    owner.open();
    assert_eq!(owner.live.len(), 0);
}

/// Q3 of the reliability table: one run for each call.
#[test]
fn killed_at_any_call_it_opens_and_has_lost_nothing() {
    let mut whole = Owner::new(settings());
    let calls = live(&mut whole);
    assert!(
        calls > 100 && whole.gone > 0,
        "{calls} calls, {} gone",
        whole.gone
    );
    for at in 0..calls {
        let mut owner = Owner::new(settings());
        owner.disk.plan(Plan::Die { at });
        live(&mut owner);
        if owner.queue.is_some() {
            owner.kill();
        }
        owner.disk.revive();
        owner.open();
        assert_eq!(owner.queue().alarm(), None, "killed at call {at}");
        assert_eq!(owner.recovered.corrupt, 0, "killed at call {at}");
        go_on_after(&mut owner);
    }
}

/// Q2.
#[test]
fn after_a_power_cut_what_was_synced_is_there() {
    for (steps, keep) in (5..40).flat_map(|steps| [0, 3, 100, 255].map(|keep| (steps, keep))) {
        let mut owner = Owner::new(settings());
        let (mut synced, mut ended) = (Vec::new(), BTreeSet::new());
        for step in 0..steps {
            match step % 5 {
                0 => owner.append(9),
                1 => owner.finish(2 + step % 7),
                // The ends are written after the first one's sync.
                2 | 3 => owner.tick(100),
                _ => owner.flush(),
            }
            if owner.queue().is_synced() {
                synced = owner.live.values().copied().collect();
                ended.clone_from(&owner.over);
            }
        }
        assert!(!synced.is_empty() && !ended.is_empty());
        // Of the rest, what was appended may have gone, and what had ended may be back.
        owner
            .unsure
            .extend(owner.live.values().filter(|key| !synced.contains(key)));
        owner.unsure.extend(owner.over.difference(&ended));
        owner.over = ended;
        owner.kill();
        owner.disk.cut_power(keep);
        owner.open();
        assert_eq!(owner.queue().alarm(), None);
        go_on_after(&mut owner);
    }
}

/// Q3, as vector 25570: what is said of a file that a power cut took.
#[test]
fn an_end_that_outlived_its_record_hits_no_other() {
    let mut owner = Owner::new(settings());
    owner.append(5);
    owner.tick(100);
    owner.append(5);
    owner.finish(1);
    owner.flush();
    let ended: Vec<u64> = owner.over.iter().copied().collect();
    owner.unsure.extend(&ended);
    owner.over.clear();
    owner.kill();
    owner.disk.cut_power(0);
    owner.open();
    // They take up the places where the lost ones were, had the file been gone on with.
    owner.append(5);
    owner.kill();
    owner.open();
    assert!((5..15).all(|key| key < 10 || owner.live.values().any(|&live| live == key)));
}
