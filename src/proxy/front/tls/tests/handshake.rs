//! Handshakes that succeed, fail, stop half-way, and that are none.

use rustls::{AlertDescription, ProtocolVersion};
use tokio::io::AsyncReadExt;

use super::*;

#[tokio::test]
async fn both_versions_and_each_choice_of_protocol() {
    let authority = Authority::new();
    let with_h2 = authority.serve();
    let without = load(&authority.settings(&[&["a.example"]]), false, None).unwrap();
    let (h2, h1): (&[u8], &[u8]) = (b"h2", b"http/1.1");
    for version in VERSIONS {
        for (loaded, offered, chosen) in [
            (&with_h2, &[h2, h1][..], Some(h2)),
            (&with_h2, &[h1, h2], Some(h2)),
            (&with_h2, &[h1], Some(h1)),
            (&with_h2, &[], None),
            (&without, &[h2, h1], Some(h1)),
        ] {
            let mut client = authority.client(&[version]);
            client.alpn_protocols = offered.iter().map(|p| p.to_vec()).collect();
            let (mut server, mut client) = meet(loaded, client).await;
            assert_eq!(client.get_ref().1.alpn_protocol(), chosen);
            assert_eq!(client.get_ref().1.protocol_version(), Some(version.version));
            assert_eq!(server.is_h2(), chosen == Some(h2));
            assert_eq!(server.server_name(), Some("a.example"));
            assert!(!server.is_resumed() && !server.has_client_certificate());

            tokio::io::AsyncWriteExt::write_all(&mut client, b"ask")
                .await
                .unwrap();
            assert_eq!(read_exactly(&mut server, 3).await, b"ask");
            write(&mut server, &[b"ans", b"wer"]).await;
            let mut answer = [0; 6];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"answer");
        }
    }
}

