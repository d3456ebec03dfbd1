//! Files that are cut, damaged, or another's (RELIABILITY.md Q4, Q5, Q6): what is whole is sent, once; what
//! is not is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{ACCEPTED, Stage, files_in, recorded, stage, visit};
use crate::support::{
    full,
    load::Steady,
    metrics::Metrics,
    process::{Sidecar, run},
};

/// A damaged page, in bytes.
const PAGE: usize = 4096;

/// A directory of an earlier process: its files, and where in them each page's event is.
struct Left {
    directory: TempDir,
    files: Vec<PathBuf>,
    /// By page: which file, and the bytes from its event's first to the next one's.
    places: BTreeMap<usize, (usize, Range<usize>)>,
}

impl Left {
    /// So many events, by a process that was stopped while Plausible was down.
    fn with(events: usize) -> Left {
        let stage = stage();
        stage.plausible.die();
        // Segments of an eighth of it.
        let mut sidecar = stage.builder.set("queue.max_bytes", "4MiB").start();
        visit(&sidecar, 0..events);
        sidecar.stop();
        let directory = TempDir::new().unwrap();
        copy(&sidecar.queue(), directory.path());
        let mut files = files_in(directory.path());
        files.retain(|file| file.extension().is_some_and(|e| e == "seg"));
        files.sort();
        let places = places(directory.path(), &files);
        assert_eq!(places.len(), events);
        Left {
            directory,
            files,
            places,
        }
    }

    /// Which pages' events have a byte of this range.
    fn hit(&self, file: usize, range: &Range<usize>) -> impl Iterator<Item = usize> {
        let hit = move |(at, place): &(usize, Range<usize>)| {
            *at == file && place.start < range.end && range.start < place.end
        };
        self.places
            .iter()
            .filter(move |(_, place)| hit(place))
            .map(|(page, _)| *page)
    }

    /// How many of a file's events stand behind its last whole one: that there were so many, nothing may tell
    /// any more.
    fn behind_the_last_whole(&self, file: usize, hit: &BTreeSet<usize>) -> usize {
        let of_file = self.places.iter().rev().filter(|(_, place)| place.0 == file);
        of_file.take_while(|(page, _)| hit.contains(page)).count()
    }
}

/// Where the events are, by what `queue export` says.
fn places(directory: &Path, files: &[PathBuf]) -> BTreeMap<usize, (usize, Range<usize>)> {
    let output = run(&["queue", "export", directory.to_str().unwrap()], "");
    assert!(output.status.success(), "{output:?}");
    let lengths: Vec<usize> = files
        .iter()
        .map(|f| fs::metadata(f).unwrap().len() as usize)
        .collect();
    let mut places = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines().rev() {
        let event: Value = serde_json::from_str(line).unwrap();
        let (segment, offset) = event["position"].as_str().unwrap().split_once(':').unwrap();
        let (segment, offset): (u32, usize) = (segment.parse().unwrap(), offset.parse().unwrap());
        let of_number = |f: &PathBuf| {
            f.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&format!("{segment:010}-"))
        };
        let file = files.iter().position(of_number).unwrap();
        let page = event["body"]["url"].as_str().unwrap().rsplit('/').next().unwrap();
        let next = places
            .first_key_value()
            .filter(|(_, (of, _)): &(&usize, &(usize, Range<usize>))| *of == file)
            .map_or(lengths[file], |(_, (_, range))| range.start);
        places.insert(page.parse().unwrap(), (file, offset..next));
    }
    places
}

