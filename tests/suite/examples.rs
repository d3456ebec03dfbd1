//! Every example that is shown to a user works.

use std::{fs, path::Path};

use tempfile::NamedTempFile;

use crate::support::{nginx, process::run, skip};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_configuration_in_the_readme_passes_check() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = fenced(&readme, "toml");
    assert!(!blocks.is_empty(), "the README shows no configuration");
    for block in blocks {
        check("README.md", &block);
    }
}

#[test]
fn every_configuration_in_deploy_passes_check() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("deploy")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            check(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
            count += 1;
        }
    }
    assert!(count >= 2, "{count} configurations");
}

#[test]
fn nginx_takes_the_configurations_in_deploy() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    for entry in fs::read_dir(nginx::deployed().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if let Err(reason) = nginx::check(&text) {
            panic!("{}: {reason}", path.display());
        }
    }
}

/// The commands of the README are commands, and their flags are flags.
#[test]
fn every_command_line_in_the_readme_is_understood() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let help = String::from_utf8(run(&["--help"], "").stdout).unwrap();
    let lines = ["sh", "bash", "console"]
        .iter()
        .flat_map(|kind| fenced(&readme, kind))
        .collect::<String>();
    let commands = lines
        .lines()
        .filter_map(|line| line.trim_start_matches("$ ").strip_prefix("gatecount"));
    let mut count = 0;
    for command in commands {
        count += 1;
        for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap();
            let subcommand = command
                .split_whitespace()
                .next()
                .filter(|word| !word.starts_with('-'));
            let own = subcommand
                .map(|s| run(&[s, "--help"], "").stdout)
                .unwrap_or_default();
            let known = help.contains(flag) || String::from_utf8_lossy(&own).contains(flag);
            assert!(known, "{flag} in: gatecount{command}");
        }
    }
    assert!(count >= 2, "the README's two commands are not there: {count}");
}

/// Checks a block; what it leaves out that is required comes from flags, as a user would give it.
fn check(origin: &str, block: &str) {
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(file.path(), block).unwrap();
    let mut arguments = vec!["check", "--config", file.path().to_str().unwrap()];
    if !block.contains("[app]") {
        arguments.extend(["--app", "http://127.0.0.1:3000"]);
    }
    if !block.contains("[[sites]]") {
        arguments.extend(["--domain", "example.com"]);
    }
    let certificates = tempfile::tempdir().unwrap();
    if block.contains("/etc/tls/") {
        let pair = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
        for name in ["tls", "shop"] {
            let file = |kind| certificates.path().join(format!("{name}.{kind}"));
            fs::write(file("crt"), pair.cert.pem()).unwrap();
            fs::write(file("key"), pair.signing_key.serialize_pem()).unwrap();
        }
        let here = format!("{}/", certificates.path().display());
        fs::write(file.path(), block.replace("/etc/tls/", &here)).unwrap();
    }
    let output = run(&arguments, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{origin}: {said}\n{block}");
}

/// The code blocks of a kind.
fn fenced(text: &str, kind: &str) -> Vec<String> {
    let open = format!("```{kind}");
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match &mut block {
            None if line.trim() == open => block = Some(String::new()),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(block.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks
}
