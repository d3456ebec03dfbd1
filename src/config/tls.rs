//! `[listen.tls]`: pairs of certificate and key, and who may connect.

use std::path::PathBuf;

use crate::proxy;

use super::{
    keys::{self, ValueKind},
    mistake::{Mistake, Origin},
    parse,
    reader::KeyReader,
    value::{self, Located, RawValue, TypedValue},
};

const CERTIFICATE: &str = "listen.tls.certificate";
const KEY: &str = "listen.tls.key";
const CLIENT_CA: &str = "listen.tls.client_ca";
const MORE_CERTIFICATE: &str = "listen.tls.more.certificate";
const MORE_KEY: &str = "listen.tls.more.key";

/// One `[[listen.tls.more]]` as `check` shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResolvedPair {
    pub(super) files: proxy::KeyPair,
    pub(super) origin: Origin,
}

/// A file that a key names.
struct NamedFile {
    key: &'static str,
    path: PathBuf,
    origin: Origin,
}

/// Resolves the table and its further pairs, and has the files that they name watched. TLS is `None` without
/// a pair.
///
/// With `check_files` the files are read, so that an unusable one is a mistake in the configuration. Commands
/// that start no sidecar don't: they may run as a user who can't read the keys.
pub(super) fn resolve(r: &mut KeyReader<'_>, check_files: bool) -> (Option<proxy::Tls>, Vec<ResolvedPair>) {
    let certificate = file(r, CERTIFICATE);
    let key = file(r, KEY);
    let client_ca = file(r, CLIENT_CA);
    let is_missing = certificate.is_none() && key.is_none();
    let first = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(pair(r, &certificate, &key, check_files)),
        (Some(alone), None) => {
            let problem = "its key is missing: [listen.tls] has certificate and key";
            r.mistakes.push(mistake(&alone, problem));
            None
        }
        (None, Some(alone)) => {
            let problem = "its certificate is missing: [listen.tls] has certificate and key";
            r.mistakes.push(mistake(&alone, problem));
            None
        }
        (None, None) => None,
    };
    if let Some(authorities) = &client_ca {
        if is_missing {
            let problem = "it goes with certificate and key in [listen.tls], which are missing";
            r.mistakes.push(mistake(authorities, problem));
        } else if check_files {
            check_authorities(r, authorities);
        }
    }
    let more = further_pairs(r, is_missing, check_files);
    let tls = first.map(|first| proxy::Tls {
        pairs: std::iter::once(first)
            .chain(more.iter().map(|pair| pair.files.clone()))
            .collect(),
        client_ca: client_ca.map(|file| file.path),
    });
    if let Some(tls) = &tls {
        let pairs = tls.pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        r.watched.extend(pairs.chain(&tls.client_ca).cloned());
    }
    (tls, more)
}

fn further_pairs(r: &mut KeyReader<'_>, first_is_missing: bool, check_files: bool) -> Vec<ResolvedPair> {
    let mut pairs = Vec::new();
    for table in std::mem::take(&mut r.raw.pairs) {
        if first_is_missing {
            let problem = "it goes with a first pair, certificate and key in [listen.tls], which is missing";
            r.mistakes.push(Mistake::key(&table.origin, keys::PAIRS, problem));
        }
        let certificate = file_of_pair(r, MORE_CERTIFICATE, table.certificate, &table.origin);
        let key = file_of_pair(r, MORE_KEY, table.key, &table.origin);
        if let (Some(certificate), Some(key)) = (certificate, key) {
            pairs.push(ResolvedPair {
                files: pair(r, &certificate, &key, check_files),
                origin: table.origin,
            });
        }
    }
    pairs
}

/// The file that a key of `[listen.tls]` names; `""` is none.
fn file(r: &mut KeyReader<'_>, key: &'static str) -> Option<NamedFile> {
    let path = r.text(key, |text, base| match text {
        "" => Ok(None),
        _ => parse::path_from(text, base).map(Some),
    })?;
    r.show(key, value::quote(&path.display().to_string()));
    let origin = r.origin(key).clone();
    Some(NamedFile { key, path, origin })
}

/// The file that a key of `[[listen.tls.more]]` names, which is required.
fn file_of_pair(
    r: &mut KeyReader<'_>,
    key: &'static str,
    raw: Option<Located<RawValue>>,
    table: &Origin,
) -> Option<NamedFile> {
    let Some(located) = raw else {
        let problem = "missing: each [[listen.tls.more]] has certificate and key";
        r.mistakes.push(Mistake::key(table, key, problem));
        return None;
    };
    let outcome = match located.typed(ValueKind::Text) {
        Ok(TypedValue::Text(text)) => parse::path_from(&text, &r.raw.base)
            .map_err(|problem| Mistake::value(&located.origin, key, located.value.quoted(), problem)),
        Ok(_) => return None,
        Err((part, wanted)) => Err(Mistake::value(&part.origin, key, part.value, wanted)),
    };
    match outcome {
        Ok(path) => Some(NamedFile {
            key,
            path,
            origin: located.origin,
        }),
        Err(mistake) => {
            r.mistakes.push(mistake);
            None
        }
    }
}

fn pair(
    r: &mut KeyReader<'_>,
    certificate: &NamedFile,
    key: &NamedFile,
    check_files: bool,
) -> proxy::KeyPair {
    if check_files {
        let read = [read(r, certificate), read(r, key)];
        if let [Some(chain), Some(private)] = read {
            for error in proxy::check_pair(&chain, &private).err().into_iter().flatten() {
                let blamed = if error.is_keys() { key } else { certificate };
                r.mistakes.push(mistake(blamed, with_causes(&error)));
            }
        }
    }
    proxy::KeyPair {
        certificate: certificate.path.clone(),
        key: key.path.clone(),
    }
}

fn check_authorities(r: &mut KeyReader<'_>, file: &NamedFile) {
    if let Some(pem) = read(r, file)
        && let Err(error) = proxy::check_authorities(&pem)
    {
        r.mistakes.push(mistake(file, with_causes(&error)));
    }
}

fn read(r: &mut KeyReader<'_>, file: &NamedFile) -> Option<Vec<u8>> {
    match (r.sources.read)(&file.path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            r.mistakes.push(mistake(file, format!("can't be read: {error}")));
            None
        }
    }
}

fn mistake(file: &NamedFile, problem: impl Into<String>) -> Mistake {
    let value = value::quote(&file.path.display().to_string());
    Mistake::value(&file.origin, file.key, value, problem)
}

/// An error with its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |all, cause| format!("{all}: {cause}"))
}
