//! TLS and HTTP/2 in front.

/// Which certificate is shown, and what becomes of changed files.
mod certificates;

/// Handshakes, good and bad.
mod handshakes;

/// HTTP/2: requests, bodies, streams, tunnels, stops.
mod http2;

/// curl and nginx as clients.
mod programs;

use std::net::TcpStream;

use crate::support::{
    client::Client,
    frames::Frames,
    http2::Http2,
    origin::Origin,
    process::{Builder, Sidecar},
    tls::{Authority, NAMES},
};

/// Before this app, over TLS with a certificate of this authority.
fn before(app: &Origin, authority: &Authority) -> Builder {
    Builder::before(app).tls(&authority.pair("gatecount", &NAMES))
}

/// A connection for HTTP/1.1 over TLS.
#[track_caller]
fn over_http1(sidecar: &Sidecar, authority: &Authority) -> Client {
    let config = authority.client(&["http/1.1"]);
    Client::over_tls(connect(sidecar), &config, "localhost").expect("a handshake")
}

/// A connection for HTTP/2 over TLS.
#[track_caller]
fn over_http2(sidecar: &Sidecar, authority: &Authority) -> Http2 {
    Http2::over_tls(connect(sidecar), &authority.client(&["h2"]), "localhost").expect("HTTP/2")
}

/// The same, frame by frame, with these settings.
#[track_caller]
fn frames(sidecar: &Sidecar, authority: &Authority, settings: &[(u16, u32)]) -> Frames {
    let client = Client::over_tls(connect(sidecar), &authority.client(&["h2"]), "localhost");
    Frames::over(client.expect("a handshake"), settings)
}

#[track_caller]
fn connect(sidecar: &Sidecar) -> TcpStream {
    TcpStream::connect(sidecar.address).expect("connect")
}
