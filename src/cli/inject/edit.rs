//! Changes of a YAML text in single places: what is not changed stays byte by byte as it was.
//!
//! A collection in block style gets lines in its own indentation, one in flow style (JSON is such a text)
//! gets JSON.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::yaml::{YamlContent, YamlNode, documents};

/// A text that takes the place of a part of another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replacement {
    start: usize,
    end: usize,
    with: String,
}

/// Changes of one text, gathered and made at once.
#[derive(Debug)]
pub(super) struct TextEdits<'t> {
    text: &'t str,
    /// As the text's own lines end.
    line_end: &'static str,
    replacements: Vec<Replacement>,
}

impl<'t> TextEdits<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let crlf = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
        TextEdits {
            text,
            line_end: if crlf { "\r\n" } else { "\n" },
            replacements: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.replacements.is_empty()
    }

    /// Puts an item behind the last one of a list. `list_indent` is how far the text's lists are indented from
    /// their keys.
    pub(super) fn append_item(&mut self, list: &YamlNode, item: &Value, list_indent: usize) {
        let YamlContent::List { items, flow } = &list.content else {
            return;
        };
        if *flow {
            self.append_flow(list, items.last(), &item.to_string());
            return;
        }
        let mut lines = String::new();
        write_item(&mut lines, item, list.column, list_indent);
        self.insert_lines(list, &lines);
    }

    /// Adds a key that the mapping does not have yet.
    pub(super) fn add_key(&mut self, map: &YamlNode, key: &str, value: &Value, list_indent: usize) {
        let YamlContent::Map { entries, flow } = &map.content else {
            return;
        };
        if *flow {
            let last = entries.last().map(|(_, value)| value);
            self.append_flow(map, last, &format!("{}: {value}", Value::from(key)));
            return;
        }
        let mut lines = String::new();
        write_entry(&mut lines, key, value, map.column, list_indent);
        self.insert_lines(map, &lines);
    }

    /// Puts another value, in flow style, in the place of a key's scalar.
    pub(super) fn replace(&mut self, (key, old): (&YamlNode, &YamlNode), value: &Value) {
        let (start, end, with) = if old.start == old.end {
            // Nothing stands there: behind the colon.
            let colon = self.text[key.end..].find(':').map_or(0, |at| at + 1);
            (key.end + colon, key.end + colon, format!(" {value}"))
        } else {
            (old.start, old.end, value.to_string())
        };
        self.replacements.push(Replacement { start, end, with });
    }

    fn append_flow(&mut self, collection: &YamlNode, last: Option<&YamlNode>, text: &str) {
        let (at, with) = match last {
            None => (collection.start + 1, text.to_owned()),
            Some(last) => {
                // On a line of its own where the one before has one.
                let line = self.text[..last.start].rfind('\n').map_or(0, |at| at + 1);
                let before = &self.text[line..last.start];
                let gap = if line > collection.start && before.trim().is_empty() {
                    format!("{}{before}", self.line_end)
                } else {
                    " ".to_owned()
                };
                (last.end, format!(",{gap}{text}"))
            }
        };
        self.replacements.push(Replacement {
            start: at,
            end: at,
            with,
        });
    }

    /// Inserts lines behind the line in which a block collection ends.
    fn insert_lines(&mut self, collection: &YamlNode, lines: &str) {
        // The parser tells the end of a literal or folded scalar behind its last line break, and behind the next
        // line's indentation.
        let end = self.text[..collection.end].trim_end_matches(' ').len();
        let at = if self.text[..end].ends_with('\n') {
            end
        } else {
            self.text[end..]
                .find('\n')
                .map_or(self.text.len(), |rest| end + rest + 1)
        };
        let mut with = String::new();
        if !self.text[..at].ends_with('\n') {
            with.push('\n');
        }
        with.push_str(lines);
        self.replacements.push(Replacement {
            start: at,
            end: at,
            with: with.replace('\n', self.line_end),
        });
    }

    /// The text with the changes. Of two in one place the one that was asked for first comes first.
    pub(super) fn apply(mut self) -> String {
        self.replacements.sort_by_key(|replacement| replacement.start);
        let (mut out, mut done) = (String::with_capacity(self.text.len() + 4096), 0);
        for Replacement { start, end, with } in &self.replacements {
            out.push_str(&self.text[done..*start]);
            let extra_break = done == *start && out.ends_with('\n');
            out.push_str(if extra_break {
                with.trim_start_matches(['\r', '\n'])
            } else {
                with
            });
            done = *end;
        }
        out.push_str(&self.text[done..]);
        out
    }
}

