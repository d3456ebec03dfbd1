//! `gatecount observe --from FILE --dry-run`.

use std::{fmt::Write as _, fs, time::Instant};

use super::{line, line_at, now, visitor};
use crate::support::{client::CHROME, full, process::run};

const DOMAIN: [&str; 2] = ["--domain", "example.com"];

fn dry(arguments: &[&str], input: &str) -> String {
    let arguments = [&["observe", "--dry-run"], arguments, &DOMAIN].concat();
    let output = run(&arguments, input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words of the line that begins with this one.
fn row<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(first));
    line.unwrap_or_else(|| panic!("no {first} in\n{table}"))
        .split_whitespace()
        .collect()
}

#[test]
fn a_log_is_told_as_a_table() {
    let mut log: String = (0..6).map(|n| line(n % 3)).collect();
    log.push_str(&line(9).replace("Chrome/", "bot/"));
    log.push_str("rubbish\n");
    log.push_str(&line_at(4, now() - 200_000.0));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    fs::write(&file, &log).unwrap();
    let by_file = dry(&["--from", file.to_str().unwrap()], "");
    let table = dry(&["--from", "-"], &log);
    assert_eq!(table, by_file);
    assert_eq!(row(&table, "counted")[..4], ["counted", "7", "87.5", "%"]);
    assert!(table.contains("GET example.com/page/0"), "{table}");
    assert_eq!(row(&table, "bot")[..2], ["bot", "1"]);
    assert_eq!(row(&table, "all"), ["all", "8"]);
    assert!(table.contains("\n1 lines are none of this format\n"), "{table}");
    assert!(table.contains("\n1 of the events would be too old"), "{table}");
    let pages: Vec<_> = table
        .lines()
        .skip_while(|line| !line.ends_with("  page"))
        .skip(1)
        .collect();
    assert_eq!(
        pages[0].split_whitespace().collect::<Vec<_>>(),
        ["2", "https://example.com/page/0"]
    );
    assert_eq!(pages.len(), 4);
}

#[test]
fn the_format_is_the_flags_or_the_configurations() {
    let line = format!(
        "203.0.113.7 - - [26/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 1 \"-\" \"{CHROME}\" \"198.51.100.7\""
    );
    let table = dry(&["--from", "-", "--format", "combined"], &line);
    assert_eq!(
        row(&table, "counted")[..2],
        ["counted", "1"],
        "its last line has no end"
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gatecount.toml");
    fs::write(&file, "[observe]\nformat = \"combined\"\n").unwrap();
    let table = dry(&["--from", "-", "--config", file.to_str().unwrap()], &line);
    assert_eq!(row(&table, "all"), ["all", "1"]);
}

#[test]
fn what_can_not_be_done_says_so() {
    let said = |arguments: &[&str]| {
        let output = run(arguments, "");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text) = said(&["observe", "--from", "-"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--dry-run"), "{text}");
    let (code, text) = said(&["observe", "--from", "/no/such/file", "--dry-run"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("can't read /no/such/file"), "{text}");
    let (code, _) = said(&["observe", "--from", "-", "--dry-run", "--format", "clf"]);
    assert_eq!(code, Some(2));
}

/// A million lines, 100,000 a second or more on one core; held where nothing else keeps the machine busy and
/// the build is optimized.
#[test]
fn a_long_log_is_read_quickly() {
    let count: usize = if full() { 1_000_000 } else { 5_000 };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let mut log = String::new();
    for n in 0..count {
        let (path, status) = match n % 20 {
            0 => (format!("/page/{}", n % 1000), 200),
            _ => (format!("/assets/{n}.js"), 304),
        };
        let _ = writeln!(
            log,
            "{} - - [26/Nov/2026:10:00:00 +0000] \"GET {path} HTTP/1.1\" {status} 1234 \"https://example.com/\" \"{CHROME}\"",
            visitor(n % 5000)
        );
    }
    fs::write(&file, &log).unwrap();
    let begun = Instant::now();
    let table = dry(&["--from", file.to_str().unwrap(), "--format", "combined"], "");
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} lines a second");
    assert_eq!(row(&table, "all"), ["all", &count.to_string()]);
    assert_eq!(row(&table, "counted")[1], (count / 20).to_string());
    assert!(
        !full() || cfg!(debug_assertions) || rate >= 100_000.0,
        "{rate} lines a second"
    );
}
