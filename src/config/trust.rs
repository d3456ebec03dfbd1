//! `trusted_proxies`: ranges, names, and files of them.

use std::path::{Path, PathBuf};

use crate::client::{Trust, TrustError};

use super::{
    mistake::{Mistake, Origin},
    reader::Reader,
    sources::Sources,
    value::{self, Settled, Spot},
};

const KEY: &str = "client.trusted_proxies";

/// What one list came to.
struct Ranges {
    trust: Vec<Trust>,
    /// The files that it names.
    files: Vec<PathBuf>,
    /// The list as it was given, its files' paths made absolute.
    given: Vec<String>,
}

/// The ranges, and the files that they came from.
pub(super) fn resolve(r: &mut Reader<'_>) -> (Trust, Vec<PathBuf>) {
    let sources = r.sources;
    let ranges = r.take(KEY, |settled, _, base| match settled {
        Settled::List(items) => read(items, base, sources),
        _ => Err(Vec::new()),
    });
    let Some(Ranges { trust, files, given }) = ranges else {
        return (Trust::default(), Vec::new());
    };
    r.show(KEY, value::list(given.iter().map(String::as_str)));
    // Nothing in the list is no one trusted, not the default.
    let none = Trust::parse(&[]).unwrap_or_default();
    (trust.into_iter().fold(none, Trust::and), files)
}

fn read(items: &[Spot<String>], base: &Path, sources: &Sources) -> Result<Ranges, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut ranges = Ranges {
        trust: Vec::new(),
        files: Vec::new(),
        given: Vec::new(),
    };
    for item in items {
        let Some(path) = item.what.strip_prefix('@') else {
            match Trust::parse(&[&item.what]) {
                Ok(trust) => ranges.trust.push(trust),
                Err(errors) => mistakes.extend(errors.into_iter().map(|e| mistake(&item.origin, e))),
            }
            ranges.given.push(item.what.clone());
            continue;
        };
        let path = base.join(path);
        match read_list(&path, sources) {
            Ok(trust) => ranges.trust.push(trust),
            Err(Unread::File(problem)) => {
                mistakes.push(Mistake::value(
                    &item.origin,
                    KEY,
                    value::quote(&item.what),
                    problem,
                ));
            }
            Err(Unread::Lines(found)) => mistakes.extend(found),
        }
        ranges.given.push(format!("@{}", path.display()));
        ranges.files.push(path);
    }
    if mistakes.is_empty() {
        Ok(ranges)
    } else {
        Err(mistakes)
    }
}

/// Why a list was not read.
enum Unread {
    File(String),
    Lines(Vec<Mistake>),
}

/// One entry a line; `#` begins a comment.
fn read_list(path: &Path, sources: &Sources) -> Result<Trust, Unread> {
    let bytes = (sources.read)(path).map_err(|error| Unread::File(format!("can't be read: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    Trust::parse_lines(&text).map_err(|errors| {
        let told = errors.into_iter().map(|error| {
            let origin = Origin::File {
                path: path.to_owned(),
                line: error.index,
            };
            mistake(&origin, error)
        });
        Unread::Lines(told.collect())
    })
}

fn mistake(origin: &Origin, error: TrustError) -> Mistake {
    Mistake::value(origin, KEY, value::quote(&error.text), error.reason)
}
