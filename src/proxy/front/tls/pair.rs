//! A certificate chain and its private key, from PEM. Nothing of a key gets into an error or a log.

use std::sync::Arc;

use rustls::{
    InconsistentKeys, RootCertStore,
    crypto::{CryptoProvider, ring},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use webpki::EndEntityCert;

use crate::certificate::Validity;

/// Why a certificate and a key, or a list of authorities, can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The certificate's file has no certificate in it. Were the two files swapped?
    #[error("it has no certificate; a PEM file with the chain is wanted, the server's own certificate first")]
    NoCertificate,
    /// The certificate's file is not proper PEM.
    #[error("it is damaged; a PEM file with certificates is wanted")]
    DamagedCertificate,
    /// The first certificate, or an authority, is not X.509 version 3, or not in a form that can be read.
    #[error("it has a certificate that can't be used")]
    Certificate(#[source] rustls::Error),
    /// The key's file has no key in it, or only one that a passphrase protects.
    #[error("it has no private key; a PEM file with a key that no passphrase protects is wanted")]
    NoKey,
    /// The key's file is not proper PEM. The reason is left out, for it could quote the key.
    #[error("it is damaged; a PEM file with a private key is wanted")]
    DamagedKey,
    /// The key is of a kind that TLS servers don't use, or malformed.
    #[error("its key can't be used; an ECDSA, RSA or Ed25519 key is wanted")]
    Key,
    /// The key is not the certificate's.
    #[error("its key is not the key of the certificate")]
    Mismatch,
}

impl PairError {
    /// Whether the key's file is to blame; else it is the certificate's.
    pub fn is_keys(&self) -> bool {
        matches!(
            self,
            PairError::NoKey | PairError::DamagedKey | PairError::Key | PairError::Mismatch
        )
    }
}

/// A pair that can be used, and what its certificate says.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// The names of the certificate's `subjectAltName`, in lower case; `*.example.com` is a wildcard.
    pub(super) names: Vec<String>,
    pub(super) validity: Validity,
}

/// Every mistake of a pair's two files.
///
/// # Errors
/// At most one about the certificate and one about the key.
pub fn check(certificate: &[u8], key: &[u8]) -> Result<(), Vec<PairError>> {
    match (chain(certificate), private_key(key)) {
        (Ok(chain), Ok(key)) => pair(chain, key).map(drop).map_err(|e| vec![e]),
        (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// Whether this PEM file has authorities that client certificates can be verified by.
///
/// # Errors
/// [`PairError::NoCertificate`], [`PairError::DamagedCertificate`], [`PairError::Certificate`]
pub fn check_authorities(pem: &[u8]) -> Result<(), PairError> {
    authorities(pem).map(drop)
}

/// A pair from its two files' PEM.
pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Pair, PairError> {
    pair(chain(certificate)?, private_key(key)?)
}

/// The authorities of a PEM file, and their certificates as they are there.
pub(super) fn authorities(pem: &[u8]) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), PairError> {
    let certificates = chain(pem)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(PairError::Certificate)?;
    }
    Ok((roots, certificates))
}

/// Who does the cryptography.
pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| PairError::DamagedCertificate)?;
    if chain.is_empty() {
        return Err(PairError::NoCertificate);
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => PairError::NoKey,
        _ => PairError::DamagedKey,
    })
}

fn pair(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Pair, PairError> {
    let signer = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| PairError::Key)?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        // A key that can't tell its public half can't be compared; the handshake would show it.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(PairError::Mismatch),
        Err(other) => return Err(PairError::Certificate(other)),
    }
    // `keys_match` has parsed the same bytes.
    let unusable = |_| PairError::Certificate(rustls::CertificateError::BadEncoding.into());
    let certificate = EndEntityCert::try_from(&certified.cert[0]).map_err(unusable)?;
    let names = certificate
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect();
    Ok(Pair {
        names,
        validity: Validity::of(&certificate),
        certified: Arc::new(certified),
    })
}
