//! On the file system: who may read the files, the lock, the thread that syncs, the look from outside.

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{MAX_BYTES, bytes_of, settings};
use crate::queue::{At, Millis, Position, Queue, Record, Settings, inspect};

const NOW: Millis = 1_000_000;

fn at(dir: &Path) -> Settings {
    Settings {
        at: At::Disk(dir.to_owned()),
        ..settings()
    }
}

fn append(queue: &mut Queue, keys: std::ops::Range<u64>) -> Vec<Position> {
    let bytes: Vec<_> = keys.clone().map(bytes_of).collect();
    let records: Vec<_> = std::iter::zip(keys, &bytes)
        .map(|(key, bytes)| Record {
            key,
            at: NOW + key,
            tag: 1,
            bytes,
        })
        .collect();
    let mut positions = Vec::new();
    super::append(queue, &records, NOW, &mut |_, position| {
        positions.push(position.unwrap());
    });
    positions
}

fn recovered_keys(queue: &mut Queue) -> Vec<u64> {
    let mut keys = Vec::new();
    queue.recover(NOW, &mut |pending| keys.push(pending.key));
    keys
}

/// P14.
#[test]
fn files_and_directory_are_for_this_user_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state/queue");
    let mut queue = Queue::open(&at(&dir), NOW);
    append(&mut queue, 0..3);
    assert_eq!(queue.alarm(), None);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = dir
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| mode(file) == 0o600));
}

#[test]
fn what_was_appended_is_there_for_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    let positions = append(&mut queue, 0..200);
    positions[..150]
        .iter()
        .for_each(|&position| queue.finish(position));
    queue.close();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    assert!(recovered_keys(&mut queue).into_iter().eq(150..200));
    let mut bytes = Vec::new();
    for key in (150..200).rev() {
        queue.read(positions[key as usize], &mut bytes).unwrap();
        assert_eq!(bytes, bytes_of(key));
    }
}

/// Q17.
#[test]
fn the_second_process_keeps_to_memory_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Queue::open(&at(dir.path()), NOW);
    append(&mut first, 0..10);
    let mut second = Queue::open(&at(dir.path()), NOW);
    assert!(
        second
            .alarm()
            .is_some_and(|alarm| alarm.contains("in use by another process"))
    );
    append(&mut second, 10..20);
    append(&mut first, 20..30);
    first.close();
    second.tick(NOW + 1000);
    assert!(second.needs_recovery());
    assert!(recovered_keys(&mut second).into_iter().eq((0..10).chain(20..30)));
    second.tick(NOW + 1000);
    assert_eq!(second.alarm(), None);
    drop(second);
    let mut third = Queue::open(&at(dir.path()), NOW);
    assert!(
        recovered_keys(&mut third)
            .into_iter()
            .eq((0..10).chain(20..30).chain(10..20))
    );
}

/// Q6.
#[test]
fn a_path_that_can_not_be_a_directory_means_memory_with_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let mut queue = Queue::open(&at(&file), NOW);
    let alarm = queue.alarm().unwrap().to_owned();
    assert!(
        alarm.contains("creating") && alarm.contains("/file") && alarm.contains("os error"),
        "{alarm}"
    );
    let positions = append(&mut queue, 0..10);
    let mut bytes = Vec::new();
    queue.read(positions[9], &mut bytes).unwrap();
    assert_eq!(bytes, bytes_of(9));
    fs::remove_file(&file).unwrap();
    queue.tick(NOW + 1000);
    assert_eq!(queue.alarm(), None);
    drop(queue);
    assert!(
        recovered_keys(&mut Queue::open(&at(&file), NOW))
            .into_iter()
            .eq(0..10)
    );
}

