//! What the binary makes of its table of keys and of its command line: the file with every key, the JSON schema,
//! completions, the manual. The real programs that read them are asked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    process::{BINARY, has, run},
    skip,
};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config")
}

#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = run(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_files_that_are_generated_are_those_of_this_binary() {
    for (file, arguments) in [
        ("full.toml", &["schema", "--toml"][..]),
        ("schema.json", &["schema"]),
    ] {
        let deployed = fs::read_to_string(examples().join(file)).unwrap();
        let again = format!("gatecount {} > deploy/config/{file}", arguments.join(" "));
        assert!(
            deployed == said(arguments),
            "deploy/config/{file} is not what the binary makes: {again}"
        );
    }
}

/// Asks a validator of JSON Schema, of a draft that editors know, about each value: what is wrong with it.
fn validated(values: &[Value]) -> Option<Vec<Vec<String>>> {
    let script = "import json, sys, jsonschema\n\
                  schema, values = json.load(sys.stdin)\n\
                  jsonschema.Draft7Validator.check_schema(schema)\n\
                  jsonschema.Draft4Validator.check_schema(schema)\n\
                  of = lambda v: sorted({e.message for d in (jsonschema.Draft7Validator, jsonschema.Draft4Validator) \
                  for e in d(schema).iter_errors(v)})\n\
                  print(json.dumps([of(v) for v in values]))\n";
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        let there = Command::new(python).args(["-c", "import jsonschema"]).output();
        there.is_ok_and(|output| output.status.success())
    })?;
    let schema: Value = serde_json::from_str(&said(&["schema"])).unwrap();
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("input");
    fs::write(&input, json!([schema, values]).to_string()).unwrap();
    let output = Command::new(python)
        .args(["-c", script])
        .stdin(fs::File::open(&input).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn json_of(toml: &str) -> Value {
    let table: toml::Table = toml.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_schema_takes_every_configuration_in_deploy() {
    let mut names = Vec::new();
    let mut values = Vec::new();
    for entry in fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = fs::read_to_string(&path).unwrap();
            let begins = text.starts_with("#:schema schema.json\n");
            assert!(begins, "{}: editors are not told of the schema", path.display());
            values.push(json_of(&text));
            names.push(path);
        }
    }
    // As `check` prints it, with every default spelled out.
    let example = examples().join("nginx.toml");
    values.push(json_of(&said(&["check", "--config", example.to_str().unwrap()])));
    names.push("check".into());
    let Some(wrong) = validated(&values) else {
        return skip("no jsonschema for Python");
    };
    assert!(names.len() >= 9, "{names:?}");
    for (name, wrong) in names.iter().zip(wrong) {
        assert!(wrong.is_empty(), "{}: {wrong:?}", name.display());
    }
}

