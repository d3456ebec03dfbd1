//! What a release is made of.

use std::{fs, path::Path, process::Command};

use crate::support::process::{BINARY, has};

/// What sets a machine up is content with this one, which has all that the tests were built with.
#[test]
fn the_scripts_are_read_by_bash_and_the_set_up_finds_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for script in [
        "deploy/try",
        "deploy/picture",
        "deploy/release/build",
        "tests/run",
    ] {
        let read = Command::new("bash")
            .arg("-n")
            .arg(root.join(script))
            .output()
            .unwrap();
        assert!(
            read.status.success() && read.stderr.is_empty(),
            "{script}: {read:?}"
        );
    }
    let done = Command::new(root.join("deploy/try"))
        .arg("--set-up")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(
        !String::from_utf8_lossy(&done.stderr).contains("installing"),
        "{done:?}"
    );
}

/// The script of a release, with this binary: its archive has what a user needs, and the checksums are right.
#[test]
fn a_release_has_a_binary_that_runs_its_manual_completions_and_checksums() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(has("tar") && has("sha256sum"), "every Debian has them");
    let made = Command::new(root.join("deploy/release/build"))
        .arg("--unclean")
        .env("GATECOUNT_BINARY", BINARY)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let files = root.join("target/release-files");
    let right = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&files)
        .output()
        .unwrap();
    assert!(right.status.success(), "{right:?}");

    let version = env!("CARGO_PKG_VERSION");
    let archive = fs::read_dir(&files)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().is_some_and(|path| path.ends_with(".tar.gz")))
        .expect("an archive");
    let name = archive
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .trim_end_matches(".tar.gz");
    assert!(name.starts_with(&format!("gatecount-{version}-")), "{name}");
    let unpacked = tempfile::tempdir().unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(unpacked.path())
        .status();
    assert!(tar.unwrap().success());
    let inside = unpacked.path().join(name);
    for file in [
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "gatecount.1",
        "completions/gatecount.bash",
        "completions/gatecount.zsh",
        "completions/gatecount.fish",
        "deploy/config/full.toml",
    ] {
        let length = fs::metadata(inside.join(file)).map(|file| file.len());
        assert!(length.is_ok_and(|length| length > 0), "no {file}");
    }
    let said = Command::new(inside.join("gatecount"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        format!("gatecount {version}\n")
    );
}
