//! Files that are cut, damaged, or not the queue's at all. Nothing here may panic, loop, refuse to start, or
//! lose more than what was damaged.

use std::{collections::BTreeSet, ops::Range};

use super::{Owner, Recovered, append, bytes_of, double::Double, frame_of, settings};
use crate::queue::{
    Record,
    frame::{self, FrameKind, HEAD, HEADER, RECORD, SegmentName},
};

/// A directory with three segments, some records of which have ended; the one that wrote it was killed.
fn left_by_another() -> Owner {
    let mut owner = Owner::new(settings());
    owner.append(90);
    owner.finish(4);
    owner.flush();
    owner.append(20);
    owner.finish(7);
    owner.flush();
    owner.kill();
    assert_eq!(owner.disk.names().len(), 3);
    owner
}

/// Another process on a copy of the files, which the damage is done to.
fn opened_after(owner: &Owner, damage: impl FnOnce(&Double)) -> Owner {
    let disk = Double::default();
    for name in owner.disk.names() {
        disk.write(&name, owner.disk.read(&name));
    }
    damage(&disk);
    let mut after = Owner {
        disk,
        left: owner.left.clone(),
        over: owner.over.clone(),
        unsure: owner.unsure.clone(),
        next_key: owner.next_key,
        ..Owner::unopened(owner.settings.clone())
    };
    after.open();
    after
}

/// It works as if nothing had been, and counts nothing twice.
fn goes_on(owner: &mut Owner) {
    assert_eq!(owner.queue().alarm(), None);
    owner.read_all();
    owner.finish(2);
    owner.flush();
    owner.append(10);
    owner.kill();
    owner.open();
    assert_eq!(owner.recovered.corrupt, 0, "it was counted before");
    owner.finish(1);
    owner.close();
    owner.open();
    assert_eq!(owner.recovered, Recovered::default());
}

/// Where the records are in a file that is whole, and their keys.
fn records_in(name: &str, bytes: &[u8]) -> Vec<(Range<usize>, u64)> {
    let seed = SegmentName::parse(name.as_ref()).unwrap().seed();
    let mut records = Vec::new();
    let mut at = HEADER;
    while let Some(head) = frame::read_head(&bytes[at..], seed) {
        let range = at..at + head.whole();
        if head.kind == FrameKind::Record {
            records.push((
                range.clone(),
                frame::read_whole_record(&bytes[at..], seed).unwrap().key,
            ));
        }
        at = range.end;
    }
    assert_eq!(at, bytes.len());
    records
}

/// Q4, at each length.
#[test]
fn a_file_cut_at_any_length_loses_only_what_was_cut() {
    let mut owner = Owner::new(settings());
    owner.append(4);
    owner.finish(4);
    owner.flush();
    owner.append(3);
    owner.kill();
    let name = owner.disk.names().remove(0);
    let whole = owner.disk.read(&name);
    let records = records_in(&name, &whole);
    assert_eq!(records.len(), 7);
    let end_is_written = records[4].0.start;
    owner.over.clear();
    for length in 0..=whole.len() {
        owner.left = records
            .iter()
            .filter(|(range, _)| range.end <= length)
            .map(|&(_, key)| key)
            .collect();
        if length >= end_is_written {
            owner.left.remove(&0);
        }
        let mut after = opened_after(&owner, |disk| disk.write(&name, whole[..length].to_vec()));
        let found: BTreeSet<u64> = after.live.values().copied().collect();
        assert_eq!(
            (&found, after.recovered.corrupt),
            (&owner.left, 0),
            "cut at {length}"
        );
        if length % 50 == 0 {
            goes_on(&mut after);
        }
    }
}

/// Opens after `range` of a file was damaged: what was not hit is there, what was is counted.
fn survives(owner: &Owner, name: &str, range: &Range<usize>, damage: impl FnOnce(&mut [u8])) -> Owner {
    let mut bytes = owner.disk.read(name);
    let records = records_in(name, &bytes);
    let is_last = records.last().is_none_or(|(last, _)| range.end > last.start);
    damage(&mut bytes[range.clone()]);
    let hit = |record: &Range<usize>| record.start < range.end && range.start < record.end;
    let mut before = Owner {
        disk: owner.disk.clone(),
        left: owner.left.clone(),
        over: owner.over.clone(),
        next_key: owner.next_key,
        ..Owner::unopened(settings())
    };
    let hit: BTreeSet<u64> = records
        .iter()
        .filter(|(range, _)| hit(range))
        .map(|&(_, key)| key)
        .collect();
    before.unsure.clone_from(&hit);
    let overlap = |record: &Range<usize>| {
        range
            .end
            .min(record.end)
            .saturating_sub(range.start.max(record.start))
    };
    let in_records: usize = records.iter().map(|(record, _)| overlap(record)).sum();
    let records_alone = in_records == range.len();
    if !records_alone {
        // Where it is said what has ended, some may come back.
        before.unsure.append(&mut before.over);
    }
    let after = opened_after(&before, |disk| disk.write(name, bytes));
    let found: BTreeSet<u64> = after.live.values().copied().collect();
    let lost: BTreeSet<u64> = owner.left.difference(&found).copied().collect();
    assert!(lost.is_subset(&hit), "{lost:?}, hit: {hit:?}");
    let counted = after.recovered.corrupt;
    let lost = lost.len() as u64;
    // Nothing tells how many records a file had where nothing stands behind the damage, nor that a damaged
    // one had ended where that is damaged too.
    let unclear = !records_alone && (lost..=hit.len() as u64).contains(&counted);
    assert!(
        counted == lost || is_last && counted == 1 || unclear,
        "{counted} of {lost}"
    );
    after
}

