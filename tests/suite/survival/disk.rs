//! Disks that are full, damaged, another's, or not there.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{recorded, stage, visit};
use crate::support::{
    client::{NAVIGATION, Request},
    eventually,
    load::Steady,
    process::{Builder, Sidecar, run},
    skip, within,
};

#[test]
fn the_queue_is_for_its_owner_alone() {
    let stage = stage();
    stage.plausible.die();
    let sidecar = stage.builder.start();
    visit(&sidecar, 0..5);
    sidecar.await_metrics("five pending", |m| m.pending() == 5);
    let queue = queue_of(&sidecar);
    assert_eq!(mode(&queue), 0o700);
    let files = files_in(&queue);
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn damage_and_foreign_files_never_stop_a_start() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.start();
    visit(&sidecar, 0..50);
    sidecar.stop();
    for file in files_in(&queue_of(&sidecar)) {
        let mut bytes = fs::read(&file).unwrap();
        if bytes.len() > 2000 {
            let at = bytes.len() / 2;
            bytes[at] ^= 0x10;
            bytes.truncate(bytes.len() - 7);
            fs::write(&file, bytes).unwrap();
        }
    }
    fs::write(queue_of(&sidecar).join("README"), "not ours").unwrap();
    fs::create_dir(queue_of(&sidecar).join("lost+found")).unwrap();
    stage.plausible.come_back();
    let sidecar = sidecar.again();
    let steady = Steady::through(sidecar.address);
    visit(&sidecar, 50..60);
    stage.plausible.await_recorded(10);
    let metrics = sidecar.drained();
    metrics.assert_account();
    let times = recorded(&stage.plausible);
    // One record has a flipped bit and the last one is torn; the rest is whole.
    assert!(times.len() >= 58, "{} of 60 arrived", times.len());
    assert!(metrics.finished("corrupt") >= 1, "{metrics:?}");
    assert!(
        queue_of(&sidecar).join("README").exists(),
        "a foreign file was removed"
    );
    steady.finish();
}

#[test]
fn a_queue_that_cannot_be_is_memory_with_an_alarm() {
    let stage = stage();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("a-file");
    fs::write(&file, "").unwrap();
    let sidecar = stage
        .builder
        .set("queue.path", file.join("below").to_str().unwrap())
        .start();
    await_alarm(&sidecar, true);
    visit(&sidecar, 0..5);
    stage.plausible.await_recorded(5);
}

#[test]
fn two_processes_on_one_directory_both_serve_and_the_second_says_so() {
    let stage = stage();
    let mut first = stage.builder.clone().start();
    let queue = queue_of(&first);
    let mut other = Builder::before(&stage.app)
        .telling(&stage.plausible)
        .set("queue.path", queue.to_str().unwrap())
        .start();
    await_alarm(&other, true);
    await_alarm(&first, false);
    visit(&first, 0..20);
    visit(&other, 20..40);
    stage.plausible.await_recorded(40);
    other.stop();
    first.stop();
    assert_eq!(recorded(&stage.plausible), (0..40).map(|n| (n, 1)).collect());
}

#[test]
fn a_full_queue_lets_the_oldest_go_and_keeps_its_bound() {
    const BOUND: u64 = 2 << 20;
    let stage = stage();
    stage.plausible.die();
    let sidecar = stage.builder.set("queue.max_bytes", "2MiB").start();
    let steady = Steady::through(sidecar.address);
    let mut client = sidecar.client();
    let long = "x".repeat(1500);
    let mut largest = 0;
    for n in 0..3000 {
        let request = Request::get(&format!("/page/{n}?ref={long}"))
            .as_(NAVIGATION)
            .from(&format!("203.0.113.{}", n % 200 + 1));
        client.ask(&request);
        if n % 100 == 0 {
            largest = largest.max(
                files_in(&queue_of(&sidecar))
                    .iter()
                    .filter_map(|f| Some(fs::metadata(f).ok()?.len()))
                    .sum(),
            );
        }
    }
    let metrics = sidecar.await_metrics("3,000 decided", |m| m.decisions("counted") == 3000);
    metrics.assert_account();
    assert!(metrics.finished("evicted") > 0, "{metrics:?}");
    assert!(metrics.pending() > 0);
    // One segment more at most; a segment is no larger than the bound itself.
    assert!(largest <= 2 * BOUND, "{largest} bytes on disk");
    stage.plausible.come_back();
    let last = "/page/2999";
    within(Duration::from_secs(30), "the newest event arrives", || {
        let found = stage
            .plausible
            .recorded()
            .iter()
            .any(|e| e.text("url").contains(last));
        if found { Ok(()) } else { Err("not yet".into()) }
    });
    steady.finish();
}

#[test]
fn a_full_disk_is_not_noticed_by_the_app_and_is_durable_again() {
    let Some(disk) = SmallDisk::mount("1m") else {
        return skip("a tmpfs cannot be mounted here (it needs root)");
    };
    let stage = stage();
    stage.plausible.die();
    let queue = disk.path().join("queue");
    let sidecar = stage.builder.set("queue.path", queue.to_str().unwrap()).start();
    let steady = Steady::through(sidecar.address);
    let ballast = disk.path().join("ballast");
    let filled = fs::write(&ballast, vec![0; 2 << 20]);
    assert!(filled.is_err(), "the disk did not fill");
    visit(&sidecar, 0..200);
    let alarmed = sidecar.await_metrics("200 decided", |m| m.decisions("counted") == 200);
    alarmed.assert_account();
    await_alarm(&sidecar, true);
    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    await_alarm(&sidecar, false);
    let took = freed.elapsed();
    assert!(took < Duration::from_secs(5), "durable again only after {took:?}");
    stage.plausible.come_back();
    let metrics = sidecar.drained();
    metrics.assert_account();
    let calm = steady.finish();
    assert!(calm.requests > 10);
}

#[test]
fn the_queue_command_looks_into_a_directory_in_use_and_one_that_is_not() {
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.start();
    visit(&sidecar, 0..5);
    sidecar.await_metrics("five pending", |m| m.pending() == 5);
    let file = sidecar.builder().file();
    let look = |what: &str| {
        let output = run(
            &[
                "queue",
                what,
                "--config",
                file.to_str().unwrap(),
                "--domain",
                "example.com",
            ],
            "",
        );
        assert!(output.status.success(), "queue {what}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let looks = |when: &str| {
        eventually(&format!("{when}, the list has five events"), || {
            let list = look("list");
            if list.matches("/page/").count() == 5 {
                Ok(())
            } else {
                Err(list)
            }
        });
        assert!(look("status").contains('5'), "{when}: {}", look("status"));
        assert!(
            !look("list").contains("203.0.0.1"),
            "{when}: an address in full: {}",
            look("list")
        );
        assert_eq!(look("export").matches("/page/").count(), 5, "{when}");
    };
    looks("in use");
    sidecar.stop();
    looks("not in use");
    look("purge");
    assert_eq!(look("list").matches("/page/").count(), 0);
}

fn queue_of(sidecar: &Sidecar) -> PathBuf {
    sidecar.directory().join("queue")
}

/// Waits until the queue has an alarm, or none. It is opened beside the start, so both may take a moment.
#[track_caller]
fn await_alarm(sidecar: &Sidecar, wanted: bool) {
    eventually("the queue's alarm", || {
        let status = sidecar.status();
        let settled = status["delivery"]["state"] != "starting";
        if settled && status["queue"]["alarm"].is_string() == wanted {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_file())
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A file system of a few bytes, gone with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let directory = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .output();
        mounted
            .is_ok_and(|o| o.status.success())
            .then_some(SmallDisk(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still be in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
