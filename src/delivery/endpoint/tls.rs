//! Which certificates are trusted to be Plausible's.

use std::{
    borrow::Cow,
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{CertificateError, ClientConfig, InvalidMessage, RootCertStore, crypto::ring};
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

/// Why a handshake failed, in words that say what to look at. What has no such words stays as it is.
pub(super) fn handshake_in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return said(error.kind(), "the connection was closed in the TLS handshake");
    }
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let words = match inner {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it answers, but not in TLS: is it http://?"
        }
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => {
                "its certificate is of an authority that is not trusted; ca_file in [plausible] can name it"
            }
            CertificateError::ExpiredContext { not_after, .. } => {
                let end = UNIX_EPOCH + Duration::from_secs(not_after.as_secs());
                let end = humantime::format_rfc3339_seconds(end);
                return said(
                    error.kind(),
                    format!("its certificate expired at {end}, or this machine's clock is wrong"),
                );
            }
            CertificateError::Expired => "its certificate has expired, or this machine's clock is wrong",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet, or this machine's clock is wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for other names"
            }
            _ => return error,
        },
        _ => return error,
    };
    said(error.kind(), words)
}

/// A handshake's failure, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct HandshakeFailure(Cow<'static, str>);

fn said(kind: io::ErrorKind, words: impl Into<Cow<'static, str>>) -> io::Error {
    io::Error::new(kind, HandshakeFailure(words.into()))
}

/// Whether this is such a failure, or another one of TLS.
pub(super) fn is_of_handshake(error: &io::Error) -> bool {
    let is = |inner: &(dyn Error + Send + Sync + 'static)| {
        inner.is::<HandshakeFailure>() || inner.is::<rustls::Error>()
    };
    error.get_ref().is_some_and(is)
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::UnixTime;

    use super::*;

    #[test]
    fn a_failed_handshake_says_what_to_look_at() {
        for (cause, words) in [
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "not in TLS: is it http://?",
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "ca_file in [plausible]",
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::Expired),
                "has expired",
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                    time: UnixTime::since_unix_epoch(Duration::from_hours(24)),
                    not_after: UnixTime::since_unix_epoch(Duration::from_secs(0)),
                }),
                "expired at 1970-01-01T00:00:00Z, or",
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::NotValidForName),
                "for other names",
            ),
        ] {
            let error = handshake_in_words(io::Error::new(io::ErrorKind::InvalidData, cause));
            assert!(error.to_string().contains(words), "{error}");
            assert!(is_of_handshake(&error));
        }
        let other = handshake_in_words(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(other.kind(), io::ErrorKind::ConnectionReset);
        assert!(!is_of_handshake(&other));
    }
}
