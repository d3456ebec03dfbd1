//! `[listen.tls]` to rustls' configuration.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring::Ticketer,
    server::{
        ClientHello, NoClientAuth, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache,
        StoresServerSessions, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;

use super::pair::{self, Pair, PairError};
use crate::{
    certificate::Validity,
    proxy::settings::{KeyPair, Tls},
};

/// HTTP/2's name in ALPN (RFC 9113 §3.2).
pub(in crate::proxy) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Sessions kept for clients of TLS 1.2 that can't keep a ticket themselves; about 200 bytes each.
const SESSIONS: usize = 1024;
/// A certificate's end is near when less than this part of its life is left, and less than this time.
const NEARLY_OVER: (u32, Duration) = (10, Duration::from_hours(14 * 24));
/// Permission of everybody to read.
const OTHERS_READ: u32 = 0o004;

/// Why the pairs can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can't be read.
    #[error("[listen.tls] {} can't be read", path.display())]
    Read {
        /// As configured.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// A file was read, and what is in it can't be used.
    #[error("[listen.tls] {} can't be used", path.display())]
    Unusable {
        /// As configured.
        path: PathBuf,
        /// Why not.
        source: PairError,
    },
    /// No verifier can be built from the authorities for client certificates.
    #[error("[listen.tls] client_ca {} can't be used", path.display())]
    ClientCa {
        /// As configured.
        path: PathBuf,
        /// Why not.
        source: VerifierBuilderError,
    },
    /// The TLS library lacks what it needs, such as randomness.
    #[error("TLS can't be set up")]
    SetUp(#[from] rustls::Error),
}

/// TLS as it was loaded. A reload is given the one before, for the sessions that clients resume.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What new connections are accepted with; shared by the workers.
    pub config: Arc<ServerConfig>,
    /// When the first of the certificates ends.
    pub not_after: SystemTime,
    sessions: Sessions,
}

/// What lets a client resume a session, for as long as the process lives and over all workers.
#[derive(Debug, Clone)]
struct Sessions {
    /// Makes and reads tickets: rotating keys, in memory alone.
    ticketer: Arc<dyn ProducesTickets>,
    storage: Arc<dyn StoresServerSessions>,
    /// Which clients could begin a session. A resumed session is not verified again, so a session that began
    /// under other authorities must not be resumed.
    client_ca: Vec<CertificateDer<'static>>,
}

/// Reads the pairs, and warns of keys that anyone may read and of certificates that are about to end.
///
/// Sessions that began under `before` can be resumed as long as `client_ca` has the same certificates.
///
/// # Errors
/// [`LoadError`]. Nothing has changed then; `before` serves on.
pub fn load(tls: &Tls, offer_h2: bool, before: Option<&Loaded>) -> Result<Loaded, LoadError> {
    let mut pairs = Vec::with_capacity(tls.pairs.len());
    for files in &tls.pairs {
        let pair = read_pair(files)?;
        warn_of_key(&files.key);
        warn_of_end(&files.certificate, pair.validity, SystemTime::now());
        pairs.push(pair);
    }
    let (verifier, client_ca) = verifier(tls.client_ca.as_deref())?;
    let sessions = match before.map(|b| &b.sessions) {
        Some(sessions) if sessions.client_ca == client_ca => sessions.clone(),
        _ => Sessions {
            ticketer: Ticketer::new()?,
            storage: ServerSessionMemoryCache::new(SESSIONS),
            client_ca,
        },
    };
    let not_after = pairs.iter().map(|p| p.validity.not_after).min();
    let mut config = ServerConfig::builder_with_provider(Arc::new(pair::provider()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByName::new(pairs)));
    config.alpn_protocols = [H2, HTTP_1_1][usize::from(!offer_h2)..]
        .iter()
        .map(|protocol| protocol.to_vec())
        .collect();
    config.ticketer = Arc::clone(&sessions.ticketer);
    config.session_storage = Arc::clone(&sessions.storage);
    Ok(Loaded {
        config: Arc::new(config),
        not_after: not_after.unwrap_or(SystemTime::UNIX_EPOCH),
        sessions,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_pair(files: &KeyPair) -> Result<Pair, LoadError> {
    pair::read(&read(&files.certificate)?, &read(&files.key)?).map_err(|source| {
        let path = if source.is_keys() {
            &files.key
        } else {
            &files.certificate
        };
        LoadError::Unusable {
            path: path.clone(),
            source,
        }
    })
}

/// How clients are verified, and by which authorities.
fn verifier(
    path: Option<&Path>,
) -> Result<(Arc<dyn ClientCertVerifier>, Vec<CertificateDer<'static>>), LoadError> {
    let Some(path) = path else {
        return Ok((Arc::new(NoClientAuth), Vec::new()));
    };
    let (roots, certificates) = pair::authorities(&read(path)?).map_err(|source| LoadError::Unusable {
        path: path.to_owned(),
        source,
    })?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(pair::provider()))
        .build()
        .map_err(|source| LoadError::ClientCa {
            path: path.to_owned(),
            source,
        })?;
    Ok((verifier, certificates))
}

/// A key's group may read it: so does a pod's `fsGroup`. Everybody may not.
fn warn_of_key(path: &Path) {
    let mode = fs::metadata(path).map(|m| m.permissions().mode());
    if mode.is_ok_and(|mode| mode & OTHERS_READ != 0) {
        tracing::warn!(key = %path.display(), "every user of this machine may read this private key; `chmod o-r` helps");
    }
}

fn warn_of_end(path: &Path, validity: Validity, now: SystemTime) {
    let date = |time| humantime::format_rfc3339_seconds(time).to_string();
    let certificate = path.display();
    if now < validity.not_before {
        tracing::warn!(%certificate, from = date(validity.not_before), "the certificate is not valid yet: clients will refuse it");
    } else if let Ok(left) = validity.not_after.duration_since(now) {
        let (part, most) = NEARLY_OVER;
        let life = validity
            .not_after
            .duration_since(validity.not_before)
            .unwrap_or_default();
        if left < (life / part).min(most) {
            tracing::warn!(%certificate, expires = date(validity.not_after), "the certificate expires soon");
        }
    } else {
        tracing::warn!(%certificate, expired = date(validity.not_after), "the certificate has expired: clients will refuse it");
    }
}

/// Chooses a pair by the name that the client asks for (RFC 6066 §3): a pair whose certificate has this very
/// name, else one with a wildcard for its first label, else the first pair. Of several pairs with the same
/// name the first.
#[derive(Debug)]
struct ByName {
    first: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the name behind `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    fn new(pairs: Vec<Pair>) -> Self {
        let mut by_name = ByName {
            first: pairs.first().map(|p| Arc::clone(&p.certified)),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        for Pair { certified, names, .. } in pairs {
            for name in names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut by_name.wildcard, parent.to_owned()),
                    None => (&mut by_name.exact, name),
                };
                map.entry(name).or_insert_with(|| Arc::clone(&certified));
            }
        }
        by_name
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(name).or_else(|| self.wildcard.get(parent()?))
    }
}

impl ResolvesServerCert for ByName {
    /// rustls gives the name in lower case.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello
            .server_name()
            .and_then(|name| self.find(name))
            .or(self.first.as_ref())
            .cloned()
    }
}