/// Q5, each of a thousand for itself.
#[test]
fn a_flipped_bit_anywhere_loses_one_record_at_the_most() {
    let owner = left_by_another();
    let mut random = fastrand::Rng::with_seed(1);
    for case in 0..1000 {
        let name = random.choice(owner.disk.names()).unwrap();
        let at = random.usize(..owner.disk.read(&name).len());
        let mut after = survives(&owner, &name, &(at..at + 1), |bytes| {
            bytes[0] ^= 1 << random.u32(..8);
        });
        assert!(after.recovered.corrupt <= 1);
        if case % 10 == 0 {
            goes_on(&mut after);
        }
    }
}

/// Q5, a hundred zeroed pages and as many scrambled ones, each for itself.
#[test]
fn a_zeroed_or_scrambled_page_loses_what_was_in_it() {
    let owner = left_by_another();
    let mut random = fastrand::Rng::with_seed(2);
    for case in 0..200 {
        let name = random.choice(owner.disk.names()).unwrap();
        let length = owner.disk.read(&name).len();
        let page = random.usize(..=length / 4096) * 4096;
        let mut after = survives(&owner, &name, &(page..length.min(page + 4096)), |bytes| {
            if case % 2 == 0 {
                bytes.fill(0);
            } else {
                random.fill(bytes);
            }
        });
        if case % 10 == 0 {
            goes_on(&mut after);
        }
    }
}

/// Q6.
#[test]
fn foreign_files_are_left_alone() {
    let owner = left_by_another();
    let other_version = SegmentName { number: 9, salt: 5 };
    let mut header = frame::header(other_version.seed(), 77).to_vec();
    header[8] = 2;
    let check = crc32c::crc32c_append(other_version.seed(), &header[..HEADER - 4]);
    header[HEADER - 4..].copy_from_slice(&check.to_le_bytes());
    header.extend_from_slice(&[1; 500]);
    let foreign = [
        ("README".to_owned(), b"not a segment".to_vec()),
        ("0000000001-zz.seg".to_owned(), vec![0; 100]),
        ("4294967295-0000000000000000.seg".to_owned(), vec![0; 100]),
        (other_version.to_string(), header),
    ];
    let mut after = opened_after(&owner, |disk| {
        for (name, bytes) in &foreign {
            disk.write(name, bytes.clone());
        }
    });
    assert_eq!(after.recovered.notes.len(), 1, "{:?}", after.recovered.notes);
    assert!(after.recovered.notes[0].contains("version 2"));
    assert_eq!(after.recovered.pending, owner.left.len() as u64);
    after.append(10);
    after.finish(1);
    after.close();
    for (name, bytes) in foreign {
        assert_eq!(after.disk.read(&name), bytes, "{name}");
    }
}

/// Q5, Q6: whatever is in a file, the cost is linear.
#[test]
fn garbage_under_a_segments_name_costs_nothing_but_itself() {
    let mut owner = left_by_another();
    owner.settings.max_bytes = 64 << 20;
    let name = |number| SegmentName { number, salt: 5 }.to_string();
    // Looks like a head's kind and length at every fourth byte.
    let teasing: Vec<u8> = [5, 0, 0, b'R'].repeat(1 << 20);
    // Heads whose checks hold, by one who knew how, each with a long body that is damaged.
    let mut forged = Vec::new();
    let seed = SegmentName { number: 12, salt: 5 }.seed();
    let long = frame_of(&vec![7; 1_000_000], seed, 0);
    (0..4 << 16).for_each(|_| forged.extend_from_slice(&long[..HEAD]));
    let mut after = opened_after(&owner, |disk| {
        disk.write(&name(10), Vec::new());
        disk.write(&name(11), teasing);
        disk.write(&name(12), forged);
        disk.write(&name(13), vec![0; 100_000]);
        disk.write(&name(14), b"short".to_vec());
    });
    // One for each, but for the empty one and the one that is too short to have held a record.
    assert!(
        (3..=8).contains(&after.recovered.corrupt),
        "{:?}",
        after.recovered
    );
    assert_eq!(after.recovered.pending, owner.left.len() as u64);
    after.finish(1);
    after.close();
    assert!(after.disk.used() <= 24);
}

#[test]
fn a_frame_that_a_visitor_put_into_a_record_is_not_taken_for_one() {
    let mut owner = Owner::new(settings());
    // With all but the salt, which nobody knows.
    let inner = frame_of(b"forged", 0, 1);
    let now = owner.now;
    append(
        owner.queue(),
        &[Record {
            key: 1,
            at: 0,
            tag: 1,
            bytes: &inner,
        }],
        now,
        &mut |_, _| {},
    );
    owner.kill();
    let name = owner.disk.names().remove(0);
    let mut bytes = owner.disk.read(&name);
    bytes[HEADER] ^= 1;
    owner.disk.write(&name, bytes);
    owner.open();
    assert_eq!((owner.recovered.pending, owner.recovered.corrupt), (0, 1));
}

#[test]
fn a_record_that_is_damaged_under_way_says_so_when_it_is_read() {
    let mut owner = left_by_another();
    owner.open();
    let (&at, &key) = owner
        .live
        .iter()
        .find(|&(_, &key)| bytes_of(key).len() > 1000)
        .unwrap();
    let name = owner.disk.names().remove(0);
    let mut bytes = owner.disk.read(&name);
    bytes[at.offset() as usize + RECORD + 500] ^= 1;
    owner.disk.overwrite(&name, &bytes);
    let mut into = Vec::new();
    let error = owner.queue().read(at, &mut into).unwrap_err();
    assert!(matches!(error, crate::queue::ReadError::Corrupt), "{error}");
    owner.finish_at(at, key);
    owner.read_all();
    owner.close();
    owner.open();
    assert_eq!(owner.recovered.corrupt, 0, "it has ended");
}