/// What an editor underlines, `check` refuses, and the other way round.
#[test]
fn the_schema_and_check_agree_on_values() {
    const EVENT: &str = "[[events]]\nname = \"A\"\npath = \"/a\"\n";
    let bad = [
        "[listen]\nadress = \"127.0.0.1:80\"".to_owned(),
        "[listen]\naddress = \"nowhere\"".to_owned(),
        "[listen]\nworkers = 1025".to_owned(),
        "[listen]\nworkers = \"two\"".to_owned(),
        "[listen]\ndrain = \"soon\"".to_owned(),
        "[listen]\nmax_head_bytes = \"64K bytes\"".to_owned(),
        "[listen]\nmin_rate = \"1KiB\"".to_owned(),
        "[listen]\nhttp2 = \"yes\"".to_owned(),
        "[log]\nformat = \"xml\"".to_owned(),
        "[client]\ntrusted_proxies = \"loopback\"".to_owned(),
        "[client]\nto_app = \"add\"".to_owned(),
        "[plausible]\nurl = \"plausible.io\"".to_owned(),
        "[plausible]\naddress_header = \"x-real-ip\"".to_owned(),
        "[plausible]\nconcurrency = 0".to_owned(),
        "[queue]\nat = \"tape\"".to_owned(),
        "[pages]\ndownloads = \"pdf\"".to_owned(),
        "[pages]\nexclude_when = [\"logged_in\"]".to_owned(),
        "[tracker]\nscript = \"js/script.js\"".to_owned(),
        "[observe]\nlog = \"/var/log/a.log\"".to_owned(),
        "[listening]\naddress = \"127.0.0.1:80\"".to_owned(),
        "[[sites]]\nhosts = [\"a\"]".to_owned(),
        "[[sites]]\nhosts = []\ndomain = \"a\"".to_owned(),
        "[[events]]\nname = \"A\"".to_owned(),
        format!("{EVENT}interactive = 1"),
        format!("{EVENT}revenue = {{ currency = \"EUR\" }}"),
        format!("{EVENT}props = {{ a = 1 }}"),
        format!("{EVENT}kind = \"a\""),
    ];
    let good = [
        "[listen]\naddress = \"unix:/run/a.sock\"\nmax_head_bytes = 4096\ndrain = \"1m 30s\"\nmin_rate = \"0\"".to_owned(),
        "[plausible]\naddress_header = [\"x-plausible-ip\", \"x-forwarded-for\"]\nurl = \"http://a:8000/p\"".to_owned(),
        "[pages]\ndownloads = [\"pdf\"]\nexclude_when = [\"cookie:a\"]\nexclude = []\nbots = \"bots.example.com\"".to_owned(),
        "[client]\ntrusted_proxies = []\nheader = \"none\"".to_owned(),
        "[queue]\nmax_bytes = \"1 GiB\"".to_owned(),
        "[[sites]]\nhosts = [\"a\"]\ndomain = [\"a\", \"b\"]".to_owned(),
        format!("{EVENT}method = [\"POST\", \"PUT\"]\nstatus = \"303\"\nprops = {{ a = \"b\" }}\n\
                 revenue = {{ currency = \"EUR\", amount = 9.90 }}\ninteractive = false"),
    ];
    for (texts, taken) in [(&bad[..], false), (&good[..], true)] {
        for text in texts {
            assert_eq!(is_taken_by_check(text), taken, "check on {text}");
        }
        let values: Vec<Value> = texts.iter().map(|text| json_of(text)).collect();
        let Some(wrong) = validated(&values) else {
            return skip("no jsonschema for Python");
        };
        for (text, wrong) in texts.iter().zip(wrong) {
            assert_eq!(wrong.is_empty(), taken, "the schema on {text}: {wrong:?}");
        }
    }
}

fn is_taken_by_check(text: &str) -> bool {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("gatecount.toml");
    fs::write(&file, text).unwrap();
    let mut arguments = vec![
        "check",
        "--config",
        file.to_str().unwrap(),
        "--app",
        "http://127.0.0.1:3000",
    ];
    if !text.contains("[[sites]]") {
        arguments.extend(["--domain", "example.com"]);
    }
    run(&arguments, "").status.success()
}

/// A shell's completions in a file, and the folder that holds it.
fn completions(shell: &str) -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(shell);
    fs::write(&file, said(&["completions", shell])).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let home = TempDir::new().unwrap();
    Command::new(program)
        .args(arguments)
        .env("HOME", home.path())
        .env("TERM", "dumb")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

#[test]
fn bash_completes_commands_and_flags() {
    if !has("bash") {
        return skip("bash is not installed");
    }
    let (_directory, file) = completions("bash");
    let script = "source \"$1\" || exit; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  _gatecount \"$1\" \"${!#}\" \"\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (words, expected) in [
        (&["gatecount", "comp"][..], &["completions"][..]),
        (&["gatecount", "completions", ""], &["bash", "zsh", "fish"]),
        (&["gatecount", "demo", "--p"], &["--ports"]),
        (&["gatecount", "run", "--dom"], &["--domain"]),
    ] {
        let mut arguments = vec!["--norc", "--noprofile", "-c", script, "bash", &file];
        arguments.extend(words);
        let done = output("bash", &arguments);
        let completed = String::from_utf8_lossy(&done.stdout).into_owned();
        for word in expected {
            assert!(completed.lines().any(|line| line == *word), "{words:?}: {done:?}");
        }
    }
}

#[test]
fn fish_completes_commands_and_flags() {
    if !has("fish") {
        return skip("fish is not installed");
    }
    let (_directory, file) = completions("fish");
    for (typed, expected) in [
        ("gatecount comp", "completions\t"),
        ("gatecount demo --po", "--ports\t"),
    ] {
        let script = format!("source {file}; complete -C '{typed}'");
        let done = output("fish", &["--no-config", "-c", &script]);
        let completed = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(completed.contains(expected), "{typed}: {done:?}");
    }
}

