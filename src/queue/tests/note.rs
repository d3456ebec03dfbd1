//! The owner's note, over every way to die while it is written.

use super::{
    double::{Double, Plan},
    *,
};

fn open(disk: &Double) -> Queue {
    let mut queue = Queue::open_on(Arc::new(disk.clone()), &settings(), 1_000_000, false);
    queue.recover(1_000_000, &mut |_| {});
    queue
}

/// What another process would read.
fn after_death(disk: &Double, queue: Queue) -> Option<Vec<u8>> {
    drop(queue);
    disk.revive();
    open(disk).note().unwrap()
}

#[test]
fn a_note_replaces_the_one_before_and_outlives_the_process() {
    let disk = Double::default();
    let mut queue = open(&disk);
    assert_eq!(queue.note().unwrap(), None);
    for text in ["one", "a longer one", "3"] {
        assert!(queue.write_note(text.as_bytes()));
        assert_eq!(queue.note().unwrap().as_deref(), Some(text.as_bytes()));
    }
    assert!(!queue.write_note(&vec![0; 5000]), "more than a note may have");
    assert_eq!(after_death(&disk, queue).as_deref(), Some(&b"3"[..]));
}

#[test]
fn a_death_at_any_call_leaves_the_note_before_or_the_new_one() {
    for call in 0..8 {
        let disk = Double::default();
        let mut queue = open(&disk);
        assert!(queue.write_note(b"before"));
        disk.plan(Plan::Die {
            at: disk.calls() + call,
        });
        let written = queue.write_note(b"after");
        let found = after_death(&disk, queue).unwrap();
        let wanted: &[u8] = if written { b"after" } else { b"before" };
        assert_eq!(found, wanted, "dead at call {call}");
    }
}

#[test]
fn a_failing_disk_takes_no_note_and_is_in_alarm() {
    let disk = Double::default();
    let mut queue = open(&disk);
    assert!(queue.write_note(b"before") && queue.survives());
    let from = disk.calls();
    disk.plan(Plan::Fail {
        from,
        until: from + 1,
        kind: std::io::ErrorKind::StorageFull,
    });
    assert!(!queue.write_note(b"after"));
    assert!(queue.alarm().is_some() && !queue.survives());
    assert!(!queue.write_note(b"later"), "not while the disk is out of use");
    queue.tick(1_002_000);
    assert!(queue.survives() && queue.write_note(b"again"));
    assert_eq!(after_death(&disk, queue).as_deref(), Some(&b"again"[..]));
}

#[test]
fn a_note_that_somebody_removes_is_made_anew() {
    let disk = Double::default();
    let mut queue = open(&disk);
    assert!(queue.write_note(b"one"));
    disk.snatch("note");
    assert_eq!(queue.note().unwrap(), None);
    assert!(queue.write_note(b"two"));
    assert_eq!(after_death(&disk, queue).as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_queue_in_memory_has_no_note() {
    let settings = Settings {
        at: At::Memory,
        ..settings()
    };
    let mut queue = Queue::open_on(Arc::new(Double::default()), &settings, 1_000_000, false);
    assert!(!queue.has_home() && !queue.survives() && !queue.write_note(b"one"));
    assert_eq!(queue.note().unwrap(), None);
}
