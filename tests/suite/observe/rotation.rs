//! What becomes of a log file: it is renamed, copied and cut, missing, half written, and read by one process
//! after another. Each line counts once.

use std::{fs, thread, time::Duration};

use super::{assert_each_once, await_lines, line, recorded, stage};
use crate::support::as_long_as_it_moves;

#[test]
fn lines_count_as_they_come_and_those_before_the_start_too() {
    let mut stage = stage();
    stage.log.pages(0..20);
    let sidecar = stage.builder.start();
    await_lines(&sidecar, "decided", 20);
    stage.log.pages(20..40);
    assert_each_once(&sidecar, &stage.plausible, 0..40);
    let event = &stage.plausible.recorded()[0];
    assert!(event.text("url").starts_with("https://example.com/page/"));
    assert_eq!(
        sidecar
            .metrics()
            .metric("gatecount_events_offered_total")
            .label("source", "observe")
            .value(),
        40
    );
}

#[test]
fn a_log_that_comes_later_is_read_from_its_beginning() {
    let mut stage = stage();
    fs::remove_file(stage.log.path()).unwrap();
    let sidecar = stage.builder.start();
    assert_eq!(sidecar.metrics().decided(), 0);
    stage.log.reopen();
    stage.log.pages(0..10);
    assert_each_once(&sidecar, &stage.plausible, 0..10);
}

#[test]
fn a_half_written_line_counts_once_it_is_whole() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    stage.log.pages(0..3);
    let half = line(3);
    let (start, end) = half.split_at(half.len() / 2);
    stage.log.write(start);
    await_lines(&sidecar, "decided", 3);
    stage.log.write(end);
    stage.log.pages(4..5);
    assert_each_once(&sidecar, &stage.plausible, 0..5);
    assert_eq!(super::lines(&sidecar.metrics(), "malformed"), 0);
}

#[test]
fn a_half_written_line_outlives_a_restart() {
    let mut stage = stage();
    let mut sidecar = stage.builder.start();
    stage.log.pages(0..3);
    let half = line(3);
    let (start, end) = half.split_at(40);
    stage.log.write(start);
    await_lines(&sidecar, "decided", 3);
    sidecar.stop();
    stage.log.write(end);
    let sidecar = sidecar.again();
    assert_each_once(&sidecar, &stage.plausible, 0..4);
}

/// As logrotate does by default: the file gets another name, the server writes on into it until it is told to
/// open its log anew.
#[test]
fn a_renamed_log_is_read_to_its_end() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    stage.log.pages(0..10);
    await_lines(&sidecar, "decided", 10);
    stage.log.rename("access.log.1");
    stage.log.pages(10..20);
    await_lines(&sidecar, "decided", 20);
    // The new file is there before the server has it open.
    fs::write(stage.log.path(), "").unwrap();
    stage.log.pages(20..30);
    let mut old = stage.log.file.try_clone().unwrap();
    stage.log.reopen();
    stage.log.pages(30..40);
    await_lines(&sidecar, "decided", 40);
    // A worker of the server's that is late.
    std::io::Write::write_all(&mut old, line(40).as_bytes()).unwrap();
    assert_each_once(&sidecar, &stage.plausible, 0..41);
}

#[test]
fn renames_while_nobody_follows_lose_nothing() {
    let mut stage = stage();
    let mut sidecar = stage.builder.start();
    stage.log.pages(0..10);
    await_lines(&sidecar, "decided", 10);
    sidecar.stop();
    stage.log.pages(10..20);
    // Twice: the file between was never seen.
    stage.log.rename("access.log.1");
    stage.log.reopen();
    stage.log.pages(20..30);
    fs::rename(stage.log.beside("access.log.1"), stage.log.beside("access.log.2")).unwrap();
    stage.log.rename("access.log.1");
    stage.log.reopen();
    stage.log.pages(30..40);
    let mut sidecar = sidecar.again();
    assert_each_once(&sidecar, &stage.plausible, 0..40);
    // And none of it again.
    sidecar.stop();
    let sidecar = sidecar.again();
    stage.log.pages(40..41);
    assert_each_once(&sidecar, &stage.plausible, 0..41);
}

/// As logrotate's `copytruncate`.
#[test]
fn a_log_that_is_copied_and_cut_is_read_on() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    let mut next = 0;
    for (round, count) in [30, 5, 60, 1].into_iter().enumerate() {
        stage.log.pages(next..next + count);
        next += count;
        if round % 2 == 0 {
            // Else it is cut before it is read.
            await_lines(&sidecar, "decided", next as u64);
        }
        stage.log.copy_and_cut(&format!("access.log.{}", 9 - round));
    }
    stage.log.pages(next..next + 10);
    assert_each_once(&sidecar, &stage.plausible, 0..next + 10);
}

#[test]
fn a_log_that_is_cut_while_nobody_follows_loses_nothing() {
    let mut stage = stage();
    let mut sidecar = stage.builder.start();
    stage.log.pages(0..10);
    await_lines(&sidecar, "decided", 10);
    sidecar.stop();
    stage.log.pages(10..20);
    stage.log.copy_and_cut("access.log-20261126");
    // Longer than the place that is remembered.
    stage.log.pages(20..60);
    let mut sidecar = sidecar.again();
    assert_each_once(&sidecar, &stage.plausible, 0..60);
    sidecar.stop();
    let sidecar = sidecar.again();
    stage.log.pages(60..61);
    assert_each_once(&sidecar, &stage.plausible, 0..61);
}

#[test]
fn a_removed_log_is_followed_by_the_next_one() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    stage.log.pages(0..10);
    await_lines(&sidecar, "decided", 10);
    fs::remove_file(stage.log.path()).unwrap();
    stage.log.pages(10..20);
    stage.log.reopen();
    stage.log.pages(20..30);
    assert_each_once(&sidecar, &stage.plausible, 0..30);
}

/// Rotations of both kinds, one after the other, with a server that writes all the while.
#[test]
fn many_rotations_under_load_lose_nothing() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    let mut next = 0;
    for round in 0..12 {
        stage.log.pages(next..next + 25);
        next += 25;
        if round % 3 == 2 {
            // Whoever cuts loses what is written meanwhile, so nothing is.
            stage.log.copy_and_cut(&format!("access.log.{}", 90 - round));
        } else {
            stage.log.rename(&format!("access.log.{}", 90 - round));
            stage.log.pages(next..next + 5);
            next += 5;
            stage.log.reopen();
        }
        if round % 4 == 0 {
            thread::sleep(Duration::from_millis(150));
        }
    }
    stage.log.pages(next..next + 5);
    assert_each_once(&sidecar, &stage.plausible, 0..next + 5);
}

#[test]
fn lines_before_a_restart_do_not_count_again() {
    let mut stage = stage();
    let mut sidecar = stage.builder.start();
    for round in 0..4 {
        stage.log.pages(round * 50..(round + 1) * 50);
        await_lines(&sidecar, "decided", 50);
        if round % 2 == 0 {
            sidecar.stop();
        } else {
            sidecar.kill();
        }
        sidecar = sidecar.again();
    }
    stage.log.pages(200..201);
    as_long_as_it_moves("every page is recorded", || {
        match recorded(&stage.plausible).len() {
            201 => Ok(()),
            so_far => Err(so_far),
        }
    });
    sidecar.drained();
    // A kill may have met an answer that was under way.
    let times = recorded(&stage.plausible);
    assert_eq!(times.len(), 201);
    assert!(times.values().all(|times| *times <= 2), "{times:?}");
}
