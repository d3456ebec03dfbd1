//! Reads the gathered values key by key: checks the kind, picks the source with the highest precedence,
//! collects every mistake.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{
    file,
    gather::{RawConfig, gather},
    keys::{self, Key},
    mistake::{Mistake, Mistakes, Origin},
    parse::{self, ParseResult},
    sources::Sources,
    value::{Located, RawValue, TypedValue},
};

/// A key's resolved value, for `check` and for comparing two configurations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResolvedKey {
    pub(super) key: &'static str,
    /// The value as TOML.
    pub(super) toml: String,
    pub(super) origin: Origin,
}

/// Reads values by key. Every source's value is checked, even if another source beats it: a mistake that an
/// environment variable hides is still a mistake.
pub(super) struct KeyReader<'s> {
    pub(super) sources: &'s Sources,
    pub(super) raw: RawConfig,
    pub(super) mistakes: Mistakes,
    /// What is no mistake, and probably not meant.
    pub(super) warnings: Vec<Mistake>,
    pub(super) resolved: Vec<ResolvedKey>,
    /// Further files that the configuration consists of, such as lists and certificates. A change of one is a
    /// reason to reload.
    pub(super) watched: Vec<PathBuf>,
}

/// Parses a value and keeps it.
type Keep<'k> = dyn FnMut(&TypedValue, &Located<RawValue>, &Path) -> Result<(), Vec<Mistake>> + 'k;

impl<'s> KeyReader<'s> {
    pub(super) fn new(sources: &'s Sources) -> Self {
        let mut mistakes = Mistakes::default();
        let raw = gather(sources, &mut mistakes);
        KeyReader {
            sources,
            raw,
            mistakes,
            warnings: Vec::new(),
            resolved: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// A text. `parse` also gets the directory that relative paths are relative to.
    pub(super) fn text<T>(&mut self, key: &'static str, parse: impl Fn(&str, &Path) -> ParseResult<T>) -> T {
        defaulted(self.optional_text(key, parse))
    }

    /// A text of a required key.
    pub(super) fn optional_text<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str, &Path) -> ParseResult<T>,
    ) -> Option<T> {
        self.take(key, |typed, located, base| match typed {
            TypedValue::Text(text) => parse(text, base).map_err(|p| vec![mistake(key, located, p)]),
            _ => Err(Vec::new()),
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        let value = self.take(key, |typed, _, _| match typed {
            TypedValue::Boolean(value) => Ok(*value),
            _ => Err(Vec::new()),
        });
        defaulted(value)
    }

    /// A whole number within the range of its key.
    pub(super) fn integer(&mut self, path: &'static str) -> u32 {
        let (key, range) = (path, key(path).integers());
        let value = self.take(key, |typed, located, _| match typed {
            TypedValue::Integer(number) => u32::try_from(*number)
                .ok()
                .filter(|n| range.contains(n))
                .ok_or_else(|| {
                    let problem = format!(
                        "a whole number from {} to {} is wanted",
                        range.start(),
                        range.end()
                    );
                    vec![mistake(key, located, problem)]
                }),
            _ => Err(Vec::new()),
        });
        defaulted(value)
    }

    /// A size in bytes within a range; `wanted` names the range.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, wanted: &str) -> u64 {
        let value = self.take(key, |typed, located, _| {
            let size = match typed {
                TypedValue::Integer(number) => {
                    u64::try_from(*number).map_err(|_| keys::ValueKind::Size.wanted().to_owned())
                }
                TypedValue::Text(text) => parse::size(text),
                _ => return Err(Vec::new()),
            };
            size.and_then(|s| {
                if range.contains(&s) {
                    Ok(s)
                } else {
                    Err(wanted.to_owned())
                }
            })
            .map_err(|problem| vec![mistake(key, located, problem)])
        });
        defaulted(value)
    }

    /// A list of texts, each parsed by itself.
    pub(super) fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> ParseResult<T>) -> Vec<T> {
        let value = self.take(key, |typed, _, _| match typed {
            TypedValue::List(items) => each(key, items, |item, _| parse(item)),
            _ => Err(Vec::new()),
        });
        defaulted(value)
    }

