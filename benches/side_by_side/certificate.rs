//! The certificate that all contenders show: ECDSA on P-256, signed by itself, made anew for each session.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::Failure;

/// The name that it is for.
pub(crate) const NAME: &str = "example.com";

/// Where its files are.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy takes them.
    pub(crate) both: PathBuf,
}

impl Certificate {
    /// Makes one and writes its files to `directory`.
    pub(crate) fn make(directory: &Path) -> Result<Self, Failure> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.to_owned()])?;
        let made = Self {
            chain: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
            both: directory.join("both.pem"),
        };
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        fs::write(&made.chain, &certificate)?;
        fs::write(&made.key, &key)?;
        fs::write(&made.both, certificate + &key)?;
        Ok(made)
    }
}
