//! Copies of requests, as nginx's `mirror`, Traefik, HAProxy and Envoy send them. Each is answered 204 at
//! once, whatever becomes of it.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header::HOST};
use http_body_util::BodyExt as _;
use httparse::Header;
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
};
use smallvec::SmallVec;
use tokio::{net::TcpListener, time::timeout};

use super::{desk::Counter, observed::Observed};
use crate::{
    client::{Peer, Visible},
    page::SeenResponse,
    web::{
        response::ResponseBody,
        server::{self, Limits},
    },
};

/// A server makes a connection for each copy under way. It keeps idle ones for a minute by default, so they
/// are kept longer here.
pub(super) const LIMITS: Limits = Limits {
    connections: 512,
    header_timeout: Duration::from_secs(75),
    head_bytes: 64 << 10,
};
/// How long the copy of a body may take; it is thrown away.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Serves until `shutdown` is ready.
pub(super) async fn serve(listener: TcpListener, counter: Arc<Counter>, shutdown: impl Future<Output = ()>) {
    let handler = move |request: Request<Incoming>, connection: server::ConnectionInfo| {
        let counter = Arc::clone(&counter);
        async move {
            count(
                &counter,
                &request,
                Peer::from(std::net::SocketAddr::from((connection.peer, 0))),
            );
            let mut body = request.into_body();
            if !body.is_end_stream() {
                tokio::spawn(timeout(BODY_TIMEOUT, async move {
                    // The copier's connection serves the next copy once this one is read.
                    while let Some(Ok(_)) = body.frame().await {}
                }));
            }
            let mut response = Response::new(ResponseBody::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
    };
    server::serve(listener, LIMITS, handler, shutdown).await;
}

fn count(counter: &Counter, request: &Request<Incoming>, peer: Peer) {
    let (uri, fields) = (request.uri(), fields(request.headers()));
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| request.headers().get(HOST)?.to_str().ok());
    let host = host.map(without_shadow);
    counter.count(&Observed {
        peer,
        method: request.method().as_str(),
        target: uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
        fields: &fields,
        arrived: Visible::plain(host.as_deref()),
        signs: true,
        response: SeenResponse::Nothing,
    });
}

fn fields(headers: &HeaderMap) -> SmallVec<[Header<'_>; 32]> {
    headers
        .iter()
        .map(|(name, value)| Header {
            name: name.as_str(),
            value: value.as_bytes(),
        })
        .collect()
}

/// Envoy marks a copy by `-shadow` at the end of the host's name.
fn without_shadow(host: &str) -> String {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
        _ => (host, None),
    };
    let name = name.strip_suffix("-shadow").unwrap_or(name);
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_mark_is_no_part_of_the_host() {
        for (sent, host) in [
            ("example.com", "example.com"),
            ("example.com-shadow", "example.com"),
            ("example.com-shadow:8080", "example.com:8080"),
            ("[::1]:80", "[::1]:80"),
            ("a-shadow.example", "a-shadow.example"),
        ] {
            assert_eq!(without_shadow(sent), host);
        }
    }
}
