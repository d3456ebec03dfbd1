//! Reads the file: TOML to values with their lines. Syntax, unknown keys and the shape of tables are checked
//! here, values later.
//!
//! serde's derive is no help: it stops at the first mistake and forgets the line.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    hints, keys,
    mistake::{Mistake, Mistakes, Origin},
    value::{Located, RawValue},
};

/// The content of a file.
#[derive(Debug, Default)]
pub(super) struct RawFile {
    /// Known keys with their values.
    pub(super) values: Vec<(&'static str, Located<RawValue>)>,
    /// The `[[sites]]` tables.
    pub(super) sites: Vec<RawSite>,
    /// The `[[events]]` tables.
    pub(super) events: Vec<RawEvent>,
    /// The `[[listen.tls.more]]` tables.
    pub(super) pairs: Vec<RawPair>,
    /// The file is not TOML. Its content is unknown, so no key can be reported as missing.
    pub(super) broken: bool,
}

/// One `[[sites]]` table as it was written.
#[derive(Debug, Clone)]
pub(super) struct RawSite {
    /// Where the table begins.
    pub(super) origin: Origin,
    pub(super) hosts: Option<Located<RawValue>>,
    pub(super) domain: Option<Located<RawValue>>,
}

/// One `[[events]]` table as it was written.
#[derive(Debug, Clone)]
pub(super) struct RawEvent {
    /// Where the table begins.
    pub(super) origin: Origin,
    /// Its keys, all of them known.
    pub(super) keys: Vec<(String, Located<RawValue>)>,
}

/// One `[[listen.tls.more]]` table as it was written.
#[derive(Debug, Clone)]
pub(super) struct RawPair {
    /// Where the table begins.
    pub(super) origin: Origin,
    pub(super) certificate: Option<Located<RawValue>>,
    pub(super) key: Option<Located<RawValue>>,
}

/// Reads a file's text. `path` is for the mistakes.
pub(super) fn read(path: &Path, text: &str, mistakes: &mut Mistakes) -> RawFile {
    let lines = Lines { path, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let start = error.span().map_or(text.len(), |s| s.start);
            let problem = format!(
                "not TOML: {} (column {})",
                one_line(error.message()),
                lines.column(start)
            );
            mistakes.push(Mistake::key(&lines.origin(start), "", problem));
        }
        return RawFile {
            broken: true,
            ..RawFile::default()
        };
    }
    let mut file = RawFile::default();
    for (name, value) in document.get_ref() {
        let origin = lines.origin(name.span().start);
        let name = name.get_ref().as_ref();
        match value.get_ref() {
            _ if keys::tables().all(|t| t != name) => {
                mistakes.push(Mistake::key(&origin, name, hints::unknown_table(name)));
            }
            DeValue::Array(tables) if name == "sites" => {
                for table in tables {
                    site(table, &lines, &mut file, mistakes);
                }
            }
            DeValue::Array(tables) if name == keys::EVENTS => {
                for table in tables {
                    event(table, &lines, &mut file, mistakes);
                }
            }
            _ if name == keys::EVENTS => {
                let problem = "written as [[events]], once for each event, with name and path";
                mistakes.push(Mistake::key(&origin, name, problem));
            }
            _ if name == "sites" => {
                let problem = "written as [[sites]], once for each site, with hosts and domain";
                mistakes.push(Mistake::key(&origin, name, problem));
            }
            DeValue::Table(table) => read_table(name, table, &lines, &mut file, mistakes),
            other => mistakes.push(table_wanted(name, &origin, &lines.value(other))),
        }
    }
    file
}

fn table_wanted(table: &str, origin: &Origin, value: &RawValue) -> Mistake {
    let known = keys::listed(&keys::names_in(table));
    let problem = format!("a table is wanted: [{table}] with {known}");
    Mistake::value(origin, table, value.quoted(), problem)
}

fn read_table(
    table: &str,
    content: &DeTable<'_>,
    lines: &Lines<'_>,
    file: &mut RawFile,
    mistakes: &mut Mistakes,
) {
    for (name, value) in content {
        let origin = lines.origin(name.span().start);
        let name = name.get_ref().as_ref();
        let path = format!("{table}.{name}");
        let is_table = keys::tables().any(|t| t == path);
        match value.get_ref() {
            DeValue::Table(inner) if is_table => {
                read_table(&path, inner, lines, file, mistakes);
                continue;
            }
            other if is_table => {
                mistakes.push(table_wanted(&path, &origin, &lines.value(other)));
                continue;
            }
            DeValue::Array(tables) if path == keys::PAIRS => {
                for table in tables {
                    pair(table, lines, file, mistakes);
                }
                continue;
            }
            _ if path == keys::PAIRS => {
                let problem =
                    "written as [[listen.tls.more]], once for each further pair, with certificate and key";
                mistakes.push(Mistake::key(&origin, &path, problem));
                continue;
            }
            _ => {}
        }
        match keys::find(&path) {
            Some(key) => file.values.push((
                key.path,
                Located {
                    value: lines.value(value.get_ref()),
                    origin,
                },
            )),
            None => mistakes.push(Mistake::key(&origin, &path, hints::unknown_key(table, name))),
        }
    }
}

