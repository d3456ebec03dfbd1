//! How the house is built: which module may import which, and no circle among the files. Read from the
//! sources themselves, tests left out.

mod circles;
mod names;
mod needs;
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, path,
};

use circles::circles;
use names::Crate;

/// The floor under everything: what a name or value of a field may be, time, which threads go first, names of hosts, and
/// how long a certificate holds.
const GROUND: [&str; 6] = ["field", "clock", "timer", "priority", "lookup", "certificate"];

/// Modules without I/O. They import each other and the grammar of fields.
const PURE: [&str; 7] = [
    "facts",
    "http1",
    "headers",
    "plausible",
    "client",
    "page",
    "event",
];

/// Modules that do I/O at the edges, and the services that each may import. All of them may import the pure
/// modules, the ground floor and telemetry's throttle.
const SERVICES: [(&str, &[&str]); 9] = [
    ("proxy", &["delivery", "tracker"]),
    ("tracker", &["delivery"]),
    // The address for copies of requests is a small HTTP server, as the admin address is.
    ("observe", &["delivery", "web"]),
    ("delivery", &["queue", "stream"]),
    ("queue", &[]),
    ("stream", &[]),
    ("admin", &["web"]),
    ("demo", &["web"]),
    ("web", &[]),
];

/// What starts and stops the services; it knows none of them.
const RUNNING: [&str; 2] = ["lifecycle", "telemetry"];

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

/// Type names that each service may have, read with its name before them, as `queue::Error`.
const ONE_A_SERVICE: [&str; 2] = ["Error", "Settings"];

/// Words that mean something in every corner of a proxy, so that only one type may have each, whoever sees
/// it.
const ONE_IN_ALL: [&str; 4] = ["Connection", "Event", "Failure", "Worker"];

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (module, others) in needs::of_modules(&gatecount()) {
        let allowed = allowed(&module);
        for (other, files) in others {
            if !allowed.contains(other.as_str()) {
                wrong.push(format!("{module} imports {other} in {files:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let found = circles(&needs::of_modules(&gatecount()));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circles(&needs::of_files(&gatecount()));
    assert!(found.is_empty(), "{} circles:\n{}", found.len(), found.join("\n"));
}

/// So that `grep` finds one thing under one name: among the types that are `pub`, among those within one
/// module, and among all that have one of the most common names.
#[test]
fn no_two_types_have_one_name() {
    let gatecount = gatecount();
    let mut places: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    for file in &gatecount.files {
        let own = file.module.first().map_or("the crate", String::as_str);
        for found in file.syntax.items.iter().filter_map(names::visible_type) {
            let everywhere = ONE_IN_ALL.contains(&found.name.as_str())
                || (found.public && !ONE_A_SERVICE.contains(&found.name.as_str()));
            let among = [Some(own), everywhere.then_some("the crate")];
            for among in among.into_iter().flatten() {
                let place = places.entry((among, found.name.clone())).or_default();
                place.insert(&file.name);
            }
        }
    }
    let wrong: BTreeSet<String> = places
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|((_, name), files)| format!("{name} in {files:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_modules_do_no_io_and_know_no_clock() {
    let mut wrong = Vec::new();
    let gatecount = gatecount();
    let pure = gatecount.files.iter().filter(|file| {
        let top = file.module.first();
        top.is_some_and(|top| PURE.contains(&top.as_str()))
    });
    for file in pure {
        let code = code_of(&fs::read_to_string(root().join("src").join(&file.name)).unwrap());
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{} has {word}", file.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn main_only_calls_the_command() {
    let main = uncommented(&fs::read_to_string(root().join("src/main.rs")).unwrap());
    let reached: BTreeSet<&str> = main
        .split("gatecount::")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect();
    let command: BTreeSet<&str> = ["cli", "telemetry"].into();
    assert!(reached.is_subset(&command), "main reaches into {reached:?}");
}

#[test]
fn the_table_knows_every_module() {
    for file in &gatecount().files {
        if let Some(module) = file.module.first() {
            assert!(layer_known(module), "{module} is in no layer");
        }
    }
}

fn layer_known(module: &str) -> bool {
    let services = SERVICES.iter().map(|(name, _)| *name);
    let mut known = GROUND.into_iter().chain(PURE).chain(services).chain(RUNNING);
    known.any(|name| name == module) || ["cli", "config", "sidecar"].contains(&module)
}

/// What a module may import beside itself.
fn allowed(module: &str) -> BTreeSet<&'static str> {
    let ground = || GROUND.into_iter();
    let services = || SERVICES.iter().map(|(name, _)| *name);
    match module {
        "cli" => ground()
            .chain(PURE)
            .chain(services())
            .chain(RUNNING)
            .chain(["config", "sidecar"])
            .collect(),
        "sidecar" => ground()
            .chain(PURE)
            .chain(services())
            .chain(RUNNING)
            .chain(["config"])
            .collect(),
        // Each part's settings, the log's among them.
        "config" => ground()
            .chain(PURE)
            .chain(services())
            .chain(["telemetry"])
            .collect(),
        // Storage knows bytes and keys alone.
        "queue" => ground().chain(["telemetry"]).collect(),
        "lifecycle" | "telemetry" | "timer" => ground().collect(),
        pure if PURE.contains(&pure) => PURE.into_iter().chain(["field"]).collect(),
        _ => {
            let own = SERVICES.iter().find(|(name, _)| *name == module);
            let peers = own.into_iter().flat_map(|(_, peers)| peers.iter().copied());
            let below = own
                .into_iter()
                .flat_map(|_| ground().chain(PURE).chain(["telemetry"]));
            peers.chain(below).collect()
        }
    }
}

fn root() -> &'static path::Path {
    path::Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crate as it is.
fn gatecount() -> Crate {
    let top = root().join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    Crate::read(&sources)
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
