//! A resolver that answers as a test wants: `resolver.c` stands in for the system's.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::process::Builder;

/// The name that it answers for.
pub(crate) const NAME: &str = "app.stub";

/// The library, and the file that tells it what to answer.
pub(crate) struct Resolver(TempDir);

impl Resolver {
    /// Compiles the library; nothing without a C compiler.
    pub(crate) fn new(answer: &str) -> Option<Resolver> {
        let resolver = Resolver(TempDir::new().expect("a directory"));
        resolver.answer(answer);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/resolver.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(resolver.library())
            .args([source, "-ldl"])
            .output()
            .ok()?;
        assert!(compiled.status.success(), "cc: {compiled:?}");
        Some(resolver)
    }

    /// Puts it before a process that is to be started.
    pub(crate) fn before(&self, builder: Builder) -> Builder {
        builder
            .environment("LD_PRELOAD", self.library().to_str().expect("a path in UTF-8"))
            .environment("RESOLVER", self.plan().to_str().expect("a path in UTF-8"))
    }

    /// From now on it answers this: addresses, one a line, or `fail`, or `hang`.
    pub(crate) fn answer(&self, answer: &str) {
        // At once, so that nobody reads half of it.
        let next = self.0.path().join("next");
        fs::write(&next, answer).expect("write the answer");
        fs::rename(next, self.plan()).expect("write the answer");
    }

    fn plan(&self) -> PathBuf {
        self.0.path().join("answer")
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("resolver.so")
    }
}
