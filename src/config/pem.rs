//! Files of certificates that are trusted beside the system's roots.

use std::path::PathBuf;

use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{parse, reader::KeyReader, value};

/// The file that this key names. It is read here once, so that a file without a certificate is a mistake in the
/// configuration.
pub(super) fn certificates(r: &mut KeyReader<'_>, key: &'static str) -> Option<PathBuf> {
    let sources = r.sources;
    let file = r.text(key, |text, base| {
        if text.is_empty() {
            return Ok(None);
        }
        let path = parse::path_from(text, base)?;
        let pem = (sources.read)(&path).map_err(|error| format!("can't be read: {error}"))?;
        let mut certificates = CertificateDer::pem_slice_iter(&pem);
        match certificates.next() {
            Some(Ok(_)) if certificates.all(|c| c.is_ok()) => Ok(Some(path)),
            None => Err("a PEM file with certificates is wanted; it has none".to_owned()),
            Some(_) => Err("a PEM file with certificates is wanted; it is damaged".to_owned()),
        }
    });
    if let Some(path) = &file {
        r.show(key, value::quote(&path.display().to_string()));
    }
    file
}
