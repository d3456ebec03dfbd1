//! Writes the file with every key: its sentence, and its default.

use std::fmt::Write as _;

use super::keys::{self, Key, RepeatedTable};

/// The width of its comments.
const WIDTH: usize = 100;

/// What it begins with.
const PREFACE: &str = "Every key, with its default; [app] url and what is said of sites are examples. This file is \
                       written by `gatecount schema --toml`, and `gatecount check --config FILE` says what holds. \
                       Any key can be set in the environment as well: GATECOUNT_LISTEN_ADDRESS, \
                       GATECOUNT_PLAUSIBLE_MAX_AGE, lists comma-separated. A relative path is relative to this file.";

/// The whole file. Tables that occur any number of times are comments, but for the site.
pub fn every_key() -> String {
    let mut out = String::from("#:schema schema.json\n");
    out += &wrapped(PREFACE, "# ", WIDTH);
    for table in keys::single_tables() {
        let _ = write!(
            out,
            "\n[{table}]\n{}",
            wrapped(keys::about_table(table), "# ", WIDTH)
        );
        for key in keys::in_table(table) {
            out.push('\n');
            write_key(&mut out, key, "");
        }
        for more in keys::REPEATED
            .iter()
            .filter(|more| keys::table_of(more.name) == table)
        {
            write_repeated(&mut out, more, "# ");
        }
    }
    write_repeated(&mut out, &keys::SITE_TABLE, "");
    write_repeated(&mut out, &keys::EVENT_TABLE, "# ");
    out
}

/// `lead` stands before each line that is no comment by itself.
fn write_key(out: &mut String, key: &Key, lead: &str) {
    let mut about = key.about.to_owned();
    // Beside a key that is a comment itself, its sentence stands further in.
    let comment = if lead.is_empty() { "# " } else { "#     " };
    let accepted = key.accepted_in_words();
    if !accepted.is_empty() {
        let _ = write!(about, " ({accepted})");
    }
    out.push_str(&wrapped(&about, comment, WIDTH));
    let _ = writeln!(out, "{lead}{} = {}", key.name(), key.shown());
}

fn write_repeated(out: &mut String, table: &RepeatedTable, lead: &str) {
    out.push('\n');
    out.push_str(&wrapped(table.about, "# ", WIDTH));
    let _ = writeln!(out, "{lead}[[{}]]", table.name);
    for key in table.keys {
        write_key(out, key, lead);
    }
}

/// Breaks a text into lines of at most `width` characters, each after `lead`.
fn wrapped(text: &str, lead: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && lead.chars().count() + line.chars().count() + 1 + word.chars().count() > width
        {
            let _ = writeln!(lines, "{lead}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(lines, "{lead}{line}");
    }
    lines
}
