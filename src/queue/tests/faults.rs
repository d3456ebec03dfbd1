//! Calls that fail, a disk without room, the bound.

use std::{
    io::ErrorKind,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::{
    MAX_BYTES, Owner, Queue, Record, Settings, append,
    double::{Double, Plan},
    settings,
};

/// What is promised of the files' length, and the header that keeps a number.
const BOUND: usize = MAX_BYTES as usize + 24;

fn live(owner: &mut Owner) {
    for round in 0..6 {
        owner.append(30);
        owner.finish(3);
        owner.flush();
        owner.append(10);
        owner.tick(700);
        owner.read_all_that_can_be();
        owner.append(60 + 100 * (round % 3));
        owner.tick(700);
        if round == 2 {
            owner.close();
            owner.open();
        }
    }
}

/// Within five seconds it is durable again, and what was in memory is too.
fn recovers(owner: &mut Owner) {
    owner.disk.plan(Plan::Work);
    owner.disk.limit(None);
    for _ in 0..25 {
        owner.tick(200);
    }
    assert_eq!(owner.queue().alarm(), None);
    assert_eq!(owner.in_memory().len(), 0);
    owner.read_all();
    owner.append(10);
    owner.finish(3);
    owner.flush();
    owner.kill();
    owner.open();
    owner.read_all();
    owner.finish(1);
    owner.close();
    owner.open();
    assert_eq!(owner.live.len(), owner.recovered.pending as usize);
    assert!(owner.disk.peak() <= BOUND, "{} bytes", owner.disk.peak());
}

/// Q7: every call for itself, and from every fifth on for a while; ENOSPC and another error in turn.
#[test]
fn any_call_may_fail_once_or_for_a_while() {
    let mut whole = Owner::new(settings());
    live(&mut whole);
    let calls = whole.disk.calls();
    assert!(calls > 100, "{calls}");
    // Every call for itself; longer failures from every fifth one on.
    let once = (0..calls).map(|from| (from, 1));
    let for_a_while = (0..calls)
        .step_by(5)
        .flat_map(|from| [7, 60].map(|many| (from, many)));
    for (from, many) in once.chain(for_a_while) {
        let kind = if from % 2 == 0 {
            ErrorKind::StorageFull
        } else {
            ErrorKind::Other
        };
        let mut owner = Owner::unopened(settings());
        owner.disk.plan(Plan::Fail {
            from,
            until: from + many,
            kind,
        });
        owner.open();
        live(&mut owner);
        recovers(&mut owner);
    }
}

#[test]
fn a_disk_that_never_worked_is_used_once_it_does() {
    let mut owner = Owner::unopened(settings());
    owner.disk.plan(Plan::Fail {
        from: 0,
        until: u64::MAX,
        kind: ErrorKind::PermissionDenied,
    });
    owner.open();
    owner.append(20);
    owner.tick(100);
    let alarm = owner.queue().alarm().unwrap();
    assert!(
        alarm.contains("/queue") && alarm.contains("permission denied"),
        "{alarm}"
    );
    owner.finish(2);
    recovers(&mut owner);
}

/// Q7.
#[test]
fn on_a_full_disk_what_ended_is_removed_and_then_the_disk_is_used_again() {
    let mut owner = Owner::new(settings());
    owner.disk.limit(Some(200_000));
    for _ in 0..20 {
        owner.append(20);
        owner.tick(100);
    }
    assert!(
        owner
            .queue()
            .alarm()
            .is_some_and(|alarm| alarm.contains("writing"))
    );
    owner.read_all();
    let full = owner.disk.used();
    // No room is made but by what ends.
    owner.finish(1);
    owner.tick(100);
    assert!(owner.disk.used() < full);
    for _ in 0..12 {
        owner.tick(100);
    }
    assert_eq!(owner.queue().alarm(), None);
    recovers(&mut owner);
}

/// Q6, Q7.
#[test]
fn memory_is_bounded_while_the_disk_is_out_of_use() {
    let mut owner = Owner::new(settings());
    owner.append(100);
    owner.disk.limit(Some(0));
    for _ in 0..30 {
        owner.append(50);
        owner.tick(100);
    }
    let in_files = owner.disk.used() as u64;
    assert!(owner.queue().bytes() <= in_files + MAX_BYTES);
    assert!(owner.gone > 0);
    assert!(
        owner.live.values().any(|&key| key < 100),
        "what is in the files stays"
    );
    owner.read_all();
    recovers(&mut owner);
}

/// Q8.
#[test]
fn the_files_never_take_up_more_than_the_limit_and_one_segment() {
    for every in [1, 2, 30, 1000] {
        let mut owner = Owner::new(settings());
        for round in 0..100 {
            owner.append(20 + round % 50);
            owner.finish(every);
            owner.flush();
            assert!(owner.disk.used() <= BOUND);
            if round % 10 == 9 {
                owner.close();
                owner.open();
            }
        }
        assert!(owner.disk.peak() <= BOUND, "{}", owner.disk.peak());
        assert_eq!(owner.gone > 0, every > 1, "{every}");
    }
}

/// Q8.
#[test]
fn there_is_room_for_each_end_that_is_yet_to_come() {
    let mut owner = Owner::new(settings());
    let record = Record {
        key: 0,
        at: 0,
        tag: 0,
        bytes: &[],
    };
    let mut positions = Vec::new();
    let now = owner.now;
    for _ in 0..400 {
        append(owner.queue(), &[record; 50], now, &mut |_, position| {
            positions.push(position.unwrap());
        });
    }
    // One in a thousand stays, so that its file does.
    for (index, &position) in positions.iter().enumerate() {
        if index % 1000 != 0 {
            owner.queue().finish(position);
            owner.queue().flush();
        }
    }
    assert_eq!(owner.queue().alarm(), None);
    assert!(owner.disk.peak() <= BOUND, "{} bytes", owner.disk.peak());
    assert!(owner.disk.peak() > BOUND * 8 / 10);
}

#[test]
fn a_segment_that_was_moved_to_the_disk_in_the_second_try_stays_there() {
    for (from, many) in (0..12).flat_map(|from| (1..12).map(move |many| (from, many))) {
        let mut owner = Owner::new(settings());
        owner.append(30);
        owner.disk.limit(Some(0));
        owner.append(30);
        owner.disk.limit(None);
        let from = owner.disk.calls() + from;
        owner.disk.plan(Plan::Fail {
            from,
            until: from + many,
            kind: ErrorKind::Other,
        });
        (0..8).for_each(|_| owner.tick(1000));
        recovers(&mut owner);
    }
}

/// Q12.
#[test]
fn a_lowered_limit_drops_the_oldest_and_goes_on() {
    let mut owner = Owner::new(Settings {
        max_bytes: 4 * MAX_BYTES,
        ..settings()
    });
    owner.append(1000);
    owner.close();
    owner.settings.max_bytes = MAX_BYTES / 2;
    owner.open();
    assert!(
        owner.recovered.evicted > 0 && owner.recovered.pending > 0,
        "{:?}",
        owner.recovered
    );
    assert!(
        owner.live.values().all(|&key| key >= owner.recovered.evicted),
        "the oldest went"
    );
    assert!(owner.disk.used() as u64 <= MAX_BYTES / 2);
    owner.append(100);
    owner.read_all();
    owner.settings.max_bytes = 0;
    owner.close();
    owner.open();
    owner.append(100);
    owner.read_all();
    assert!(owner.disk.used() <= (64 << 10) + 24);
}

#[test]
fn a_sync_that_never_returns_holds_up_no_close() {
    let disk = Double::default();
    let mut queue = Queue::open_on(Arc::new(disk.clone()), &settings(), 0, true);
    let record = Record {
        key: 1,
        at: 0,
        tag: 0,
        bytes: b"written",
    };
    disk.stick(true);
    append(&mut queue, &[record], 0, &mut |_, _| {});
    assert!(!queue.is_synced());
    let (closed, end) = mpsc::channel();
    thread::spawn(move || closed.send(queue.close()));
    end.recv_timeout(Duration::from_secs(30)).unwrap();
    // Who comes next finds all of it.
    disk.stick(false);
    let mut next = Queue::open_on(Arc::new(disk), &settings(), 0, true);
    assert_eq!(next.recover(0, &mut |_| {}).pending, 1);
}

/// Q17.
#[test]
fn a_directory_in_use_is_taken_over_when_it_is_free() {
    let mut first = Owner::new(settings());
    first.append(100);
    let mut second = Owner::on(first.disk.clone(), settings());
    let alarm = second.queue().alarm().unwrap();
    assert!(alarm.contains("in use by another process"), "{alarm}");
    second.next_key = 1000;
    second.append(10);
    second.tick(2000);
    assert!(second.queue().alarm().is_some());
    first.append(100);
    first.close();
    second.left = first.left;
    second.tick(1000);
    assert_eq!(second.queue().alarm(), None);
    assert_eq!(second.recovered.pending, 200);
    second.append(10);
    second.read_all();
    second.kill();
    second.open();
    assert_eq!(second.recovered.pending, 220);
    second.read_all();
}

#[test]
fn who_was_overtaken_while_waiting_for_the_lock_comes_in_once_its_memory_is_empty() {
    let first = Owner::new(settings());
    let mut second = Owner::on(first.disk.clone(), settings());
    second.append(10);
    // The first one got far ahead.
    first.disk.write("0000100000-0000000000000000.seg", Vec::new());
    drop(first);
    second.tick(1000);
    let alarm = second.queue().alarm().unwrap();
    assert!(alarm.contains("newer files"), "{alarm}");
    second.read_all();
    second.finish(1);
    second.tick(1000);
    second.tick(1000);
    assert_eq!(second.queue().alarm(), None);
    second.append(10);
    second.kill();
    second.open();
    assert_eq!(second.recovered.pending, 10);
}

/// R3: what is open is written again under the same positions, whole, and the alarm is over soon.
#[test]
fn a_file_that_somebody_removed_is_written_again() {
    let mut owner = Owner::new(settings());
    owner.append(200);
    owner.finish(7);
    owner.tick(100);
    for name in owner.disk.names() {
        owner.disk.snatch(&name);
    }
    // One tick asks for a look, the next one hears of it.
    owner.tick(400);
    owner.tick(100);
    let alarm = owner.queue().alarm().unwrap().to_owned();
    assert!(alarm.contains("was removed or moved away"), "{alarm}");
    owner.append(20);
    owner.tick(1000);
    assert_eq!(owner.queue().alarm(), None);
    owner.read_all();
    assert_eq!(owner.gone, 0);
    owner.finish(3);
    owner.flush();
    owner.kill();
    owner.open();
    owner.read_all();
    assert_eq!(owner.recovered.corrupt, 0);
}

/// R3: a file cut short has what was appended last from memory, and the rest of it is reported as gone.
#[test]
fn a_file_that_somebody_cut_short_loses_what_memory_does_not_know() {
    let mut owner = Owner::new(Settings {
        max_bytes: 8 << 20,
        ..settings()
    });
    // More than the cache of recent writes.
    for _ in 0..100 {
        owner.append(5);
    }
    owner.finish(7);
    owner.tick(100);
    let name = owner.disk.names().pop().unwrap();
    let mut bytes = owner.disk.read(&name);
    bytes.truncate(100_000);
    owner.disk.overwrite(&name, &bytes);
    for millis in [400, 100, 1000] {
        owner.tick(millis);
    }
    assert_eq!(owner.queue().alarm(), None);
    let (gone, left) = (owner.gone, owner.live.len() as u64);
    assert!(gone > 20 && left > 150, "{gone} gone, {left} left");
    owner.read_all();
    owner.flush();
    owner.kill();
    owner.open();
    assert_eq!((owner.recovered.pending, owner.recovered.corrupt), (left, 0));
    owner.read_all();
}
