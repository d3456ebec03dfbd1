//! WebSockets over HTTP/2 (RFC 8441).

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    secure::{before, over_http2},
    support::{
        client::Request,
        eventually,
        http2::{self, Failure, Http2, Upload},
        origin::{self, Origin, Then},
        tls::Authority,
    },
};

type Tunnel = TokioIo<hyper::upgrade::Upgraded>;

/// Asks for a WebSocket, and for its tunnel.
#[track_caller]
fn open(client: &Http2, target: &str) -> Tunnel {
    let mut request = client.request(
        &Request::get(target)
            .with("Sec-WebSocket-Version", "13")
            .with("Origin", "https://example.com"),
        Upload::none(),
    );
    *request.method_mut() = http::Method::CONNECT;
    request
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static("websocket"));
    let mut sender = client.sender();
    http2::wait_for(async move {
        let mut response = sender.send_request(request).await.expect("a response");
        assert_eq!(response.status(), 200);
        TokioIo::new(hyper::upgrade::on(&mut response).await.expect("a tunnel"))
    })
}

#[test]
fn a_tunnel_carries_large_messages_both_ways_at_once() {
    const SIZE: usize = 5 << 20;
    let (app, authority) = (Origin::start(origin::upgrades_and_echoes), Authority::new());
    let sidecar = before(&app, &authority).start();
    let client = over_http2(&sidecar, &authority);
    let tunnels: Vec<Tunnel> = (0..3).map(|n| open(&client, &format!("/chat/{n}"))).collect();
    let running: Vec<_> = tunnels
        .into_iter()
        .enumerate()
        .map(|(n, tunnel)| {
            http2::spawn(async move {
                let (mut from, mut to) = tokio::io::split(tunnel);
                let sent: Vec<u8> = (0..SIZE).map(|i| (i * 7 + n) as u8).collect();
                let writing = tokio::spawn({
                    let sent = sent.clone();
                    async move {
                        to.write_all(&sent).await.expect("send");
                        to.flush().await.expect("flush");
                        to
                    }
                });
                let mut came = vec![0; SIZE];
                from.read_exact(&mut came).await.expect("the echo");
                assert!(came == sent, "tunnel {n} is mixed up");
                // The client ends; the app closes, and that comes back.
                let mut to = writing.await.expect("no panic");
                to.shutdown().await.expect("end");
                let mut rest = Vec::new();
                from.read_to_end(&mut rest).await.expect("an end in order");
                assert!(rest.is_empty());
            })
        })
        .collect();
    for tunnel in running {
        http2::wait_for(tunnel).unwrap();
    }
    for (n, seen) in app.seen().iter().enumerate() {
        assert_eq!(seen.head.start, format!("GET /chat/{n} HTTP/1.1"));
        assert_eq!(seen.head.get("upgrade"), Some("websocket"));
        assert_eq!(seen.head.get("sec-websocket-version"), Some("13"));
        assert_eq!(seen.head.all("sec-websocket-key").len(), 1);
        assert!(
            seen.head
                .get("connection")
                .is_some_and(|c| c.eq_ignore_ascii_case("upgrade"))
        );
    }
    sidecar.await_metrics("no stream is left", |m| {
        m.metric("gatecount_http2_streams").value() == 0
    });
    assert_eq!(app.open(), 0);
}

#[test]
fn a_tunnel_that_the_app_closes_ends_for_the_client() {
    let app = Origin::start(|visit| {
        visit.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nearly",
        )?;
        Ok(Then::Close)
    });
    let authority = Authority::new();
    let sidecar = before(&app, &authority).start();
    let client = over_http2(&sidecar, &authority);
    let mut tunnel = open(&client, "/chat");
    let came = http2::wait_for(async move {
        let mut came = Vec::new();
        tunnel.read_to_end(&mut came).await.map(|_| came)
    });
    assert_eq!(came.unwrap(), b"early");
    sidecar.await_metrics("no stream is left", |m| {
        m.metric("gatecount_http2_streams").value() == 0
    });
}

#[test]
fn a_tunnel_that_the_client_drops_is_closed_to_the_app() {
    let (app, authority) = (Origin::start(origin::upgrades_and_echoes), Authority::new());
    let sidecar = before(&app, &authority).start();
    let client = over_http2(&sidecar, &authority);
    let tunnel = open(&client, "/chat");
    assert_eq!(app.open(), 1);
    drop(tunnel);
    eventually("the app is left", || match app.open() {
        0 => Ok(()),
        open => Err(format!("{open} connections")),
    });
    assert!(!client.is_closed(), "only the stream ends");
}

#[test]
fn a_tunnel_holds_the_drain() {
    let (app, authority) = (Origin::start(origin::upgrades_and_echoes), Authority::new());
    let mut sidecar = before(&app, &authority).set("listen.drain", "20s").start();
    let client = over_http2(&sidecar, &authority);
    let mut tunnel = open(&client, "/chat");
    sidecar.signal("TERM");
    eventually("readiness turns", || match sidecar.admin("/readyz").status() {
        503 => Ok(()),
        other => Err(format!("it is {other}")),
    });
    eventually("the connection takes no more", || {
        match client.try_ask(&Request::get("/"), Upload::none()) {
            Err(Failure::NotSent | Failure::Refused) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let came = http2::wait_for(async move {
        tunnel.write_all(b"still there?").await?;
        let mut came = [0; 12];
        tunnel.read_exact(&mut came).await?;
        tunnel.shutdown().await?;
        let mut rest = Vec::new();
        tunnel.read_to_end(&mut rest).await?;
        std::io::Result::Ok(came)
    });
    assert_eq!(&came.unwrap(), b"still there?");
    assert!(sidecar.wait().success());
}
