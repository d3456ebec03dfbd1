//! Logs that are none: each line that can't be read is counted and skipped, in bounded memory.

use std::{fs, io::Write as _};

use super::{assert_each_once, await_lines, line, line_at, lines, now, stage};
use crate::support::{eventually, full};

/// What a line may be at the most is 256 KiB; this is a line of so many bytes, or a whole GiB.
fn giant() -> u64 {
    if full() { 1 << 30 } else { 64 << 20 }
}

/// Memory that reading may add, in bytes.
const MEMORY: u64 = 16 << 20;

#[test]
fn what_is_no_line_is_counted_and_skipped() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    let mut random = fastrand::Rng::with_seed(7);
    let binary: Vec<u8> = (0..100_000).map(|_| random.u8(..)).collect();
    let newlines = memchr::memchr_iter(b'\n', &binary).count();
    stage.log.pages(0..1);
    for rubbish in [
        &b"nonsense\n"[..],
        b"{}\n",
        b"{\"uri\": \"/page/99\", \n",
        b"\xff\xfe\xfd\n",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
        b"\n",
    ] {
        stage.log.write(rubbish);
    }
    let deep = "[".repeat(200_000);
    stage.log.write(format!("{{\"uri\": \"/\", \"x\": {deep}\n"));
    stage.log.pages(1..2);
    stage.log.write(&binary);
    stage.log.write("\n");
    stage.log.pages(2..3);
    assert_each_once(&sidecar, &stage.plausible, 0..3);
    let metrics = sidecar.metrics();
    assert_eq!(lines(&metrics, "decided"), 3);
    assert!(lines(&metrics, "malformed") >= newlines as u64, "{metrics:?}");
}

#[test]
fn a_gigantic_line_is_skipped_in_bounded_memory() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    stage.log.pages(0..1);
    await_lines(&sidecar, "decided", 1);
    let idle = sidecar.rss();
    let piece = vec![b'x'; 1 << 20];
    for written in 0..giant() >> 20 {
        stage.log.write(&piece);
        if written % 16 == 0 {
            assert!(sidecar.rss() < idle + MEMORY, "{} after {idle}", sidecar.rss());
        }
    }
    stage.log.write("\n");
    stage.log.pages(1..2);
    assert_each_once(&sidecar, &stage.plausible, 0..2);
    assert!(sidecar.rss() < idle + MEMORY, "{} after {idle}", sidecar.rss());
    let metrics = sidecar.metrics();
    assert_eq!(
        (lines(&metrics, "too_long"), lines(&metrics, "malformed")),
        (1, 0)
    );
}

/// A server that keeps its place while its log is cut leaves a hole of zeros before its next line.
#[test]
fn a_hole_of_zeros_is_no_part_of_the_line_after_it() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    stage.log.pages(0..5);
    await_lines(&sidecar, "decided", 5);
    let path = stage.log.path();
    fs::copy(&path, stage.log.beside("access.log.1")).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(0).unwrap();
    file.set_len(giant()).unwrap();
    stage.log.pages(5..6);
    assert_each_once(&sidecar, &stage.plausible, 0..6);
    assert_eq!(lines(&sidecar.metrics(), "too_long"), 0);
}

#[test]
fn a_gigantic_line_outlives_a_restart() {
    let mut stage = stage();
    let mut sidecar = stage.builder.start();
    stage.log.pages(0..1);
    stage.log.write(vec![b'x'; 3 << 20]);
    await_lines(&sidecar, "too_long", 1);
    sidecar.stop();
    stage.log.write(vec![b'y'; 3 << 20]);
    stage.log.write("\n");
    stage.log.pages(1..2);
    let sidecar = sidecar.again();
    assert_each_once(&sidecar, &stage.plausible, 0..2);
    assert_eq!(lines(&sidecar.metrics(), "malformed"), 0);
}

/// An event's time is its line's: what is older than `max_age` is not sent, and what is from the future is
/// from now.
#[test]
fn a_lines_time_is_its_events() {
    let mut stage = stage();
    let sidecar = stage.builder.set("plausible.max_age", "1h").start();
    stage.log.write(line_at(0, now() - 3599.0 * 2.0));
    stage.log.write(line_at(1, now() - 60.0));
    stage.log.write(line_at(2, now() + 86_400.0));
    stage.log.write(line(3).replace("\"time\"", "\"when\""));
    let metrics = sidecar.await_metrics("four have ended", |m| {
        m.finished("expired") == 1 && m.finished("delivered") == 3
    });
    metrics.assert_account();
    assert!(!super::recorded(&stage.plausible).contains_key(&0));
}

#[test]
fn a_log_that_is_no_file_is_said_and_waited_for() {
    let mut stage = stage();
    fs::remove_file(stage.log.path()).unwrap();
    fs::create_dir(stage.log.path()).unwrap();
    let sidecar = stage.builder.start();
    eventually("a line about it", || {
        let said = sidecar
            .log()
            .iter()
            .any(|line| line.contains("is no regular file"));
        if said { Ok(()) } else { Err(String::new()) }
    });
    fs::remove_dir(stage.log.path()).unwrap();
    stage.log.reopen();
    stage.log.pages(0..2);
    stage.log.file.flush().unwrap();
    assert_each_once(&sidecar, &stage.plausible, 0..2);
}