fn site(table: &Spanned<DeValue<'_>>, lines: &Lines<'_>, file: &mut RawFile, mistakes: &mut Mistakes) {
    let origin = lines.origin(table.span().start);
    let DeValue::Table(content) = table.get_ref() else {
        let value = lines.value(table.get_ref()).quoted();
        let problem = "a table with hosts and domain is wanted";
        mistakes.push(Mistake::value(&origin, "sites", value, problem));
        return;
    };
    let mut site = RawSite {
        origin,
        hosts: None,
        domain: None,
    };
    for (name, value) in content {
        let origin = lines.origin(name.span().start);
        let name = name.get_ref().as_ref();
        let located = Located {
            value: lines.value(value.get_ref()),
            origin,
        };
        match name {
            "hosts" => site.hosts = Some(located),
            "domain" => site.domain = Some(located),
            _ => {
                let path = format!("sites.{name}");
                mistakes.push(Mistake::key(
                    &located.origin,
                    &path,
                    hints::unknown_site_key(name),
                ));
            }
        }
    }
    file.sites.push(site);
}

fn event(table: &Spanned<DeValue<'_>>, lines: &Lines<'_>, file: &mut RawFile, mistakes: &mut Mistakes) {
    let origin = lines.origin(table.span().start);
    let DeValue::Table(content) = table.get_ref() else {
        let value = lines.value(table.get_ref()).quoted();
        let problem = "a table with name and path is wanted";
        mistakes.push(Mistake::value(&origin, keys::EVENTS, value, problem));
        return;
    };
    let mut keys = Vec::new();
    for (name, value) in content {
        let located = Located {
            value: lines.value(value.get_ref()),
            origin: lines.origin(name.span().start),
        };
        let name = name.get_ref().as_ref();
        if keys::EVENT_TABLE.has(name) {
            keys.push((name.to_owned(), located));
        } else {
            let path = format!("{}.{name}", keys::EVENTS);
            mistakes.push(Mistake::key(
                &located.origin,
                &path,
                hints::unknown_event_key(name),
            ));
        }
    }
    file.events.push(RawEvent { origin, keys });
}

fn pair(table: &Spanned<DeValue<'_>>, lines: &Lines<'_>, file: &mut RawFile, mistakes: &mut Mistakes) {
    let origin = lines.origin(table.span().start);
    let DeValue::Table(content) = table.get_ref() else {
        let value = lines.value(table.get_ref()).quoted();
        let problem = "a table with certificate and key is wanted";
        mistakes.push(Mistake::value(&origin, keys::PAIRS, value, problem));
        return;
    };
    let mut pair = RawPair {
        origin,
        certificate: None,
        key: None,
    };
    for (name, value) in content {
        let located = Located {
            value: lines.value(value.get_ref()),
            origin: lines.origin(name.span().start),
        };
        match name.get_ref().as_ref() {
            "certificate" => pair.certificate = Some(located),
            "key" => pair.key = Some(located),
            name => {
                let path = format!("{}.{name}", keys::PAIRS);
                mistakes.push(Mistake::key(
                    &located.origin,
                    &path,
                    hints::unknown_pair_key(name),
                ));
            }
        }
    }
    file.pairs.push(pair);
}

/// Reads one TOML value.
pub(super) fn value(toml: &str) -> Option<RawValue> {
    let text = format!("value = {toml}");
    let document = DeTable::parse(&text).ok()?;
    let lines = Lines {
        path: Path::new(""),
        text: &text,
    };
    Some(lines.value(document.get_ref().get("value")?.get_ref()))
}

/// A text that knows the line and column of its bytes.
struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line: line_of(self.text.as_bytes(), offset),
        }
    }

    /// The column, from 1, in characters.
    fn column(&self, offset: usize) -> usize {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        line.chars().count() + 1
    }

    fn value(&self, value: &DeValue<'_>) -> RawValue {
        match value {
            DeValue::String(text) => RawValue::Text(text.clone().into_owned()),
            DeValue::Integer(number) => RawValue::Integer(
                i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| number.to_string()),
            ),
            DeValue::Boolean(value) => RawValue::Boolean(*value),
            DeValue::Array(items) => RawValue::List(
                items
                    .iter()
                    .map(|item| Located {
                        value: self.value(item.get_ref()),
                        origin: self.origin(item.span().start),
                    })
                    .collect(),
            ),
            DeValue::Float(number) => RawValue::Other(number.to_string()),
            DeValue::Datetime(date) => RawValue::Other(date.to_string()),
            DeValue::Table(table) => RawValue::Table(
                table
                    .iter()
                    .map(|(name, value)| {
                        let located = Located {
                            value: self.value(value.get_ref()),
                            origin: self.origin(name.span().start),
                        };
                        (name.get_ref().clone().into_owned(), located)
                    })
                    .collect(),
            ),
        }
    }
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &text[..offset.min(text.len())]).count() + 1
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}
