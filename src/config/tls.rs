//! `[listen.tls]`: pairs of certificate and key, and who may connect.

use std::path::PathBuf;

use crate::proxy;

use super::{
    keys::Kind,
    mistake::{Mistake, Origin},
    parse,
    reader::Reader,
    resolve::Wanted,
    value::{self, Settled, Spot, Value},
};

const CERTIFICATE: &str = "listen.tls.certificate";
const KEY: &str = "listen.tls.key";
const CLIENT_CA: &str = "listen.tls.client_ca";
const MORE: &str = "listen.tls.more";
const MORE_CERTIFICATE: &str = "listen.tls.more.certificate";
const MORE_KEY: &str = "listen.tls.more.key";

/// One `[[listen.tls.more]]` as `check` shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShownPair {
    pub(super) files: proxy::KeyPair,
    pub(super) origin: Origin,
}

/// A file that a key names.
struct Named {
    key: &'static str,
    path: PathBuf,
    origin: Origin,
}

/// TLS, if there is any, and the further pairs. The files are read where a sidecar is wanted, so that one that can't be
/// used is a mistake and not a surprise; other commands may run as a user who can't read the keys.
pub(super) fn resolve(r: &mut Reader<'_>, wanted: Wanted) -> (Option<proxy::Tls>, Vec<ShownPair>) {
    let certificate = named(r, CERTIFICATE);
    let key = named(r, KEY);
    let client_ca = named(r, CLIENT_CA);
    let mut blamed: Vec<Mistake> = Vec::new();
    let first = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(pair(r, certificate, key, wanted)),
        (Some(alone), None) => {
            blamed.push(mistake(
                &alone,
                "its key is missing: [listen.tls] has certificate and key",
            ));
            None
        }
        (None, Some(alone)) => {
            blamed.push(mistake(
                &alone,
                "its certificate is missing: [listen.tls] has certificate and key",
            ));
            None
        }
        (None, None) => None,
    };
    let without_pair = first.is_none() && blamed.is_empty();
    r.mistakes.extend(blamed);
    if let Some(authorities) = &client_ca {
        if without_pair {
            r.mistakes.push(mistake(
                authorities,
                "it goes with certificate and key in [listen.tls], which are missing",
            ));
        } else if wanted == Wanted::All {
            check_authorities(r, authorities);
        }
    }
    let mut more = Vec::new();
    for table in std::mem::take(&mut r.given.pairs) {
        if without_pair {
            let problem = "it goes with a first pair, certificate and key in [listen.tls], which is missing";
            r.mistakes.push(Mistake::key(&table.origin, MORE, problem));
        }
        let certificate = named_in(r, MORE_CERTIFICATE, table.certificate, &table.origin);
        let key = named_in(r, MORE_KEY, table.key, &table.origin);
        if let (Some(certificate), Some(key)) = (certificate, key) {
            more.push(ShownPair {
                files: pair(r, certificate, key, wanted),
                origin: table.origin,
            });
        }
    }
    let tls = first.map(|first| proxy::Tls {
        pairs: std::iter::once(first)
            .chain(more.iter().map(|m| m.files.clone()))
            .collect(),
        client_ca: client_ca.map(|named| named.path),
    });
    (tls, more)
}

/// The files that TLS is made from.
pub(super) fn files(tls: &proxy::Tls) -> impl Iterator<Item = PathBuf> {
    tls.pairs
        .iter()
        .flat_map(|pair| [&pair.certificate, &pair.key])
        .chain(&tls.client_ca)
        .cloned()
}

/// The file that a key of `[listen.tls]` names; `""` is none.
fn named(r: &mut Reader<'_>, key: &'static str) -> Option<Named> {
    let path = r.text(key, |text, base| match text {
        "" => Ok(None),
        _ => parse::path_from(text, base).map(Some),
    })?;
    r.show(key, value::quote(&path.display().to_string()));
    let origin = r.origin(key).clone();
    Some(Named { key, path, origin })
}

/// The file that a key of a `[[listen.tls.more]]` names, which is never none.
fn named_in(
    r: &mut Reader<'_>,
    key: &'static str,
    given: Option<Spot<Value>>,
    table: &Origin,
) -> Option<Named> {
    let Some(spot) = given else {
        let problem = "missing: each [[listen.tls.more]] has certificate and key";
        r.mistakes.push(Mistake::key(table, key, problem));
        return None;
    };
    let outcome = match spot.settle(Kind::Text) {
        Ok(Settled::Text(text)) => parse::path_from(&text, &r.given.base)
            .map_err(|problem| Mistake::value(&spot.origin, key, spot.what.quoted(), problem)),
        Ok(_) => return None,
        Err((part, wanted)) => Err(Mistake::value(&part.origin, key, part.what, wanted)),
    };
    match outcome {
        Ok(path) => Some(Named {
            key,
            path,
            origin: spot.origin,
        }),
        Err(mistake) => {
            r.mistakes.push(mistake);
            None
        }
    }
}

fn pair(r: &mut Reader<'_>, certificate: Named, key: Named, wanted: Wanted) -> proxy::KeyPair {
    if wanted == Wanted::All {
        let read = [read(r, &certificate), read(r, &key)];
        if let [Some(chain), Some(private)] = read {
            for error in proxy::check_pair(&chain, &private).err().into_iter().flatten() {
                let blamed = if error.is_keys() { &key } else { &certificate };
                r.mistakes.push(mistake(blamed, told(&error)));
            }
        }
    }
    proxy::KeyPair {
        certificate: certificate.path,
        key: key.path,
    }
}

fn check_authorities(r: &mut Reader<'_>, named: &Named) {
    if let Some(pem) = read(r, named)
        && let Err(error) = proxy::check_authorities(&pem)
    {
        r.mistakes.push(mistake(named, told(&error)));
    }
}

fn read(r: &mut Reader<'_>, named: &Named) -> Option<Vec<u8>> {
    match (r.sources.read)(&named.path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            r.mistakes.push(mistake(named, format!("can't be read: {error}")));
            None
        }
    }
}

fn mistake(named: &Named, problem: impl Into<String>) -> Mistake {
    let value = value::quote(&named.path.display().to_string());
    Mistake::value(&named.origin, named.key, value, problem)
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |all, cause| format!("{all}: {cause}"))
}