/// Q6.
#[test]
fn what_lies_about_in_the_directory_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut Queue::open(&at(dir.path()), NOW), 0..10);
    fs::create_dir(dir.path().join("0000000007-0000000000000000.seg")).unwrap();
    symlink("/dev/zero", dir.path().join("0000000008-0000000000000000.seg")).unwrap();
    fs::write(dir.path().join("0000000009-0000000000000000.seg"), "").unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    assert!(recovered_keys(&mut queue).into_iter().eq(0..10));
    append(&mut queue, 10..20);
    assert_eq!(queue.alarm(), None);
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_file_removed_by_hand_is_still_read_and_does_not_stop_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    let positions = append(&mut queue, 0..100);
    for entry in dir.path().read_dir().unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut bytes = Vec::new();
    for (key, &position) in (0..).zip(&positions) {
        queue.read(position, &mut bytes).unwrap();
        assert_eq!(bytes, bytes_of(key));
        queue.finish(position);
    }
    queue.flush();
    append(&mut queue, 100..200);
    assert_eq!(queue.alarm(), None);
}

/// Q2.
#[test]
fn what_is_written_is_synced_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    for round in 0..3 {
        append(&mut queue, 0..10 + round);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !queue.is_synced() {
            assert!(Instant::now() < deadline, "no sync in twenty seconds");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_directory_in_use_and_one_that_is_not_can_be_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    let positions = append(&mut queue, 0..100);
    positions[..40]
        .iter()
        .for_each(|&position| queue.finish(position));
    queue.flush();
    let look = |in_use: bool| {
        let totals = inspect::totals(dir.path()).unwrap();
        assert_eq!((totals.in_use, totals.pending, totals.corrupt), (in_use, 60, 0));
        assert_eq!(totals.oldest, Some(NOW + 40));
        let length = |entry: fs::DirEntry| entry.metadata().unwrap().len();
        assert_eq!(
            totals.bytes,
            dir.path()
                .read_dir()
                .unwrap()
                .map(|entry| length(entry.unwrap()))
                .sum::<u64>()
        );
        let mut seen = Vec::new();
        inspect::pending_records(dir.path(), &mut |item| {
            assert_eq!(item.position, positions[item.record.key as usize]);
            assert_eq!(item.record.bytes, bytes_of(item.record.key));
            seen.push(item.record.key);
            if seen.len() < 50 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })
        .unwrap();
        assert!(seen.into_iter().eq(40..90));
    };
    look(true);
    assert!(matches!(
        inspect::purge(dir.path()),
        Err(inspect::InspectError::InUse(_))
    ));
    queue.close();
    look(false);
}

#[test]
fn a_purge_removes_every_record_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(&at(dir.path()), NOW);
    let last = *append(&mut queue, 0..100).last().unwrap();
    queue.close();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(inspect::purge(dir.path()).unwrap(), 100);
    let totals = inspect::totals(dir.path()).unwrap();
    assert_eq!((totals.pending, totals.segments, totals.bytes), (0, 1, 24));
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
    let mut queue = Queue::open(&at(dir.path()), NOW);
    assert!(recovered_keys(&mut queue).is_empty());
    assert!(
        append(&mut queue, 0..1)[0] > last,
        "numbers are not given out twice"
    );
    assert!(matches!(
        inspect::totals(&dir.path().join("none")),
        Err(inspect::InspectError::Read { .. })
    ));
}

#[test]
fn a_backlog_is_read_ahead_and_a_retry_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        max_bytes: 64 * MAX_BYTES,
        ..at(dir.path())
    };
    append(&mut Queue::open(&settings, NOW), 0..5000);
    let mut queue = Queue::open(&settings, NOW);
    let mut positions = Vec::new();
    queue.recover(NOW, &mut |pending| positions.push(pending.position));
    assert_eq!(positions.len(), 5000);
    let mut bytes = Vec::new();
    for (key, &position) in (0..).zip(&positions) {
        queue.read(position, &mut bytes).unwrap();
        assert_eq!(bytes, bytes_of(key));
        let before = key * 7919 % (key + 1);
        queue.read(positions[before as usize], &mut bytes).unwrap();
        assert_eq!(bytes, bytes_of(before));
    }
}
