//! The ways to gatecount: each sends a case's request as its protocol has it, and tells what the client got.

use std::{net::SocketAddr, sync::Arc};

use rustls::ClientConfig;

use super::{
    Answered, Fields,
    cases::{Case, Cases, Upload, Visitor},
};
use crate::support::{
    client::{self, Client},
    http2::{self, Failure, Http2},
    message::Response,
};

/// A protocol in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Http1,
    Http1Tls,
    Http2Tls,
    Http2,
}

/// The name that the certificate is asked for.
const NAME: &str = "example.com";

impl Way {
    /// The first is what the others are held against.
    pub(super) const ALL: [Way; 4] = [Way::Http1, Way::Http1Tls, Way::Http2Tls, Way::Http2];

    pub(super) fn is_tls(self) -> bool {
        matches!(self, Way::Http1Tls | Way::Http2Tls)
    }

    pub(super) fn is_http2(self) -> bool {
        matches!(self, Way::Http2Tls | Way::Http2)
    }

    /// Sends each request, one after the other.
    #[track_caller]
    pub(super) fn walk(
        self,
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        cases: &Cases,
    ) -> Vec<Answered> {
        if !self.is_http2() {
            return cases
                .all
                .iter()
                .map(|case| self.http1(address, config, case))
                .collect();
        }
        let connect = |visitor: Visitor| {
            let stream = client::connection_from(visitor.address(), address);
            let connection = match self {
                Way::Http2Tls => Http2::over_tls(stream, config, NAME),
                _ => Http2::over(stream),
            };
            connection.expect("HTTP/2")
        };
        // All requests of a peer share one connection.
        let connections = [Visitor::Direct, Visitor::BehindProxy].map(|visitor| (visitor, connect(visitor)));
        let of = |case: &Case| {
            let connection = connections.iter().find(|(visitor, _)| *visitor == case.visitor);
            &connection.expect("both kinds").1
        };
        cases.all.iter().map(|case| http2(of(case), case)).collect()
    }

    /// Over a connection of its own.
    #[track_caller]
    fn http1(self, address: SocketAddr, config: &Arc<ClientConfig>, case: &Case) -> Answered {
        let stream = client::connection_from(case.visitor.address(), address);
        let mut client = if self == Way::Http1Tls {
            Client::over_tls(stream, config, NAME).expect("a handshake")
        } else {
            Client::over(stream)
        };
        // Where it is refused by its head, the rest may find the connection closed.
        let _ = client.try_send(&case.bytes());
        match client.try_response_to(case.request.method()) {
            Ok(response) if response.status() == 101 => {
                client.send(&case.tunnelled);
                let echo = client.exactly(case.tunnelled.len());
                Answered::switched(response, echo)
            }
            Ok(response) => {
                if response.complete && response.head.get("connection") == Some("close") {
                    assert_eq!(client.until_closed(), b"", "{}: behind the response", case.id);
                }
                Answered::of(response)
            }
            Err(e) => Answered::Broken(e.to_string()),
        }
    }
}

#[track_caller]
fn http2(connection: &Http2, case: &Case) -> Answered {
    if !case.tunnelled.is_empty() {
        return websocket(connection, case);
    }
    let upload = match &case.upload {
        Upload::None => http2::Upload::none(),
        Upload::Length(bytes) => http2::Upload::of(bytes),
        Upload::Chunked(pieces, trailers) => {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            http2::Upload::pieces(&pieces, trailers)
        }
    };
    match connection.try_ask(&case.request, upload) {
        Ok(response) => Answered::of(response),
        Err(Failure::Broken(reason)) => Answered::Broken(reason),
        Err(other) => panic!("{}: not sent: {other:?}", case.id),
    }
}

/// Asks for the WebSocket by extended CONNECT (RFC 8441 §4): no key, no `Connection`, no `Upgrade`.
#[track_caller]
fn websocket(connection: &Http2, case: &Case) -> Answered {
    let mut request = connection.request(&case.request, http2::Upload::none());
    *request.method_mut() = http::Method::CONNECT;
    request.headers_mut().remove("sec-websocket-key");
    request
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static("websocket"));
    let (mut sender, tunnelled) = (connection.sender(), case.tunnelled.clone());
    http2::wait_for(async move {
        sender.ready().await.expect("a connection that takes requests");
        let mut response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(e) => return Answered::Broken(http2::reason(&e)),
        };
        if response.status() != 200 {
            return Answered::of(http2::read(response).await);
        }
        let upgrade = hyper::upgrade::on(&mut response).await.expect("a tunnel");
        let mut tunnel = hyper_util::rt::TokioIo::new(upgrade);
        let mut echo = vec![0; tunnelled.len()];
        tokio::io::AsyncWriteExt::write_all(&mut tunnel, &tunnelled)
            .await
            .expect("send");
        tokio::io::AsyncReadExt::read_exact(&mut tunnel, &mut echo)
            .await
            .expect("the echo");
        let (head, _) = response.into_parts();
        let response = Response {
            head: http2::head(&head),
            complete: true,
            ..Response::default()
        };
        Answered::switched(response, echo)
    })
}

impl Answered {
    fn of(response: Response) -> Answered {
        let interim = response.informational.iter();
        let mut start = response.head.start.splitn(3, ' ');
        Answered::Response {
            interim: interim.map(|head| (head.status(), head.fields.clone())).collect(),
            status: response.head.status(),
            reason: start.nth(2).unwrap_or_default().to_owned(),
            fields: response.head.fields,
            body: response.body,
            trailers: response.trailers,
            complete: response.complete,
        }
    }

    /// The body is what came through the tunnel.
    fn switched(mut response: Response, echo: Vec<u8>) -> Answered {
        response.body = echo;
        response.trailers = Fields::new();
        Answered::of(response)
    }
}