fn copy(from: &Path, to: &Path) {
    for file in files_in(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Q5: a thousand flipped bits, then a hundred zeroed pages, anywhere in the files.
#[test]
fn flipped_bits_and_zeroed_pages_lose_only_what_they_hit() {
    let left = Left::with(if full() { 9_000 } else { 3_000 });
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (what, count, length) in [("bits", 1000, 1), ("pages", 100, PAGE)] {
        let mut bytes: Vec<Vec<u8>> = left.files.iter().map(|f| fs::read(f).unwrap()).collect();
        let all: usize = bytes.iter().map(Vec::len).sum();
        let mut hit = BTreeSet::new();
        for _ in 0..count {
            // Each byte is as likely as any other.
            let mut at = random.usize(..all);
            let file = bytes
                .iter()
                .position(|bytes| match at.checked_sub(bytes.len()) {
                    Some(rest) => {
                        at = rest;
                        false
                    }
                    None => true,
                })
                .unwrap();
            let start = at / length * length;
            let range = start..bytes[file].len().min(start + length);
            if length == 1 {
                bytes[file][start] ^= 1 << random.u32(..8);
            } else {
                bytes[file][range.clone()].fill(0);
            }
            hit.extend(left.hit(file, &range));
        }
        let untold: usize = (0..left.files.len())
            .map(|file| left.behind_the_last_whole(file, &hit))
            .sum();
        let (lost, metrics, _) = lost_after(&left, |directory| {
            for (file, bytes) in left.files.iter().zip(&bytes) {
                fs::write(directory.join(file.file_name().unwrap()), bytes).unwrap();
            }
            fs::write(directory.join("lock"), random.u64(..).to_le_bytes()).unwrap();
        });
        assert!(
            lost.is_subset(&hit),
            "{what}: lost, but not hit: {:?}",
            lost.difference(&hit)
        );
        let (lost, counted) = (lost.len(), metrics.finished("corrupt") as usize);
        println!(
            "{count} {what} in {} files: {} events hit, {lost} lost, {counted} counted",
            left.files.len(),
            hit.len()
        );
        // Debris behind the last whole record counts as one.
        assert!(
            counted <= lost + left.files.len() && lost <= counted + untold,
            "{what}: {counted} were counted of {lost}, {untold} at the ends"
        );
    }
}

/// Q4: a file that ends anywhere, as after a write that was cut short.
#[test]
fn a_torn_tail_costs_only_the_event_that_is_cut() {
    let left = Left::with(3);
    let whole = fs::read(&left.files[0]).unwrap();
    let lengths: Vec<usize> = if full() {
        (0..=whole.len()).collect()
    } else {
        (0..12).map(|_| fastrand::usize(..=whole.len())).collect()
    };
    for length in lengths {
        let name = left.files[0].file_name().unwrap();
        let (lost, metrics, _) = lost_after(&left, |directory| {
            fs::write(directory.join(name), &whole[..length]).unwrap();
        });
        // The last event's range ends with the file, where its seal is.
        let cut = |page: &usize| left.places[page].1.end.min(whole.len() - SEAL) > length;
        let cut: BTreeSet<usize> = left.places.keys().copied().filter(cut).collect();
        assert_eq!(lost, cut, "cut at {length} of {}", whole.len());
        assert_eq!(metrics.finished("corrupt"), 0, "cut at {length}");
    }
}

/// The bytes of a segment's last frame, which has no body.
const SEAL: usize = 16;

/// Starts a process on a copy of the files after that was done to it, and lets it send all that it finds.
/// Gives which pages are not among it, its last word, and the next process: the first one serves as if
/// nothing had been, and the next counts nothing again.
fn lost_after(left: &Left, damage: impl FnOnce(&Path)) -> (BTreeSet<usize>, Metrics, Sidecar) {
    let Stage {
        app: _app,
        plausible,
        builder,
    } = stage();
    let queue = builder.directory().join("queue");
    fs::create_dir(&queue).unwrap();
    copy(left.directory.path(), &queue);
    damage(&queue);
    let mut sidecar = builder.start();
    let steady = Steady::through(sidecar.address);
    let found = sidecar.drained();
    let others = left.places.len();
    visit(&sidecar, others..others + 5);
    plausible.await_recorded(found.finished("delivered") as usize + 5);
    let metrics = sidecar.drained();
    steady.finish();
    let times = recorded(&plausible);
    assert!(times.values().all(|n| *n == 1), "some came twice: {times:?}");
    // Its ends are written.
    thread::sleep(ACCEPTED);
    sidecar.kill();
    let sidecar = sidecar.again();
    assert_eq!(sidecar.drained().offered(), 0, "counted again");
    let lost = left
        .places
        .keys()
        .copied()
        .filter(|page| !times.contains_key(page));
    (lost.collect(), metrics, sidecar)
}

/// Q6: whatever else lies about in the directory is left there, and costs nothing.
#[test]
fn foreign_files_are_left_alone() {
    let left = Left::with(50);
    let (lost, metrics, next) = lost_after(&left, |directory| {
        fs::write(directory.join("README"), "not ours").unwrap();
        fs::create_dir(directory.join("lost+found")).unwrap();
        let segment = |n: u32| directory.join(segment_name(n));
        fs::create_dir(segment(900)).unwrap();
        symlink("/dev/zero", segment(901)).unwrap();
        let pipe = Command::new("mkfifo").arg(segment(902)).status().unwrap();
        assert!(pipe.success());
        fs::write(segment(903), "").unwrap();
        fs::write(directory.join("0000000904-nonsense.seg"), [0; 5000]).unwrap();
    });
    assert_eq!((lost.len(), metrics.finished("corrupt")), (0, 0));
    let queue = next.queue();
    assert_eq!(fs::read(queue.join("README")).unwrap(), b"not ours");
    assert_eq!(
        fs::read(queue.join("0000000904-nonsense.seg")).unwrap(),
        [0; 5000]
    );
    for there in [
        "lost+found",
        &segment_name(900),
        &segment_name(901),
        &segment_name(902),
    ] {
        assert!(queue.join(there).symlink_metadata().is_ok(), "{there} is gone");
    }
}

fn segment_name(number: u32) -> String {
    format!("{number:010}-0123456789abcdef.seg")
}

/// Q6: garbage under a segment's name is one record that can't be read, and no more.
#[test]
fn garbage_is_counted_and_goes() {
    let left = Left::with(50);
    let (lost, metrics, _) = lost_after(&left, |directory| {
        let mut garbage = vec![0; 100_000];
        fastrand::Rng::with_seed(1).fill(&mut garbage);
        fs::write(directory.join(segment_name(900)), garbage).unwrap();
    });
    assert_eq!((lost.len(), metrics.finished("corrupt")), (0, 1));
}

/// Q6: a file that is gone takes its own events with it and nobody else's.
#[test]
fn a_missing_file_is_missed_by_nobody() {
    let left = Left::with(3_000);
    assert!(left.files.len() > 1, "{:?}", left.files);
    let (lost, metrics, _) = lost_after(&left, |directory| {
        fs::remove_file(directory.join(left.files[0].file_name().unwrap())).unwrap();
        fs::remove_file(directory.join("lock")).unwrap();
    });
    let gone: BTreeSet<usize> = left.hit(0, &(0..usize::MAX)).collect();
    assert_eq!((lost, metrics.finished("corrupt")), (gone, 0));
}
