//! Bodies larger than the socket takes, and how connections end.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn what_the_socket_does_not_take_is_kept_and_bounded() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, mut client) = meet(&authority.serve(), authority.client(&[version])).await;
        let sent = pattern(5_000_000);
        let mut rest = &sent[..];
        let mut refused = 0;
        // Nobody reads: the socket fills up, one write more is kept, and then none is taken.
        while refused == 0 {
            match server.try_write(&[IoSlice::new(rest)]) {
                Ok(n) => {
                    assert_eq!(n, rest.len().min(128 * 1024), "all up to the limit");
                    rest = &rest[n..];
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => refused += 1,
                Err(e) => panic!("{e}"),
            }
            assert!(rest.len() > 1_000_000, "the socket takes all");
        }
        assert!(server.wants_write());
        assert!(server.try_write(&[IoSlice::new(b"x")]).is_err());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(server.poll_flush(&mut cx).is_pending());

        let read = async {
            let mut got = vec![0; sent.len()];
            client.read_exact(&mut got).await.unwrap();
            got
        };
        let write = async {
            while !rest.is_empty() {
                match server.try_write(&[IoSlice::new(rest)]) {
                    Ok(n) => rest = &rest[n..],
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        poll_fn(|cx| server.poll_write_ready(cx)).await.unwrap();
                    }
                    Err(e) => panic!("{e}"),
                }
            }
            poll_fn(|cx| server.poll_flush(cx)).await.unwrap();
            assert!(!server.wants_write());
        };
        let (got, ()) = tokio::join!(read, write);
        assert!(got == sent);
    }
}

#[tokio::test]
async fn a_write_of_nothing_is_no_record() {
    let authority = Authority::new();
    let (mut server, socket, mut bare) = meet_bare(&authority.serve(), authority.client(&[&TLS12])).await;
    assert_eq!(server.try_write(&[]).unwrap(), 0);
    assert_eq!(server.try_write(&[IoSlice::new(b"")]).unwrap(), 0);
    write(&mut server, &[b"x"]).await;
    let bytes = received(&socket).await;
    assert_eq!(bytes.len(), 5 + 8 + 1 + 16);
    assert_eq!(bare.take(&bytes), b"x");
}

#[tokio::test]
async fn close_notify_is_an_end_and_a_cut_is_not() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, mut client) = meet(&authority.serve(), authority.client(&[version])).await;
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        let mut into = [0; 100];
        assert_eq!(read(&mut server, &mut into).await.unwrap(), 4);
        assert_eq!(read(&mut server, &mut into).await.unwrap(), 0);
        assert_eq!(read(&mut server, &mut into).await.unwrap(), 0, "and stays one");

        let (mut server, client) = meet(&authority.serve(), authority.client(&[version])).await;
        let (socket, _) = client.into_inner();
        drop(socket);
        for _ in 0..2 {
            let cut = read(&mut server, &mut into).await.unwrap_err();
            assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_still_reads() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, mut client) = meet(&authority.serve(), authority.client(&[version])).await;
        client.write_all(b"request").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_exactly(&mut server, 7).await, b"request");
        assert_eq!(read(&mut server, &mut [0; 9]).await.unwrap(), 0);
        let sent = pattern(100_000);
        write(&mut server, &[&sent]).await;
        server.shutdown().await;
        let mut got = Vec::new();
        // An end without close_notify would be an error.
        client.read_to_end(&mut got).await.unwrap();
        assert!(got == sent);
    }
}

/// What the client sent behind a response that closes is still read.
#[tokio::test]
async fn after_our_last_word_the_client_may_still_write() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, mut client) = meet(&authority.serve(), authority.client(&[version])).await;
        server.shutdown().await;
        client.write_all(b"more").await.unwrap();
        assert_eq!(read_exactly(&mut server, 4).await, b"more");
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn bytes_behind_close_notify_are_ignored() {
    let authority = Authority::new();
    let (mut server, socket, mut bare) = meet_bare(&authority.serve(), authority.client(&[&TLS13])).await;
    bare.0.send_close_notify();
    let mut bytes = bare.flight();
    bytes.extend_from_slice(&[0x55; 9000]);
    send_all(&socket, &bytes).await;
    assert_eq!(read(&mut server, &mut [0; 20_000]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_may_come_with_the_last_flight() {
    let authority = Authority::new();
    let loaded = authority.serve();
    let (server, socket, mut bare, mut last) =
        all_but_the_last_flight(&loaded, authority.client(&[&TLS13])).await;
    io::Write::write_all(&mut bare.0.writer(), b"request").unwrap();
    last.extend(bare.flight());
    send_all(&socket, &last).await;
    let mut server = server.await.unwrap().unwrap();
    // It is there already: nothing more has to come from the socket.
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(7)) = server.poll_read(&mut cx, &mut [0; 100]) else {
        panic!("the request is not read");
    };
}

#[tokio::test]
async fn it_is_a_stream_of_tokios() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, mut client) = meet(&authority.serve(), authority.client(&[version])).await;
        assert!(server.is_write_vectored());
        let sent = pattern(1_000_000);
        let echo = async {
            let mut got = Vec::new();
            AsyncReadExt::read_to_end(&mut server, &mut got).await.unwrap();
            AsyncWriteExt::write_all(&mut server, &got).await.unwrap();
            AsyncWriteExt::shutdown(&mut server).await.unwrap();
        };
        let ask = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(echo, ask);
        assert!(got == sent);
    }
}

#[tokio::test]
async fn hyper_serves_http2_on_it() {
    use http_body_util::{BodyExt, Full};
    use hyper::{Request, Response, body::Bytes, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let authority = Authority::new();
    let mut client = authority.client(&[&TLS13]);
    client.alpn_protocols = vec![b"h2".to_vec()];
    let (server, client) = meet(&authority.serve(), client).await;
    assert!(server.is_h2());
    let service = service_fn(|request: Request<hyper::body::Incoming>| async {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::new(Full::new(body)))
    });
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(server), service);
    let asking = async {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        for length in [0, 10, 300_000] {
            let sent = pattern(length);
            let request = Request::post("https://a.example/")
                .body(Full::new(Bytes::from(sent.clone())))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let got = response.into_body().collect().await.unwrap().to_bytes();
            assert!(got == sent);
        }
        drop(sender);
        connection.await.unwrap().unwrap();
    };
    let (outcome, ()) = tokio::join!(serving, asking);
    outcome.unwrap();
}

/// hyper moves it and polls it by its traits.
#[test]
fn it_can_be_moved() {
    fn is<T: AsyncRead + AsyncWrite + Unpin + 'static>() {}
    is::<TlsStream>();
    let _ = Pin::<&mut TlsStream>::get_mut;
}