#[tokio::test]
async fn a_client_that_wants_another_protocol_gets_an_alert() {
    let authority = Authority::new();
    let mut client = authority.client(&VERSIONS);
    client.alpn_protocols = vec![b"imap".to_vec()];
    let (server, client) = meet_as(&authority.serve(), &Arc::new(client), "a.example").await;
    let Err(AcceptError::Handshake { source, .. }) = server else {
        panic!("{server:?}");
    };
    assert_eq!(source, rustls::Error::NoApplicationProtocol);
    let told = client.unwrap_err().to_string();
    assert!(told.contains("NoApplicationProtocol"), "{told}");
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_says_so() {
    let (authority, other) = (Authority::new(), Authority::new());
    for version in VERSIONS {
        let client = Arc::new(other.client(&[version]));
        let (server, _) = meet_as(&authority.serve(), &client, "a.example").await;
        // What webpki calls an unknown issuer.
        assert!(
            matches!(server, Err(AcceptError::Refused(AlertDescription::UnknownCA))),
            "{server:?}"
        );
    }
}

#[tokio::test]
async fn plain_text_is_told_apart_and_can_be_answered() {
    let authority = Authority::new();
    let loaded = authority.serve();
    for text in [
        "G",
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let (ours, mut theirs) = socket_pair();
        send_all(&theirs, text.as_bytes()).await;
        let Err(AcceptError::PlainHttp(Stream::Unix(ours))) = handshake(ours, &loaded).await else {
            panic!("{text}");
        };
        ours.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        drop(ours);
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    // Also where a PROXY protocol header came before it.
    let (ours, _theirs) = socket_pair();
    let accepted = accept(ours, b"GET /", Arc::clone(&loaded.config), &Turns::new()).await;
    assert!(matches!(accepted, Err(AcceptError::PlainHttp(_))));
}

#[tokio::test]
async fn garbage_gets_an_alert() {
    let authority = Authority::new();
    let loaded = authority.serve();
    let mut random = fastrand::Rng::with_seed(7);
    for case in 0..300 {
        let (ours, mut theirs) = socket_pair();
        let mut bytes: Vec<u8> = (0..random.usize(6..200)).map(|_| random.u8(..)).collect();
        bytes[0] = if case % 2 == 0 { 0x16 } else { random.u8(0x80..) };
        if case % 4 == 0 {
            bytes[1..3].copy_from_slice(&[3, 1]);
        }
        send_all(&theirs, &bytes).await;
        tokio::io::AsyncWriteExt::shutdown(&mut theirs).await.unwrap();
        let accepted = handshake(ours, &loaded).await;
        match accepted {
            Err(AcceptError::Handshake { .. }) => {
                drop(accepted);
                let mut answer = Vec::new();
                theirs.read_to_end(&mut answer).await.unwrap();
                assert_eq!(answer.first(), Some(&0x15), "{bytes:?}");
            }
            // A record that is longer than what came, or an alert.
            Err(AcceptError::Closed | AcceptError::Refused(_)) => {}
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_read_before_counts() {
    let authority = Authority::new();
    let loaded = authority.serve();
    for before in [1, 5, 100, usize::MAX] {
        let (ours, theirs) = socket_pair();
        let mut bare = Bare::new(authority.client(&VERSIONS));
        let hello = bare.flight();
        let before = before.min(hello.len());
        let turns = Turns::new();
        let client = async {
            send_all(&theirs, &hello[before..]).await;
            while bare.0.is_handshaking() {
                let answer = received(&theirs).await;
                bare.take(&answer);
                send_all(&theirs, &bare.flight()).await;
            }
        };
        let server = accept(ours, &hello[..before], Arc::clone(&loaded.config), &turns);
        let (accepted, ()) = tokio::join!(server, client);
        assert!(accepted.is_ok(), "{accepted:?}");
    }
}

#[tokio::test]
async fn a_handshake_may_come_byte_by_byte() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (ours, theirs) = socket_pair();
        let mut bare = Bare::new(authority.client(&[version]));
        let client = async {
            while bare.0.is_handshaking() || bare.0.wants_write() {
                for byte in bare.flight() {
                    send_all(&theirs, &[byte]).await;
                    tokio::task::yield_now().await;
                }
                if bare.0.is_handshaking() {
                    let answer = received(&theirs).await;
                    bare.take(&answer);
                }
            }
        };
        let loaded = authority.serve();
        let (accepted, ()) = tokio::join!(handshake(ours, &loaded), client);
        assert!(accepted.is_ok(), "{accepted:?}");
    }
}

#[tokio::test]
async fn a_handshake_cut_at_any_byte_of_any_flight_is_a_close() {
    let authority = Authority::new();
    let loaded = authority.serve();
    for version in VERSIONS {
        let client = || authority.client(&[version]);
        let hello = Bare::new(client()).flight().len();
        for cut in 0..hello {
            let (ours, theirs) = socket_pair();
            send_all(&theirs, &Bare::new(client()).flight()[..cut]).await;
            drop(theirs);
            let accepted = handshake(ours, &loaded).await;
            assert!(
                matches!(accepted, Err(AcceptError::Closed)),
                "{cut}: {accepted:?}"
            );
        }
        let mut cut = 0;
        loop {
            let (server, theirs, _, last) = all_but_the_last_flight(&loaded, client()).await;
            if cut == last.len() {
                break;
            }
            send_all(&theirs, &last[..cut]).await;
            drop(theirs);
            let accepted = server.await.unwrap();
            assert!(
                matches!(accepted, Err(AcceptError::Closed)),
                "{cut}: {accepted:?}"
            );
            cut += 1;
        }
        assert!(cut > 50, "the last flight was cut {cut} times");
    }
}

/// The client leaves before the server's flight is written.
#[tokio::test]
async fn a_client_that_does_not_wait_for_the_answer_is_a_close() {
    let authority = Authority::new();
    let loaded = authority.serve();
    for version in VERSIONS {
        let (ours, theirs) = socket_pair();
        send_all(&theirs, &Bare::new(authority.client(&[version])).flight()).await;
        drop(theirs);
        let accepted = handshake(ours, &loaded).await;
        assert!(matches!(accepted, Err(AcceptError::Closed)), "{accepted:?}");
    }
}

#[tokio::test]
async fn a_handshake_without_end_is_ended() {
    let authority = Authority::new();
    let loaded = authority.serve();
    let (ours, theirs) = socket_pair();
    // A ClientHello of 16 MiB, in records of 16 KiB.
    let mut record = vec![0x16, 3, 1, 0x40, 0];
    record.resize(5 + 0x4000, 0);
    record[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    let client = async {
        let mut sent = 0;
        while sent < 1 << 20 {
            theirs.writable().await.unwrap();
            match theirs.try_write(&record) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
            record[5..9].fill(0);
        }
        sent
    };
    let (accepted, sent) = tokio::join!(
        async {
            let accepted = handshake(ours, &loaded).await;
            let told = format!("{accepted:?}");
            drop(accepted);
            told
        },
        client
    );
    assert!(
        accepted.contains("Handshake") || accepted.contains("Io"),
        "{accepted}"
    );
    assert!(sent < 512 * 1024, "{sent} bytes were taken");
}

#[tokio::test]
async fn versions_before_1_2_are_refused() {
    let authority = Authority::new();
    let (ours, theirs) = socket_pair();
    let mut hello = Bare::new(authority.client(&[&TLS12])).flight();
    // The version inside of the ClientHello: TLS 1.1.
    hello[9..11].copy_from_slice(&[3, 2]);
    send_all(&theirs, &hello).await;
    let accepted = handshake(ours, &authority.serve()).await;
    assert!(
        matches!(accepted, Err(AcceptError::Handshake { .. })),
        "{accepted:?}"
    );
    let answer = received(&theirs).await;
    assert_eq!(
        (answer[0], answer[6]),
        (0x15, u8::from(AlertDescription::ProtocolVersion))
    );
    assert_eq!(u16::from(ProtocolVersion::TLSv1_1), 0x0302);
}
