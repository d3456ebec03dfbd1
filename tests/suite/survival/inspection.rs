//! `gatecount queue`, as an operator uses it: on a directory in use, on one that is not, and on one that is
//! none.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::SystemTime,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Stage, files_in, stage, visit};
use crate::support::process::{BINARY, Sidecar, run};

/// What a command prints, where it ends well.
#[track_caller]
fn told(arguments: &[&str]) -> String {
    let output = run(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says where it does not, with this exit status.
#[track_caller]
fn refused(arguments: &[&str], status: i32) -> String {
    let output = run(arguments, "");
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Five pending events, and the process that has them.
fn five() -> (Stage, Sidecar) {
    let stage = stage();
    stage.plausible.die();
    let sidecar = stage.builder.clone().start();
    visit(&sidecar, 0..5);
    sidecar.await_on_disk(5);
    (stage, sidecar)
}

/// Names, lengths and times of all that is in a directory.
fn state(directory: &Path) -> Vec<(String, u64, SystemTime)> {
    let mut state: Vec<_> = files_in(directory)
        .iter()
        .map(|file| {
            let meta = fs::metadata(file).unwrap();
            (file.display().to_string(), meta.len(), meta.modified().unwrap())
        })
        .collect();
    state.sort();
    state
}

#[test]
fn looking_shows_what_waits_and_changes_nothing() {
    let (_stage, mut sidecar) = five();
    let queue = sidecar.queue();
    let config = sidecar.builder().file();
    let (directory, config) = (queue.to_str().unwrap(), config.to_str().unwrap());
    for in_use in ["yes", "no"] {
        if in_use == "no" {
            sidecar.stop();
        }
        let before = state(&queue);
        let status = told(&["queue", "status", directory]);
        let lines: Vec<&str> = status.lines().collect();
        assert_eq!(lines[0], format!("directory    {directory}"));
        assert_eq!(lines[1], format!("in use       {in_use}"));
        assert_eq!(lines[2], "pending      5");
        assert!(
            lines[3].starts_with("oldest       20") && lines[3].ends_with(" ago)"),
            "{status}"
        );
        assert!(lines.contains(&"corrupt      0"), "{status}");

        let list = told(&["queue", "list", directory]);
        assert_eq!(list.lines().count(), 5, "{list}");
        for (n, line) in list.lines().enumerate() {
            let parts: Vec<&str> = line.split('\t').collect();
            let [position, at, address, domain, name, url] = parts[..] else {
                panic!("{line}")
            };
            assert!(position.contains(':') && at.ends_with('Z'), "{line}");
            assert_eq!(
                [address, domain, name],
                ["203.0.0.0/24", "example.com", "pageview"]
            );
            assert_eq!(url, format!("http://example.com/page/{n}"));
        }

        let export = told(&["queue", "export", directory]);
        assert_eq!(export.lines().count(), 5, "{export}");
        for (n, line) in export.lines().enumerate() {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["client"], format!("203.0.0.{}", n + 1));
            assert_eq!(event["body"]["url"], format!("http://example.com/page/{n}"));
            assert!(
                event["user_agent"]
                    .as_str()
                    .is_some_and(|a| a.starts_with("Mozilla")),
                "{line}"
            );
        }
        // By the configuration, which needs no domain for this, and by the flag.
        for named in [["--config", config], ["--queue", directory]] {
            assert_eq!(told(&["queue", "list", named[0], named[1]]), list);
            assert_eq!(told(&[named[0], named[1], "queue", "list"]), list);
        }
        assert_eq!(state(&queue), before, "looking has changed something");
    }
}

#[test]
fn a_purge_is_refused_in_use_and_thorough_otherwise() {
    let (stage, mut sidecar) = five();
    let queue = sidecar.queue();
    let directory = queue.to_str().unwrap();
    let before = state(&queue);
    let why = refused(&["queue", "purge", directory], 1);
    assert!(why.contains("in use") && why.contains("stop"), "{why}");
    assert_eq!(state(&queue), before);
    sidecar.stop();
    fs::write(queue.join("notes.txt"), "mine").unwrap();
    assert_eq!(told(&["queue", "purge", directory]), "5 events removed\n");
    assert_eq!(told(&["queue", "purge", directory]), "0 events removed\n");
    assert_eq!(told(&["queue", "list", directory]), "");
    assert_eq!(told(&["queue", "export", directory]), "");
    let status = told(&["queue", "status", directory]);
    assert!(
        status.contains("pending      0\n") && !status.contains("oldest"),
        "{status}"
    );
    assert!(queue.join("notes.txt").exists());
    stage.plausible.come_back();
    let sidecar = sidecar.again();
    visit(&sidecar, 5..10);
    let came = stage.plausible.await_recorded(5);
    assert!(
        came.iter().all(|e| super::number(e) >= 5),
        "purged events were sent"
    );
}

#[test]
fn what_is_no_queue_is_said_once_and_left_as_it_is() {
    let other = TempDir::new().unwrap();
    fs::write(other.path().join("notes.txt"), "mine").unwrap();
    let (none, file) = (other.path().join("none"), other.path().join("notes.txt"));
    for action in ["status", "list", "export", "purge"] {
        let why = refused(&["queue", action, none.to_str().unwrap()], 1);
        assert!(
            why.starts_with("gatecount: ") && why.contains("/none: No such file"),
            "{why}"
        );
        assert_eq!(why.matches("No such file").count(), 1, "{why}");
        let why = refused(&["queue", action, file.to_str().unwrap()], 1);
        assert_eq!(why.matches("Not a directory").count(), 1, "{why}");
        let why = refused(&["queue", action, other.path().to_str().unwrap()], 1);
        assert!(why.contains("holds no queue"), "{why}");
        let why = refused(&["--queue", "memory", "queue", action], 2);
        assert!(why.contains("in memory"), "{why}");
    }
    assert_eq!(state(other.path()).len(), 1, "something was left there");
}

#[test]
fn who_has_read_enough_ends_it_quietly() {
    let (_stage, sidecar) = five();
    let queue = sidecar.queue();
    let Output {
        status,
        stderr,
        stdout,
    } = Command::new("sh")
        .args(["-c", "\"$0\" queue list \"$1\" | head -n 1"])
        .args([BINARY, queue.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        status.success() && stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&stderr)
    );
    assert_eq!(String::from_utf8_lossy(&stdout).lines().count(), 1);
}
