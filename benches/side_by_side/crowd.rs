//! Role `@crowd`: holds connections that have each made a request and then nothing.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring, pki_types::CertificateDer,
};
use rustls_pki_types::pem::PemObject;

use crate::{Failure, certificate, requests};

/// Opens `connections` to `port`, asks each for a page, says so in a line, and holds them until standard
/// input ends. With the file of a certificate they are made over TLS.
pub(crate) fn main(port: &str, connections: &str, trusted: Option<&str>) -> Result<(), Failure> {
    let (port, connections) = (port.parse()?, connections.parse()?);
    let tls = trusted.map(trusting).transpose()?;
    let page = requests::page("/");
    let mut held = Vec::with_capacity(connections);
    for visitor in 0..connections {
        let mut stream = connect(port, visitor, tls.as_ref())
            .map_err(|error| format!("connection {visitor} of {connections}: {error}"))?;
        requests::ask(&mut stream, &page).map_err(|error| format!("connection {visitor}: {error}"))?;
        held.push(stream);
    }
    println!("{}", held.len());
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

fn connect(port: u16, visitor: usize, tls: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Stream>, Failure> {
    let stream: TcpStream = requests::connect(port, visitor)?;
    let Some(config) = tls else {
        return Ok(Box::new(stream));
    };
    let connection = ClientConnection::new(Arc::clone(config), certificate::NAME.try_into()?)?;
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

/// Trusts this certificate, and asks for a full handshake each time.
fn trusting(file: &str) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
