//! A source that can be read again, and what is known of its place after each way to die.

use std::path::Path;

use super::*;
use crate::queue::At;

fn on_disk(path: &Path) -> queue::Settings {
    queue::Settings {
        at: At::Disk(path.to_owned()),
        ..in_memory()
    }
}

/// Nobody listens there.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9))
}

fn portion(rig: &Rig, paths: &[&str], place: &str) -> Portion {
    let clock = rig.delivery.clock();
    let mut portion = Portion::default();
    for path in paths {
        portion.push(&sighting(&clock, 1, path), None, path.as_bytes());
    }
    portion.set_place(place.as_bytes());
    portion
}

/// Waits until the queue is recovered.
fn place(rig: &Rig) -> KnownPlace {
    let feed = rig.delivery.feed();
    let begun = Instant::now();
    loop {
        match feed.place().unwrap() {
            KnownPlace::NotNow => assert!(begun.elapsed() < PATIENCE, "no place is known"),
            known => return known,
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn at(place: &str) -> KnownPlace {
    KnownPlace::At(place.as_bytes().to_vec())
}

#[test]
fn a_place_is_known_to_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    assert_eq!(place(&rig), KnownPlace::Nowhere);
    let feed = rig.delivery.feed();
    let (taken, _) = feed.store(portion(&rig, &["/a", "/b"], "after b")).unwrap();
    assert_eq!(taken, Taken::Noted);
    assert_eq!(place(&rig), at("after b"));
    // Without an event the place moves too.
    assert_eq!(feed.store(portion(&rig, &[], "further")).unwrap().0, Taken::Noted);
    assert_eq!(rig.balance().pending, 2);
    rig.stop();
    assert_eq!(feed.place(), Err(FeedLost));
    let rig = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    assert_eq!(place(&rig), at("further"));
    assert_eq!(rig.balance().pending, 2);
    rig.stop();
}

/// The process dies between the append and the note: the records say what is stored.
#[test]
fn records_that_came_after_the_note_are_known_by_their_own_places() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    place(&rig);
    let feed = rig.delivery.feed();
    feed.store(portion(&rig, &["/a"], "after a")).unwrap();
    let note = directory.path().join("note");
    let before = std::fs::read(&note).unwrap();
    feed.store(portion(&rig, &["/b", "/c"], "after c")).unwrap();
    rig.stop();
    std::fs::write(&note, before).unwrap();
    let rig = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    assert_eq!(place(&rig), at("/c"), "the last event's own place");
    rig.stop();
}

#[test]
fn a_queue_in_memory_keeps_no_place() {
    let rig = Rig::new(settings(nowhere()));
    assert_eq!(place(&rig), KnownPlace::NeverKept);
    let (taken, _) = rig.delivery.feed().store(portion(&rig, &["/a"], "x")).unwrap();
    assert_eq!(taken, Taken::Unnoted);
    assert_eq!(rig.balance().pending, 1);
    rig.stop();
}

#[test]
fn a_directory_in_use_gives_no_place_and_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let first = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    place(&first);
    let feed = first.delivery.feed();
    feed.store(portion(&first, &["/a"], "after a")).unwrap();
    let second = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    let later = second.delivery.feed();
    assert_eq!(later.place(), Ok(KnownPlace::NotNow));
    assert_eq!(
        later.store(portion(&second, &["/b"], "after b")).unwrap().0,
        Taken::NotNow
    );
    assert_eq!(second.balance().pending, 0);
    first.stop();
    assert_eq!(place(&second), at("after a"), "once the first one has gone");
    second.stop();
}

#[test]
fn an_event_that_is_too_old_ends_at_once_and_the_place_moves() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    place(&rig);
    let clock = rig.delivery.clock();
    let mut old = Portion::default();
    let mut seen = sighting(&clock, 1, "/old");
    seen.at_ms -= 2 * 3_600_000;
    old.push(&seen, None, b"old");
    old.set_place(b"after old");
    assert_eq!(rig.delivery.feed().store(old).unwrap().0, Taken::Noted);
    assert_eq!(rig.finished(account::EventEnd::Expired), 1);
    assert_eq!(rig.balance().pending, 0);
    assert_eq!(place(&rig), at("after old"));
    rig.stop();
}

/// After a panic the place is that of what the queue has.
#[test]
fn a_failure_of_delivery_loses_no_place() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with_queue(settings(nowhere()), on_disk(directory.path()));
    place(&rig);
    let feed = rig.delivery.feed();
    feed.store(portion(&rig, &["/a"], "after a")).unwrap();
    rig.delivery.engine.commands.send(Command::Panic).unwrap();
    let begun = Instant::now();
    let known = loop {
        match feed.place() {
            Ok(KnownPlace::At(place)) => break place,
            _ => assert!(begun.elapsed() < PATIENCE),
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(known, b"after a");
    rig.stop();
}
