//! The configuration from made-up sources: no file, no environment of this machine's.

mod events;
mod inject;
mod mistakes;
mod names;
mod observed;
mod precedence;
mod reload;
mod round_trip;
mod sites;
mod stream;
mod table;
mod tls;
mod tracker;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{Config, Flags, Mistakes, Sources, load};

/// Sources whose world is `/etc/gatecount` with the files given, `gatecount.toml` as the configuration.
fn sources(files: &[(&str, &str)], environment: &[(&str, &str)], flags: Flags) -> Sources {
    let root = Path::new("/etc/gatecount");
    let files: BTreeMap<PathBuf, Vec<u8>> = files
        .iter()
        .map(|(name, text)| (root.join(name), text.as_bytes().to_vec()))
        .collect();
    let config = files
        .contains_key(&root.join("gatecount.toml"))
        .then(|| "gatecount.toml".into());
    Sources {
        flags: Flags {
            config: flags.config.or(config),
            ..flags
        },
        environment: environment
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).into()))
            .collect(),
        directory: root.to_owned(),
        read: Box::new(move |path| {
            let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
            files.get(path).cloned().ok_or_else(missing)
        }),
        writable: Box::new(|_| false),
        cpus: 4,
    }
}

/// A file alone, completed with an app and a site where it has none of its own.
fn from_file(text: &str) -> Result<Config, Mistakes> {
    load(&sources(&[("gatecount.toml", text)], &[], enough()))
}

/// The flags of the smallest complete start.
fn enough() -> Flags {
    Flags {
        app: Some("http://127.0.0.1:3000".to_owned()),
        domain: vec!["example.com".to_owned()],
        ..Flags::default()
    }
}

/// Every mistake as it is told.
fn told(outcome: Result<Config, Mistakes>) -> Vec<String> {
    match outcome {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}
