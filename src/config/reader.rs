//! Takes the values out of what the sources say, key by key: the right kind, the best source, every mistake noted.

use std::{ops::RangeInclusive, path::Path};

use super::{
    keys::{self, Key},
    mistake::{Mistake, Mistakes, Origin},
    parse::{self, Parsed},
    sources::{Given, Sources},
    value::{Settled, Spot, Value},
};

/// A key's value as it holds, for `check` and for comparing two configurations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) key: &'static str,
    /// The value as TOML.
    pub(super) toml: String,
    pub(super) origin: Origin,
}

/// Goes through what was given. Every source's value is judged, also one that another beats: a mistake that waits
/// behind an environment variable is a mistake.
pub(super) struct Reader<'s> {
    pub(super) sources: &'s Sources,
    pub(super) given: Given,
    pub(super) mistakes: Mistakes,
    pub(super) shown: Vec<Shown>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(sources: &'s Sources) -> Self {
        let mut mistakes = Mistakes::default();
        let given = sources.gather(&mut mistakes);
        Reader {
            sources,
            given,
            mistakes,
            shown: Vec::new(),
        }
    }

    /// A text; `parse` also gets what relative paths are relative to.
    pub(super) fn text<T>(&mut self, key: &'static str, parse: impl Fn(&str, &Path) -> Parsed<T>) -> T {
        defaulted(self.optional_text(key, parse))
    }

    /// A text of a key without a default.
    pub(super) fn optional_text<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str, &Path) -> Parsed<T>,
    ) -> Option<T> {
        self.take(key, |settled, spot, base| match settled {
            Settled::Text(text) => parse(text, base).map_err(|p| vec![mistake(key, spot, p)]),
            _ => Err(Vec::new()),
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        let value = self.take(key, |settled, _, _| match settled {
            Settled::Boolean(value) => Ok(*value),
            _ => Err(Vec::new()),
        });
        defaulted(value)
    }

    /// A whole number within a range.
    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u32>) -> u32 {
        let value = self.take(key, |settled, spot, _| match settled {
            Settled::Integer(number) => u32::try_from(*number)
                .ok()
                .filter(|n| range.contains(n))
                .ok_or_else(|| {
                    let problem = format!(
                        "a whole number from {} to {} is wanted",
                        range.start(),
                        range.end()
                    );
                    vec![mistake(key, spot, problem)]
                }),
            _ => Err(Vec::new()),
        });
        defaulted(value)
    }

    /// A size in bytes within a range, whose ends are told by name.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, told: &str) -> u64 {
        let value = self.take(key, |settled, spot, _| {
            let size = match settled {
                Settled::Integer(number) => {
                    u64::try_from(*number).map_err(|_| keys::Kind::Size.wanted().to_owned())
                }
                Settled::Text(text) => parse::size(text),
                _ => return Err(Vec::new()),
            };
            size.and_then(|s| {
                if range.contains(&s) {
                    Ok(s)
                } else {
                    Err(told.to_owned())
                }
            })
            .map_err(|problem| vec![mistake(key, spot, problem)])
        });
        defaulted(value)
    }

    /// A list of texts, each judged for itself.
    pub(super) fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Vec<T> {
        let value = self.take(key, |settled, _, _| match settled {
            Settled::List(items) => each(key, items, |item, _| parse(item)),
            _ => Err(Vec::new()),
        });
        defaulted(value)
    }

    /// The value of a key by the best source that has one, else by its default; none where there is no default.
    pub(super) fn take<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&Settled, &Spot<Value>, &Path) -> Result<T, Vec<Mistake>>,
    ) -> Option<T> {
        let key = key(path);
        let mut best = None;
        for spot in self.given.values.remove(path).unwrap_or_default() {
            let base = match spot.origin {
                Origin::File { .. } => &self.given.base,
                _ => &self.sources.directory,
            };
            let outcome = spot
                .settle(key.kind)
                .map_err(|(part, wanted)| vec![Mistake::value(&part.origin, path, part.what, wanted)])
                .and_then(|settled| Ok((parse(&settled, &spot, base)?, settled)));
            match outcome {
                Ok((value, settled)) => best = Some((value, settled, spot.origin)),
                Err(found) => self.mistakes.extend(found),
            }
        }
        let (value, settled, origin) = if let Some(best) = best {
            best
        } else {
            let spot = default_of(key)?;
            let settled = spot.settle(key.kind).ok()?;
            let value = parse(&settled, &spot, &self.sources.directory).ok()?;
            (value, settled, Origin::Default)
        };
        self.shown.push(Shown {
            key: path,
            toml: settled.to_toml(),
            origin,
        });
        Some(value)
    }

    /// Shows a key's value otherwise than it was given: found out, or made absolute.
    pub(super) fn show(&mut self, path: &str, toml: String) {
        if let Some(shown) = self.shown.iter_mut().find(|s| s.key == path) {
            shown.toml = toml;
        }
    }

    /// Shows a key's value as one from elsewhere.
    pub(super) fn show_origin(&mut self, path: &str, origin: Origin) {
        if let Some(shown) = self.shown.iter_mut().find(|s| s.key == path) {
            shown.origin = origin;
        }
    }

    /// Where a key's value came from.
    pub(super) fn origin(&self, path: &str) -> &Origin {
        self.shown
            .iter()
            .find(|s| s.key == path)
            .map_or(&Origin::Default, |s| &s.origin)
    }

    /// A mistake that lies in how two keys go together, told of the one that was said, of both the later.
    pub(super) fn clash(&mut self, one: &str, other: &str, problem: impl Into<String>) {
        let blamed = match (self.origin(one), self.origin(other)) {
            (Origin::Default, _) => other,
            (_, Origin::Default) => one,
            (a, b) if a >= b => one,
            _ => other,
        };
        let value = self
            .shown
            .iter()
            .find(|s| s.key == blamed)
            .map_or("", |s| &s.toml);
        let mistake = Mistake::value(self.origin(blamed), blamed, value, problem);
        self.mistakes.push(mistake);
    }
}

/// Judges each item of a list; all mistakes, or all values.
pub(super) fn each<T>(
    key: &str,
    items: &[Spot<String>],
    parse: impl Fn(&str, &Spot<String>) -> Parsed<T>,
) -> Result<Vec<T>, Vec<Mistake>> {
    let mut values = Vec::with_capacity(items.len());
    let mut mistakes = Vec::new();
    for item in items {
        match parse(&item.what, item) {
            Ok(value) => values.push(value),
            Err(problem) => {
                let quoted = Value::Text(item.what.clone()).quoted();
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

fn mistake(key: &str, spot: &Spot<Value>, problem: String) -> Mistake {
    Mistake::value(&spot.origin, key, spot.what.quoted(), problem)
}

fn key(path: &str) -> &'static Key {
    // Paths are literals of `resolve`; a test compares those that it asks for with the table.
    keys::find(path).expect("a key of the table")
}

/// A key's default as a value, read as the file's text would be.
fn default_of(key: &Key) -> Option<Spot<Value>> {
    let text = key.default?;
    let what = super::file::value(text)?;
    Some(Spot {
        what,
        origin: Origin::Default,
    })
}

fn defaulted<T>(value: Option<T>) -> T {
    // A test resolves every default by its own key's rule.
    value.expect("a key's default is one of its values")
}