    /// The key's value from the source with the highest precedence, else its default. `None` if it has no
    /// default.
    pub(super) fn take<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&TypedValue, &Located<RawValue>, &Path) -> Result<T, Vec<Mistake>>,
    ) -> Option<T> {
        let mut value = None;
        self.take_with(path, &mut |typed, located, base| {
            value = Some(parse(typed, located, base)?);
            Ok(())
        });
        value
    }

    /// Has `keep` parse the value of each source, the highest precedence last; the default, where none is
    /// right. What it kept last is the key's value.
    ///
    /// One function for every type of value: compiled anew for each of some hundred keys, it took 200 KB.
    fn take_with(&mut self, path: &'static str, keep: &mut Keep<'_>) {
        let key = key(path);
        let mut best = None;
        for located in self.raw.values.remove(path).unwrap_or_default() {
            let base = match located.origin {
                Origin::File { .. } => &self.raw.base,
                _ => &self.sources.directory,
            };
            let outcome = located
                .typed(key.kind)
                .map_err(|(part, wanted)| vec![Mistake::value(&part.origin, path, part.value, wanted)])
                .and_then(|typed| {
                    keep(&typed, &located, base)?;
                    Ok(typed)
                });
            match outcome {
                Ok(typed) => best = Some((typed, located.origin)),
                Err(found) => self.mistakes.extend(found),
            }
        }
        let best = best.or_else(|| {
            let located = default_of(key)?;
            let typed = located.typed(key.kind).ok()?;
            keep(&typed, &located, &self.sources.directory).ok()?;
            Some((typed, Origin::Default))
        });
        if let Some((typed, origin)) = best {
            self.resolved.push(ResolvedKey {
                key: path,
                toml: typed.to_toml(),
                origin,
            });
        }
    }

    /// Replaces what `check` shows for a key: a default that was worked out, or a path that was made
    /// absolute.
    pub(super) fn show(&mut self, path: &str, toml: String) {
        if let Some(resolved) = self.resolved.iter_mut().find(|r| r.key == path) {
            resolved.toml = toml;
        }
    }

    /// Replaces what `check` shows for a key, and where it came from.
    pub(super) fn show_from(&mut self, path: &str, toml: String, origin: Origin) {
        if let Some(resolved) = self.resolved.iter_mut().find(|r| r.key == path) {
            resolved.toml = toml;
            resolved.origin = origin;
        }
    }

    /// Where a key's value came from.
    pub(super) fn origin(&self, path: &str) -> &Origin {
        self.resolved
            .iter()
            .find(|r| r.key == path)
            .map_or(&Origin::Default, |r| &r.origin)
    }

    /// Reports a conflict between two keys, at the one that was set explicitly (if both were, at the one with
    /// higher precedence).
    pub(super) fn clash(&mut self, one: &str, other: &str, problem: impl Into<String>) {
        let blamed = match (self.origin(one), self.origin(other)) {
            (Origin::Default, _) => other,
            (_, Origin::Default) => one,
            (a, b) if a >= b => one,
            _ => other,
        };
        let value = self
            .resolved
            .iter()
            .find(|r| r.key == blamed)
            .map_or("", |r| &r.toml);
        let mistake = Mistake::value(self.origin(blamed), blamed, value, problem);
        self.mistakes.push(mistake);
    }
}

/// Parses each item of a list. All values, or all mistakes.
pub(super) fn each<T>(
    key: &str,
    items: &[Located<String>],
    parse: impl Fn(&str, &Located<String>) -> ParseResult<T>,
) -> Result<Vec<T>, Vec<Mistake>> {
    let mut values = Vec::with_capacity(items.len());
    let mut mistakes = Vec::new();
    for item in items {
        match parse(&item.value, item) {
            Ok(value) => values.push(value),
            Err(problem) => {
                let quoted = RawValue::Text(item.value.clone()).quoted();
                mistakes.push(Mistake::value(&item.origin, key, quoted, problem));
            }
        }
    }
    if mistakes.is_empty() {
        Ok(values)
    } else {
        Err(mistakes)
    }
}

fn mistake(key: &str, located: &Located<RawValue>, problem: String) -> Mistake {
    Mistake::value(&located.origin, key, located.value.quoted(), problem)
}

fn key(path: &str) -> &'static Key {
    // Callers pass literals, and a test reads every one of them.
    keys::find(path).expect("a key of the table")
}

/// A key's default, read like a value of the file.
fn default_of(key: &Key) -> Option<Located<RawValue>> {
    let text = key.default?;
    let value = file::value(text)?;
    Some(Located {
        value,
        origin: Origin::Default,
    })
}

fn defaulted<T>(value: Option<T>) -> T {
    // A test reads every default.
    value.expect("a key's default is one of its values")
}
