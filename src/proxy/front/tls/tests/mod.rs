//! TLS towards clients of rustls, openssl and curl, over socket pairs and loopback.

mod fair;
mod handshake;
mod pairs;
mod records;
mod sessions;
mod tools;
mod transfer;

use std::{
    fs,
    future::poll_fn,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio_rustls::{TlsConnector, client};

use super::{
    accept::{AcceptError, Turns, accept},
    config::{Loaded, load},
    pair,
    stream::TlsStream,
};
use crate::proxy::{
    settings::{KeyPair, Tls},
    stream::Stream,
};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// An authority and the directory with what it issued.
struct Authority {
    issuer: CertifiedIssuer<'static, rcgen::KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca"), issuer.pem()).unwrap();
        Authority { issuer, directory }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Issues a certificate for these names; the first is its files' name.
    fn issue(&self, names: &[&str]) -> KeyPair {
        self.issue_as(names, |_| {})
    }

    fn issue_as(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> KeyPair {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = KeyPair {
            certificate: self.path(format!("{}.crt", names[0])),
            key: self.path(format!("{}.key", names[0])),
        };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// TLS for `a.example`.
    fn serve(&self) -> Loaded {
        load(&self.settings(&[&["a.example"]]), true, None).unwrap()
    }

    /// A pair for each list of names.
    fn settings(&self, pairs: &[&[&str]]) -> Tls {
        Tls {
            pairs: pairs.iter().map(|names| self.issue(names)).collect(),
            client_ca: None,
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// A client that trusts this authority.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(pair::provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// A client that trusts this authority and shows a certificate.
    fn client_with(&self, versions: &[&'static SupportedProtocolVersion], own: &KeyPair) -> ClientConfig {
        use rustls_pki_types::pem::PemObject;
        ClientConfig::builder_with_provider(Arc::new(pair::provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&own.certificate).unwrap()],
                PrivateKeyDer::from_pem_file(&own.key).unwrap(),
            )
            .unwrap()
    }
}

/// Believes everything: for tests that look at which certificate comes.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
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
        pair::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

type Client = client::TlsStream<UnixStream>;

fn socket_pair() -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Stream::Unix(ours), theirs)
}

async fn handshake(stream: Stream, loaded: &Loaded) -> Result<TlsStream, AcceptError> {
    let turns = Turns::new();
    let accepted = accept(stream, &[], Arc::clone(&loaded.config), &turns);
    tokio::time::timeout(Duration::from_secs(20), accepted)
        .await
        .expect("the handshake ends")
}

/// Both ends of a handshake.
async fn meet_as(
    loaded: &Loaded,
    client: &Arc<ClientConfig>,
    name: &'static str,
) -> (Result<TlsStream, AcceptError>, io::Result<Client>) {
    let (ours, theirs) = socket_pair();
    let connector = TlsConnector::from(Arc::clone(client));
    tokio::join!(
        handshake(ours, loaded),
        connector.connect(ServerName::try_from(name).unwrap(), theirs)
    )
}

/// A connection of a client that asks for `a.example`.
async fn meet(loaded: &Loaded, client: ClientConfig) -> (TlsStream, Client) {
    let (server, client) = meet_as(loaded, &Arc::new(client), "a.example").await;
    (server.unwrap(), client.unwrap())
}

async fn read(stream: &mut TlsStream, into: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll_read(cx, into)).await
}

async fn read_exactly(stream: &mut TlsStream, bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut scratch = vec![0; 64 * 1024];
    while all.len() < bytes {
        let n = read(stream, &mut scratch).await.unwrap();
        assert_ne!(n, 0, "the end after {} of {bytes} bytes", all.len());
        all.extend_from_slice(&scratch[..n]);
    }
    all
}

/// Writes and waits until the socket has it.
async fn write(stream: &mut TlsStream, parts: &[&[u8]]) {
    let parts: Vec<_> = parts.iter().map(|p| IoSlice::new(p)).collect();
    let all: usize = parts.iter().map(|p| p.len()).sum();
    assert_eq!(stream.try_write(&parts).unwrap(), all);
    poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
}

/// Bytes that show where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// A client without a socket, whose flights can be looked at and cut.
struct Bare(ClientConnection);

impl Bare {
    fn new(client: ClientConfig) -> Self {
        let name = ServerName::try_from("a.example").unwrap();
        Bare(ClientConnection::new(Arc::new(client), name).unwrap())
    }

    /// What it wants to send.
    fn flight(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut flight).unwrap();
        }
        flight
    }

    fn take(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut plaintext = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).unwrap();
            self.0.process_new_packets().unwrap();
            // What is not there yet is no error here.
            let _ = io::Read::read_to_end(&mut self.0.reader(), &mut plaintext);
        }
        plaintext
    }
}

/// What a socket has for its reader now; waits for something.
async fn received(socket: &UnixStream) -> Vec<u8> {
    socket.readable().await.unwrap();
    let mut all = Vec::new();
    let mut part = vec![0; 256 * 1024];
    while let Ok(n @ 1..) = socket.try_read(&mut part) {
        all.extend_from_slice(&part[..n]);
    }
    all
}

/// The handshake up to the client's last flight, which is given back unsent.
async fn all_but_the_last_flight(
    loaded: &Loaded,
    client: ClientConfig,
) -> (
    tokio::task::JoinHandle<Result<TlsStream, AcceptError>>,
    UnixStream,
    Bare,
    Vec<u8>,
) {
    let (ours, theirs) = socket_pair();
    let config = Arc::clone(&loaded.config);
    let server = tokio::spawn(async move { accept(ours, &[], config, &Turns::new()).await });
    let mut bare = Bare::new(client);
    send_all(&theirs, &bare.flight()).await;
    while !bare.0.wants_write() {
        let answer = received(&theirs).await;
        bare.take(&answer);
    }
    let last = bare.flight();
    (server, theirs, bare, last)
}

/// A connection whose client has no socket of its own.
async fn meet_bare(loaded: &Loaded, client: ClientConfig) -> (TlsStream, UnixStream, Bare) {
    let (server, socket, mut bare, last) = all_but_the_last_flight(loaded, client).await;
    send_all(&socket, &last).await;
    let server = server.await.unwrap().unwrap();
    while bare.0.is_handshaking() {
        let answer = received(&socket).await;
        bare.take(&answer);
    }
    (server, socket, bare)
}

async fn send_all(socket: &UnixStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        socket.writable().await.unwrap();
        match socket.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => panic!("{e}"),
        }
    }
}
