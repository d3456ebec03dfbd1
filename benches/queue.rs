//! What an event costs in the queue, next to a bare `write(2)` of the same bytes in the same run, and how
//! long a start takes with a million pending.
//!
//! `cargo bench --bench queue`; `GATECOUNT_BENCH_EVENTS` is how many (1,000,000), `TMPDIR` is on which disk.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use gatecount::queue::{At, Batch, Position, Queue, Settings};

const BATCH: usize = 32;
const BYTES: usize = 300;

fn main() {
    let events = std::env::var("GATECOUNT_BENCH_EVENTS")
        .ok()
        .and_then(|count| count.parse().ok());
    let events: usize = events.unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a directory to write to");
    println!(
        "{events} events of {BYTES} bytes, in batches of {BATCH}, in {}",
        dir.path().display()
    );
    // Twice, as the first run pays for what the system sets up.
    for _ in 0..2 {
        bare_write(&dir.path().join("bare"), events);
        append_and_finish(&dir.path().join("through"), events);
    }
    recover(&dir.path().join("pending"), events);
}

fn bare_write(path: &Path, events: usize) {
    let mut file = File::create(path).expect("a file to write to");
    let bytes = [7; BATCH * BYTES];
    measure("bare write(2)", events, || {
        for _ in 0..events / BATCH {
            file.write_all(&bytes).expect("room on the disk");
        }
    });
    fs::remove_file(path).expect("the file just written");
}

fn append_and_finish(dir: &Path, events: usize) {
    let mut queue = open(dir);
    queue.recover(0, &mut |_| {});
    let (mut records, mut positions) = (Batch::default(), Vec::new());
    measure("append, finish, flush", events, || {
        for batch in 0..events / BATCH {
            append(&mut queue, &mut records, batch, &mut positions);
            for position in positions.drain(..) {
                queue.finish(position);
            }
            queue.flush();
        }
    });
    let mut bytes = Vec::new();
    measure("append, read, finish, flush", events, || {
        for batch in 0..events / BATCH {
            append(&mut queue, &mut records, batch, &mut positions);
            for position in positions.drain(..) {
                queue
                    .read(position, &mut bytes)
                    .expect("the record just appended");
                queue.finish(position);
            }
            queue.flush();
        }
    });
    assert_eq!(queue.alarm(), None);
    queue.close();
    let left: u64 = dir
        .read_dir()
        .expect("the queue's")
        .map(|entry| length(&entry))
        .sum();
    println!("  left on the disk: {left} bytes");
    fs::remove_dir_all(dir).expect("the queue's directory");
}

fn recover(dir: &Path, events: usize) {
    let mut queue = open(dir);
    queue.recover(0, &mut |_| {});
    let (mut records, mut positions) = (Batch::default(), Vec::new());
    for batch in 0..events / BATCH {
        append(&mut queue, &mut records, batch, &mut positions);
        positions.clear();
    }
    queue.close();
    let mut pending = Vec::with_capacity(events);
    let start = Instant::now();
    let mut queue = open(dir);
    let opened = start.elapsed();
    queue.recover(0, &mut |record| pending.push(record.position));
    let recovered = start.elapsed();
    println!(
        "start with {} pending, {} MB: open {opened:.1?}, recover {:.0?}",
        pending.len(),
        queue.bytes() / 1_000_000,
        recovered.saturating_sub(opened)
    );
    let mut bytes = Vec::new();
    measure("read of a backlog", pending.len(), || {
        for &position in &pending {
            queue
                .read(position, &mut bytes)
                .expect("a record that was recovered");
        }
    });
    measure("finish and flush of a backlog", pending.len(), || {
        for positions in pending.chunks(BATCH) {
            for &position in positions {
                queue.finish(position);
            }
            queue.flush();
        }
    });
    queue.close();
}

fn open(dir: &Path) -> Queue {
    let max_age = Duration::from_hours(24);
    let settings = Settings {
        at: At::Disk(dir.to_owned()),
        max_bytes: 1 << 30,
        max_age,
    };
    let queue = Queue::open(&settings, 0);
    assert_eq!(queue.alarm(), None);
    queue
}

fn append(queue: &mut Queue, records: &mut Batch, batch: usize, positions: &mut Vec<Position>) {
    let bytes = [7; BYTES];
    let key = |index: usize| (batch * BATCH + index) as u64;
    let now = batch as u64 / 100;
    for index in 0..BATCH {
        records.add(0, |out| {
            out.extend_from_slice(&bytes);
            Some((key(index), 0))
        });
    }
    queue.append(records, now, &mut |stored| positions.extend(stored.position));
    if batch.is_multiple_of(100) {
        queue.tick(batch as u64 / 100);
    }
}

/// Prints wall-clock time, this thread's time on the CPU, and what was given to the kernel, by the event.
fn measure(name: &str, events: usize, work: impl FnOnce()) {
    let (written, calls, cpu) = (io("wchar:"), io("syscw:"), cpu());
    let start = Instant::now();
    work();
    let wall = start.elapsed();
    let each = |total: u64| total as f64 / events as f64;
    println!(
        "  {name:32} {:6.0} ns wall {:6.0} ns CPU {:6.1} bytes written {:7.4} writes, an event",
        each(wall.as_nanos() as u64),
        each(self::cpu() - cpu),
        each(io("wchar:") - written),
        each(io("syscw:") - calls),
    );
}

/// Of the process, from `/proc/self/io`; the printing itself counts for some bytes.
fn io(field: &str) -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io
        .lines()
        .find(|line| line.starts_with(field))
        .expect("a field that Linux has");
    line[field.len()..].trim().parse().expect("a number")
}

/// Nanoseconds that this thread has been on a CPU.
fn cpu() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ')
        .next()
        .expect("three numbers")
        .parse()
        .expect("a number")
}

fn length(entry: &std::io::Result<fs::DirEntry>) -> u64 {
    entry
        .as_ref()
        .expect("a file")
        .metadata()
        .expect("the queue's file")
        .len()
}
