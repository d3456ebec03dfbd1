//! `trusted_proxies`: ranges, names, and files of them.

use std::path::{Path, PathBuf};

use crate::client::{Trust, TrustError};

use super::{
    mistake::{Mistake, Origin},
    reader::KeyReader,
    sources::Sources,
    value::{self, Located, TypedValue},
};

const KEY: &str = "client.trusted_proxies";

/// A list, resolved.
struct Ranges {
    trust: Vec<Trust>,
    /// The files that it names.
    files: Vec<PathBuf>,
    /// The list as it was written, with absolute paths of its files.
    shown: Vec<String>,
}

/// Resolves the list, and has the files that it names watched.
pub(super) fn resolve(r: &mut KeyReader<'_>) -> Trust {
    let sources = r.sources;
    let ranges = r.take(KEY, |typed, _, base| match typed {
        TypedValue::List(items) => read(items, base, sources),
        _ => Err(Vec::new()),
    });
    let Some(Ranges { trust, files, shown }) = ranges else {
        return Trust::default();
    };
    r.show(KEY, value::list(shown.iter().map(String::as_str)));
    r.watched.extend(files);
    // An empty list trusts nobody; `Trust::default` would be the default ranges.
    let nobody = Trust::parse(&[]).unwrap_or_default();
    trust.into_iter().fold(nobody, Trust::and)
}

fn read(items: &[Located<String>], base: &Path, sources: &Sources) -> Result<Ranges, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut ranges = Ranges {
        trust: Vec::new(),
        files: Vec::new(),
        shown: Vec::new(),
    };
    for item in items {
        let Some(path) = item.value.strip_prefix('@') else {
            match Trust::parse(&[&item.value]) {
                Ok(trust) => ranges.trust.push(trust),
                Err(errors) => mistakes.extend(errors.into_iter().map(|e| mistake(&item.origin, e))),
            }
            ranges.shown.push(item.value.clone());
            continue;
        };
        let path = base.join(path);
        match read_list(&path, sources) {
            Ok(trust) => ranges.trust.push(trust),
            Err(ListError::File(problem)) => {
                mistakes.push(Mistake::value(
                    &item.origin,
                    KEY,
                    value::quote(&item.value),
                    problem,
                ));
            }
            Err(ListError::Lines(found)) => mistakes.extend(found),
        }
        ranges.shown.push(format!("@{}", path.display()));
        ranges.files.push(path);
    }
    if mistakes.is_empty() {
        Ok(ranges)
    } else {
        Err(mistakes)
    }
}

/// Why a list can't be read.
enum ListError {
    File(String),
    Lines(Vec<Mistake>),
}

/// Reads a list with one entry a line; `#` begins a comment.
fn read_list(path: &Path, sources: &Sources) -> Result<Trust, ListError> {
    let bytes = (sources.read)(path).map_err(|error| ListError::File(format!("can't be read: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    Trust::parse_lines(&text).map_err(|errors| {
        let mistakes = errors.into_iter().map(|error| {
            let origin = Origin::File {
                path: path.to_owned(),
                line: error.index,
            };
            mistake(&origin, error)
        });
        ListError::Lines(mistakes.collect())
    })
}

fn mistake(origin: &Origin, error: TrustError) -> Mistake {
    Mistake::value(origin, KEY, value::quote(&error.text), error.reason)
}
