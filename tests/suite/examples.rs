//! Every example that is shown to a user works.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::support::{nginx, process::run, skip};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and the pages that it leads to.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join("deploy"), root().join("benches")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                pages.push(path);
            }
        }
    }
    let own = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    pages.extend(own.map(|name| root().join(name)));
    pages
}

#[test]
fn every_configuration_in_the_pages_passes_check() {
    let mut count = 0;
    for page in pages() {
        for block in fenced(&fs::read_to_string(&page).unwrap(), "toml") {
            check(&page.display().to_string(), &block);
            count += 1;
        }
    }
    assert!(count >= 6, "{count} configurations");
}

#[test]
fn every_link_in_the_pages_leads_to_a_file() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if target.starts_with("http") || file.is_empty() {
                continue;
            }
            count += 1;
            let path = page.parent().unwrap().join(file);
            assert!(path.exists(), "{}: {target}", page.display());
        }
    }
    assert!(count >= 20, "{count} links");
}

/// The README's figures are rows of the whole table.
#[test]
fn the_figures_in_the_readme_are_those_of_the_bench() {
    let read = |name| fs::read_to_string(root().join(name)).unwrap();
    let rows = |text: &str| -> Vec<(String, String)> {
        let lines = text.lines().filter(|line| line.starts_with("| "));
        lines
            .map(|line| {
                line.split('|')
                    .map(|cell| cell.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .map(|cells| (cells[1].clone(), cells[2].clone()))
            .filter(|(what, _)| !what.is_empty())
            .collect()
    };
    let whole = read("benches/README.md");
    // The tables behind it are of other benches.
    let whole = rows(whole.split("\n## ").next().unwrap());
    let readme = read("README.md");
    let costs = readme.split("## What it costs").nth(1).unwrap();
    let costs = rows(costs.split("\n## ").next().unwrap());
    let shown: Vec<_> = costs
        .iter()
        .filter(|(what, _)| whole.iter().any(|(row, _)| row == what))
        .collect();
    assert!(shown.len() >= 5, "{costs:?} of {whole:?}");
    for (what, figure) in shown {
        let (_, measured) = whole.iter().find(|(row, _)| row == what).unwrap();
        assert!(
            measured.starts_with(&format!("{figure} (")),
            "{what}: {figure}, measured {measured}"
        );
    }
}

#[test]
fn every_configuration_in_deploy_passes_check() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("deploy/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            check(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
            count += 1;
        }
    }
    assert!(count >= 8, "{count} configurations");
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

/// The commands of the pages are commands, and their flags are flags.
#[test]
fn every_command_line_in_the_pages_is_understood() {
    let help = String::from_utf8(run(&["--help"], "").stdout).unwrap();
    let lines = ["sh", "bash", "console"]
        .iter()
        .flat_map(|kind| {
            pages()
                .into_iter()
                .flat_map(|page| fenced(&fs::read_to_string(page).unwrap(), kind))
        })
        .collect::<String>();
    let commands = lines
        .lines()
        .filter_map(|line| line.trim_start_matches("$ ").strip_prefix("gatecount "));
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
            assert!(known, "{flag} in: gatecount {command}");
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
