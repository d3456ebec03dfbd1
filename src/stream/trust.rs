//! Whose certificates are trusted to be the servers'.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// Settings that trust the system's roots and those of this file: by itself, the client trusts the one or the other.
/// Nothing where one of both can't be read; then the client does with the file what it can, and says why not.
pub(super) fn system_and(file: &Path) -> Option<ClientConfig> {
    let native = rustls_native_certs::load_native_certs();
    if !native.errors.is_empty() {
        return None;
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(native.certs);
    for certificate in CertificateDer::pem_file_iter(file).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(config)
}
