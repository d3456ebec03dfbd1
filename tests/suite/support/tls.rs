//! A certificate authority for one test: what servers show, what clients trust, and the files that gatecount reads.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

/// The names of gatecount's certificate where a test is not about names.
pub(crate) const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "example.com"];

/// An authority whose certificate lies in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
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
        params
            .distinguished_name
            .push(DnType::CommonName, "gatecount test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let directory = TempDir::new().expect("a directory");
        fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("write the certificate");
        Authority { issuer, directory }
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

    /// What a client needs that trusts this authority alone and offers these protocols. It resumes its sessions.
    pub(crate) fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        self.client_showing(protocols, None)
    }

    /// The same, with a certificate of the client's.
    pub(crate) fn client_showing(&self, protocols: &[&str], identity: Option<&Leaf>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.issuer.der().clone())
            .expect("the authority's certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("protocol versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder
                .with_client_auth_cert(vec![leaf.certificate.clone()], leaf.key_der())
                .expect("a certificate and its key"),
        };
        config.alpn_protocols = in_bytes(protocols);
        Arc::new(config)
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
