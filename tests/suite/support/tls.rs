//! A certificate authority for one test: what servers show, what clients trust, and the files that gatecount
//! reads.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

/// The names of gatecount's certificate where a test is not about names.
pub(crate) const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "example.com"];

/// How many authorities there are. A client that finds its own by the name must not take one for another.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// An authority whose certificate lies in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
    /// When its certificates end, if that matters.
    end: Option<SystemTime>,
}

/// A certificate with its key.
pub(crate) struct Leaf {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

/// The files of a certificate and of its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// PEM.
    pub(crate) certificate: PathBuf,
    /// PEM.
    pub(crate) key: PathBuf,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("gatecount test authority {number}"));
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let directory = TempDir::new().expect("a directory");
        fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("write the certificate");
        Authority {
            issuer,
            directory,
            end: None,
        }
    }

    /// Its certificates are of 90 days, of which these are left.
    pub(crate) fn ending_in(self, left: Duration) -> Authority {
        Authority {
            end: Some(SystemTime::now() + left),
            ..self
        }
    }

    /// Its certificates were of 90 days, and ended so long ago.
    pub(crate) fn ended_for(self, since: Duration) -> Authority {
        Authority {
            end: Some(SystemTime::now() - since),
            ..self
        }
    }

    /// The PEM file of its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A place for a file beside it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new certificate for these names, for servers and clients alike.
    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if let Some(end) = self.end {
            params.not_before = (end - Duration::from_hours(90 * 24)).into();
            params.not_after = end.into();
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Leaf {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key,
        }
    }

    /// A new certificate for these names, in files named after `name`.
    pub(crate) fn pair(&self, name: &str, names: &[&str]) -> Pair {
        self.leaf(names).write(&self.path(name))
    }

    /// What a server for `localhost` needs, offering these protocols.
    pub(crate) fn server(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        let leaf = self.leaf(&["localhost", "127.0.0.1"]);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.certificate.clone()], leaf.key_der())
            .expect("a certificate and its key");
        config.alpn_protocols = in_bytes(protocols);
        Arc::new(config)
    }

    /// What a client needs that trusts this authority alone and offers these protocols. It resumes its
    /// sessions.
    pub(crate) fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        Arc::new(self.client_config(&[&TLS13, &TLS12], protocols, None))
    }

    /// The same, with a certificate of the client's.
    pub(crate) fn client_showing(&self, protocols: &[&str], identity: &Leaf) -> Arc<ClientConfig> {
        Arc::new(self.client_config(&[&TLS13, &TLS12], protocols, Some(identity)))
    }

    /// The same for HTTP/1.1 over one version of TLS, each session a new one.
    pub(crate) fn client_of(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut config = self.client_config(&[version], &["http/1.1"], None);
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    fn client_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
        identity: Option<&Leaf>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.issuer.der().clone())
            .expect("the authority's certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("protocol versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder
                .with_client_auth_cert(vec![leaf.certificate.clone()], leaf.key_der())
                .expect("a certificate and its key"),
        };
        config.alpn_protocols = in_bytes(protocols);
        config
    }
}

/// The certificate that a server shows to whoever asks for this name; to an address no name is sent.
#[track_caller]
pub(crate) fn shown(address: SocketAddr, name: &str) -> CertificateDer<'static> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = TcpStream::connect(address).expect("connect");
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).expect("a handshake");
    }
    let certificates = tls.peer_certificates().expect("certificates");
    certificates[0].clone().into_owned()
}

/// Takes every certificate, for tests of which one is shown.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl Leaf {
    /// The certificate as it is shown.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Writes both into files of this name, the key for its owner alone.
    pub(crate) fn write(&self, name: &Path) -> Pair {
        let pair = Pair {
            certificate: name.with_extension("crt"),
            key: name.with_extension("key"),
        };
        fs::write(&pair.certificate, &self.certificate_pem).expect("write the certificate");
        fs::write(&pair.key, self.key.serialize_pem()).expect("write the key");
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).expect("set a mode");
        pair
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

fn in_bytes(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|p| p.as_bytes().to_vec()).collect()
}