#[test]
fn zsh_completes_commands() {
    if !has("zsh") {
        return skip("zsh is not installed");
    }
    let (_directory, file) = completions("zsh");
    // Completion needs a line editor, and that a terminal.
    let script = "zmodload zsh/zpty && zpty z zsh -f -i\n\
                  zpty -w z \"PS1=; autoload -Uz compinit; compinit -u -D; source $1; print rea''dy\"\n\
                  zpty -r z seen '*ready*' || exit 1\n\
                  zpty -w -n z $'gatecount compl\\t'\n\
                  zpty -r z seen '*etions*' || exit 1\n\
                  zpty -d z; print -r -- $seen";
    let done = output("timeout", &["30", "zsh", "-f", "-c", script, "zsh", &file]);
    let completed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && completed.contains("etions"), "{done:?}");
}

#[test]
fn the_manual_has_every_command_key_and_exit_status_and_no_mistake() {
    let directory = TempDir::new().unwrap();
    let page = directory.path().join("gatecount.1");
    fs::write(&page, said(&["man"])).unwrap();
    if !has("mandoc") {
        return skip("mandoc is not installed");
    }
    let page = page.to_str().unwrap();
    let lint = output("mandoc", &["-T", "lint", "-W", "warning", page]);
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    let shown = output("mandoc", &["-T", "ascii", "-O", "width=100", page]);
    // What is bold is written twice, one over the other.
    let bytes = shown.stdout;
    let mut text = String::new();
    for byte in bytes {
        if byte == 8 {
            text.pop();
        } else {
            text.push(char::from(byte));
        }
    }
    let words = [
        "gatecount [OPTIONS] [COMMAND]",
        "completions",
        "queue export",
        "--ports SITE,RECEIVER,LIVE",
        "EXIT STATUS",
        "[listen.tls]",
        "[[events]]",
        "GATECOUNT_LISTEN_MAX_HEAD_BYTES",
        "drain = \"25s\"",
        "STATE_DIRECTORY",
    ];
    for word in words {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let changes = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let newest = changes
        .lines()
        .find_map(|line| line.strip_prefix("## [")?.split_once("] - "));
    let (version, date) = newest.expect("a version with its date");
    assert!(
        text.contains(&format!("gatecount {version}")) && text.contains(date),
        "{version}, {date}"
    );
    for status in ["0", "1", "2"] {
        let section = text.split("EXIT STATUS").nth(1).unwrap();
        let listed = section.lines().any(|line| line.trim_start().starts_with(status));
        assert!(listed, "no status {status}");
    }
    let schema: Value = serde_json::from_str(&said(&["schema"])).unwrap();
    let tables = schema["properties"].as_object().unwrap();
    for (table, content) in tables {
        let keys = content["properties"]
            .as_object()
            .or(content["items"]["properties"].as_object());
        for key in keys.unwrap().keys() {
            assert!(text.contains(key.as_str()), "{table}.{key} is not in the manual");
        }
    }
}

/// What goes to the registry is what the binary is built from and what users read: no corpora, no benches.
#[test]
fn the_package_is_small_and_has_what_users_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let files = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<&str> = files.lines().collect();
    for wanted in ["README.md", "LICENSE", "deploy/config/full.toml", "src/main.rs"] {
        assert!(files.contains(&wanted), "no {wanted}");
    }
    let foreign = files
        .iter()
        .find(|file| file.starts_with("tests/") || file.starts_with("benches/"));
    assert_eq!(foreign, None);
    let sizes = files.iter().filter_map(|file| fs::metadata(root.join(file)).ok());
    let bytes: u64 = sizes.map(|size| size.len()).sum();
    assert!(bytes < 4 << 20, "{bytes} bytes");
}

/// A reader that leaves early is no failure.
#[test]
fn a_closed_pipe_ends_them_quietly() {
    for command in ["man", "schema", "completions bash"] {
        let line = format!("{{ \"$0\" {command}; echo $? >&2; }} | true");
        let done = Command::new("bash").args(["-c", &line, BINARY]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stderr), "0\n", "{command}");
    }
}