/// Whether every scalar of `before` stands in `after` as it was, apart from those at `changed` paths, and
/// nothing was added but below the `added` paths.
pub(super) fn only_changed(before: &str, after: &str, changed: &[String], added: &[String]) -> bool {
    let (Ok(before), Ok(after)) = (documents(before), documents(after)) else {
        return false;
    };
    let (before, after) = (leaves(&before), leaves(&after));
    let is_below = |path: &str| added.iter().any(|added| path.starts_with(added.as_str()));
    let kept = before
        .iter()
        .filter(|(path, _)| !changed.contains(path))
        .all(|(path, value)| after.get(path) == Some(value));
    let asked = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .all(|path| is_below(path) || changed.contains(path));
    kept && asked
}

/// Every scalar of a stream by its path.
fn leaves(documents: &[YamlNode]) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    for (number, document) in documents.iter().enumerate() {
        gather(document, &number.to_string(), &mut leaves);
    }
    leaves
}

fn gather(node: &YamlNode, path: &str, leaves: &mut BTreeMap<String, String>) {
    match &node.content {
        YamlContent::Scalar { value, style, tag } => {
            leaves.insert(path.to_owned(), format!("{tag:?} {style:?} {value}"));
        }
        YamlContent::Alias(anchor) => {
            leaves.insert(path.to_owned(), format!("*{anchor}"));
        }
        YamlContent::List { items, .. } => {
            for (number, item) in items.iter().enumerate() {
                gather(item, &format!("{path}/{number}"), leaves);
            }
        }
        YamlContent::Map { entries, .. } => {
            for (key, value) in entries {
                gather(value, &format!("{path}/{}", key.text().unwrap_or("?")), leaves);
            }
        }
    }
}

/// `key: value` in lines that begin at `column`.
fn write_entry(out: &mut String, key: &str, value: &Value, column: usize, list_indent: usize) {
    indent(out, column);
    write_pair(out, key, value, column, list_indent);
}

fn write_pair(out: &mut String, key: &str, value: &Value, column: usize, list_indent: usize) {
    out.push_str(key);
    out.push(':');
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            for (key, value) in entries {
                write_entry(out, key, value, column + 2, list_indent);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            out.push('\n');
            for item in items {
                write_item(out, item, column + list_indent, list_indent);
            }
        }
        _ => {
            out.push(' ');
            write_scalar(out, value);
            out.push('\n');
        }
    }
}

/// `- item` in lines that begin at `column`.
fn write_item(out: &mut String, item: &Value, column: usize, list_indent: usize) {
    indent(out, column);
    out.push_str("- ");
    match item {
        Value::Object(entries) if !entries.is_empty() => {
            for (number, (key, value)) in entries.iter().enumerate() {
                if number > 0 {
                    indent(out, column + 2);
                }
                write_pair(out, key, value, column + 2, list_indent);
            }
        }
        _ => {
            write_scalar(out, item);
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, column: usize) {
    out.extend(std::iter::repeat_n(' ', column));
}

/// A scalar, or a collection in flow style. JSON is YAML; a word that no reader could take for anything else
/// needs no quotes.
fn write_scalar(out: &mut String, value: &Value) {
    const NOT_WORDS: [&str; 11] = [
        "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf",
    ];
    match value {
        Value::String(text) if is_word(text) && !NOT_WORDS.contains(&text.to_ascii_lowercase().as_str()) => {
            out.push_str(text);
        }
        // Writing to a String does not fail.
        other => drop(write!(out, "{other}")),
    }
}

fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(is_plain)
}
