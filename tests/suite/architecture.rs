//! The import table: `cli → sidecar → services → pure`, read from the sources themselves.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Modules without I/O, and what each may import of the crate.
const PURE: [(&str, &[&str]); 7] = [
    ("facts", &[]),
    ("http1", &[]),
    ("headers", &[]),
    ("plausible", &[]),
    ("client", &[]),
    ("page", &["facts"]),
    ("event", &["page", "facts"]),
];

/// Modules that do I/O at the edges. They may import the pure ones, each other, and what all of them report to.
const SERVICES: [&str; 7] = ["proxy", "tracker", "queue", "delivery", "admin", "demo", "web"];

/// What services report to and are stopped by; it knows none of them.
const GROUND: [&str; 4] = ["clock", "lifecycle", "telemetry", "timer"];

/// What pure code never touches: time, files, threads, chance, and telling of itself.
const IMPURE: [&str; 16] = [
    "tokio",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "UnixStream",
    "UdpSocket",
    "Instant::now",
    "SystemTime",
    "fastrand",
    "RandomState::new",
    "tracing",
    "prometheus",
    "println!",
    "eprintln!",
];

/// One source file, its comments and tests cut off.
struct Source {
    path: PathBuf,
    module: String,
    code: String,
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let allowed = allowed(&source.module);
        for import in imports(&source.code) {
            if import != source.module && !allowed.contains(import.as_str()) {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_import_goes_round_the_table_by_super() {
    // In a module's own `mod.rs`, and in a file at the top, `super` is the crate.
    for source in sources().iter().filter(|s| is_root_of_its_module(&s.path)) {
        assert!(
            !source.code.contains("super::"),
            "{} reaches over `super`",
            source.path.display()
        );
    }
}

#[test]
fn pure_modules_do_no_io_and_know_no_clock() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| is_pure(&s.module)) {
        for word in IMPURE {
            if source.code.contains(word) {
                wrong.push(format!("{} has {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn main_only_calls_the_command() {
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    let reached: BTreeSet<String> = paths_after("gatecount::", &uncommented(&main))
        .into_iter()
        .collect();
    let command: BTreeSet<String> = ["cli".to_owned(), "telemetry".to_owned()].into();
    assert!(reached.is_subset(&command), "main reaches into {reached:?}");
}

#[test]
fn the_table_knows_every_module() {
    let known: BTreeSet<&str> = PURE
        .iter()
        .map(|(name, _)| *name)
        .chain(SERVICES)
        .chain(GROUND)
        .chain(["cli", "config", "sidecar", "lib", "main"])
        .collect();
    for source in sources() {
        assert!(
            known.contains(source.module.as_str()),
            "{} is in no layer",
            source.path.display()
        );
    }
}

#[test]
fn an_import_is_found_in_each_form() {
    let code = "use crate::page::Rules;\nuse crate::{client, event::{Event, Sites}, headers};\nlet x: crate::queue::At;";
    let found = imports(code);
    assert_eq!(found, ["page", "client", "event", "headers", "queue"]);
}

/// What a module may import beside itself.
fn allowed(module: &str) -> BTreeSet<&'static str> {
    let pure = PURE.iter().map(|(name, _)| *name);
    let all = || pure.clone().chain(SERVICES).chain(GROUND);
    match module {
        // Storage knows bytes and keys alone.
        "queue" => GROUND.into(),
        "config" => all().collect(),
        "sidecar" => all().chain(["config"]).collect(),
        "cli" => all().chain(["config", "sidecar"]).collect(),
        "lib" => all().chain(["config", "sidecar", "cli"]).collect(),
        _ if SERVICES.contains(&module) => all().collect(),
        _ => PURE
            .iter()
            .filter(|(name, _)| *name == module)
            .flat_map(|(_, may)| may.iter().copied())
            .collect(),
    }
}

fn is_pure(module: &str) -> bool {
    PURE.iter().any(|(name, _)| *name == module)
}

fn is_root_of_its_module(path: &Path) -> bool {
    let depth = path
        .strip_prefix(root().join("src"))
        .unwrap()
        .components()
        .count();
    depth == 1 || (depth == 2 && path.ends_with("mod.rs"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let top = root().join("src");
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let first = path.strip_prefix(&top).unwrap().components().next().unwrap();
                found.push(Source {
                    module: first
                        .as_os_str()
                        .to_str()
                        .unwrap()
                        .trim_end_matches(".rs")
                        .to_owned(),
                    code: code_of(&fs::read_to_string(&path).unwrap()),
                    path,
                });
            }
        }
    }
    assert!(found.len() > 10, "the sources were not found");
    found
}

/// The code without comments and without the tests, which stand at the bottom of a file.
fn code_of(text: &str) -> String {
    let code = uncommented(text);
    code.split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn uncommented(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn imports(code: &str) -> Vec<String> {
    paths_after("crate::", code)
}

/// The names that follow a root: `crate::a`, and `crate::{a, b::{c, d}}` gives a and b.
fn paths_after(root: &str, code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(root) {
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(group) => names.extend(top_level_items(group).iter().map(|item| word(item.trim_start()))),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The items of a brace group whose opening brace was taken off.
fn top_level_items(group: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    items.push(item);
    items
}
