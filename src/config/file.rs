//! The file: TOML to values with their lines. Syntax, unknown keys and the shape of tables are judged here, values not.
//!
//! Not by serde's derive: it stops at the first mistake, and forgets the line.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys,
    mistake::{Mistake, Mistakes, Origin},
    value::{Spot, Value},
};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Known keys with their values.
    pub(super) values: Vec<(&'static str, Spot<Value>)>,
    /// The `[[sites]]` tables.
    pub(super) sites: Vec<Site>,
    /// The `[[listen.tls.more]]` tables.
    pub(super) pairs: Vec<Pair>,
    /// Not TOML: what it says is not known, so nothing can be called missing.
    pub(super) broken: bool,
}

/// One `[[sites]]` table as it was given.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Where it begins.
    pub(super) origin: Origin,
    pub(super) hosts: Option<Spot<Value>>,
    pub(super) domain: Option<Spot<Value>>,
}

/// One `[[listen.tls.more]]` table as it was given.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// Where it begins.
    pub(super) origin: Origin,
    pub(super) certificate: Option<Spot<Value>>,
    pub(super) key: Option<Spot<Value>>,
}

/// Reads a file's text; `path` is for the mistakes.
pub(super) fn read(path: &Path, text: &str, mistakes: &mut Mistakes) -> File {
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
        return File {
            broken: true,
            ..File::default()
        };
    }
    let mut file = File::default();
    for (name, value) in document.get_ref() {
        let origin = lines.origin(name.span().start);
        let name = name.get_ref().as_ref();
        match value.get_ref() {
            _ if keys::tables().all(|t| t != name) => {
                mistakes.push(Mistake::key(&origin, name, keys::unknown_table(name)));
            }
            DeValue::Array(tables) if name == "sites" => {
                for table in tables {
                    site(table, &lines, &mut file, mistakes);
                }
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

fn table_wanted(table: &str, origin: &Origin, value: &Value) -> Mistake {
    let known = keys::listed(&keys::names_in(table));
    let problem = format!("a table is wanted: [{table}] with {known}");
    Mistake::value(origin, table, value.quoted(), problem)
}

fn read_table(
    table: &str,
    content: &DeTable<'_>,
    lines: &Lines<'_>,
    file: &mut File,
    mistakes: &mut Mistakes,
) {
    for (name, value) in content {
        let origin = lines.origin(name.span().start);
        let name = name.get_ref().as_ref();
        let path = format!("{table}.{name}");
        match value.get_ref() {
            DeValue::Table(inner) if keys::tables().any(|t| t == path) => {
                read_table(&path, inner, lines, file, mistakes);
                continue;
            }
            other if keys::tables().any(|t| t == path) => {
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
                Spot {
                    what: lines.value(value.get_ref()),
                    origin,
                },
            )),
            None => mistakes.push(Mistake::key(&origin, &path, keys::unknown_key(table, name))),
        }
    }
}

fn site(table: &Spanned<DeValue<'_>>, lines: &Lines<'_>, file: &mut File, mistakes: &mut Mistakes) {
    let origin = lines.origin(table.span().start);
    let DeValue::Table(content) = table.get_ref() else {
        let value = lines.value(table.get_ref()).quoted();
        let problem = "a table with hosts and domain is wanted";
        mistakes.push(Mistake::value(&origin, "sites", value, problem));
        return;
    };
    let mut site = Site {
        origin,
        hosts: None,
        domain: None,
    };
    for (name, value) in content {
        let origin = lines.origin(name.span().start);
        let name = name.get_ref().as_ref();
        let spot = Spot {
            what: lines.value(value.get_ref()),
            origin,
        };
        match name {
            "hosts" => site.hosts = Some(spot),
            "domain" => site.domain = Some(spot),
            _ => {
                let path = format!("sites.{name}");
                mistakes.push(Mistake::key(&spot.origin, &path, keys::unknown_site_key(name)));
            }
        }
    }
    file.sites.push(site);
}

fn pair(table: &Spanned<DeValue<'_>>, lines: &Lines<'_>, file: &mut File, mistakes: &mut Mistakes) {
    let origin = lines.origin(table.span().start);
    let DeValue::Table(content) = table.get_ref() else {
        let value = lines.value(table.get_ref()).quoted();
        let problem = "a table with certificate and key is wanted";
        mistakes.push(Mistake::value(&origin, keys::PAIRS, value, problem));
        return;
    };
    let mut pair = Pair {
        origin,
        certificate: None,
        key: None,
    };
    for (name, value) in content {
        let spot = Spot {
            what: lines.value(value.get_ref()),
            origin: lines.origin(name.span().start),
        };
        match name.get_ref().as_ref() {
            "certificate" => pair.certificate = Some(spot),
            "key" => pair.key = Some(spot),
            name => {
                let path = format!("{}.{name}", keys::PAIRS);
                mistakes.push(Mistake::key(&spot.origin, &path, keys::unknown_pair_key(name)));
            }
        }
    }
    file.pairs.push(pair);
}

/// One value as TOML writes it.
pub(super) fn value(toml: &str) -> Option<Value> {
    let text = format!("value = {toml}");
    let document = DeTable::parse(&text).ok()?;
    let lines = Lines {
        path: Path::new(""),
        text: &text,
    };
    Some(lines.value(document.get_ref().get("value")?.get_ref()))
}

/// A text whose places are told by line and column.
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

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => Value::Integer(
                i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| number.to_string()),
            ),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| Spot {
                        what: self.value(item.get_ref()),
                        origin: self.origin(item.span().start),
                    })
                    .collect(),
            ),
            DeValue::Float(number) => Value::Other(number.to_string()),
            DeValue::Datetime(date) => Value::Other(date.to_string()),
            DeValue::Table(_) => Value::Other("a table".to_owned()),
        }
    }
}

/// The line, from 1, of a byte offset.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &text[..offset.min(text.len())]).count() + 1
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}
