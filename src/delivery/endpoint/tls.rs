//! Which certificates are trusted to be Plausible's.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// HTTP/2's name in ALPN (RFC 9113 §3.2).
pub(in crate::delivery) const H2: &[u8] = b"h2";
pub(super) const HTTP_1_1: &[u8] = b"http/1.1";

/// The extra CA cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is no PEM.
    #[error("[plausible] ca_file {} cannot be read", path.display())]
    Read {
        /// As configured.
        path: PathBuf,
        /// Why not.
        source: rustls_pki_types::pem::Error,
    },
    /// The file has no certificate in it.
    #[error("[plausible] ca_file {} has no certificate", path.display())]
    Empty {
        /// As configured.
        path: PathBuf,
    },
    /// One of its certificates cannot be trusted.
    #[error("[plausible] ca_file {} has a certificate that cannot be trusted", path.display())]
    Untrusted {
        /// As configured.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The TLS library offers no protocol version.
    #[error("TLS cannot be set up")]
    SetUp(#[from] rustls::Error),
}

/// Settings that trust the system's roots and those of `ca_file`, and offer HTTP/2 before HTTP/1.1.
pub(in crate::delivery) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (trusted, _) = roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        add(&mut roots, path)?;
    } else if trusted == 0 {
        tracing::error!("the system has no trusted roots: no connection to Plausible can be made over https");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let read = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut found = false;
    for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
        let untrusted = |source| TlsError::Untrusted {
            path: path.to_owned(),
            source,
        };
        roots.add(certificate.map_err(read)?).map_err(untrusted)?;
        found = true;
    }
    if found {
        return Ok(());
    }
    Err(TlsError::Empty {
        path: path.to_owned(),
    })
}
