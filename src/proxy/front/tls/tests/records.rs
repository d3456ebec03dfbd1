//! The record layer: how writes are cut into records, and reads put together from them.

use super::*;

/// The payload lengths of the records in `bytes`, and how many bytes the last one lacks.
fn records(mut bytes: &[u8]) -> (Vec<usize>, usize) {
    let mut lengths = Vec::new();
    while let Some(header) = bytes.first_chunk::<5>() {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        lengths.push(length);
        match bytes.get(5 + length..) {
            Some(rest) => bytes = rest,
            None => return (lengths, 5 + length - bytes.len()),
        }
    }
    (lengths, 0)
}

#[tokio::test]
async fn a_small_response_is_one_record_and_a_large_one_has_full_records() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, socket, mut bare) =
            meet_bare(&authority.serve(), authority.client(&[version])).await;
        // In TLS 1.3 the content's type and a tag of 16 bytes are added, in TLS 1.2 a nonce of 8 and the tag.
        let overhead = if version.version == rustls::ProtocolVersion::TLSv1_3 {
            17
        } else {
            24
        };
        write(&mut server, &[b"tickets go before this"]).await;
        bare.take(&received(&socket).await);

        write(&mut server, &[b"head", b"", b"body"]).await;
        let bytes = received(&socket).await;
        assert_eq!(records(&bytes), (vec![8 + overhead], 0));
        assert_eq!(bare.take(&bytes), b"headbody");

        let (head, body) = (pattern(300), pattern(64 * 1024));
        write(&mut server, &[&head, &body]).await;
        let bytes = received(&socket).await;
        let full = 16 * 1024 + overhead;
        assert_eq!(records(&bytes), (vec![full, full, full, full, 300 + overhead], 0));
        assert_eq!(bare.take(&bytes), [head, body].concat());
    }
}

/// The ciphertext is read into the place where the plaintext goes: whatever the sizes of records, of what
/// arrives at once, and of the reader's buffer, each byte comes once and in order.
#[tokio::test]
async fn reads_put_together_any_records_however_they_arrive() {
    let authority = Authority::new();
    let loaded = authority.serve();
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = authority.client(&[VERSIONS[seed as usize % 2]]);
        client.max_fragment_size = [None, Some(64), Some(600), Some(5000)][random.usize(..4)];
        let (mut server, socket, mut bare) = meet_bare(&loaded, client).await;
        bare.0.set_buffer_limit(None);
        let sent = pattern(random.usize(1..300_000));
        let mut ciphertext = Vec::new();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(70_000)));
            io::Write::write_all(&mut bare.0.writer(), piece).unwrap();
            if random.u8(..8) == 0 && seed % 2 == 1 {
                bare.0.refresh_traffic_keys().unwrap();
            }
            ciphertext.extend(bare.flight());
            rest = after;
        }
        let most = [3, 700, 5_000, 64 * 1024][random.usize(..4)];
        let sizes = random.clone();
        let write = async {
            let mut random = random;
            let mut rest = &ciphertext[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(100_000)));
                send_all(&socket, piece).await;
                if random.bool() {
                    tokio::task::yield_now().await;
                }
                rest = after;
            }
        };
        let read = async {
            let mut random = sizes;
            let mut got = Vec::new();
            let mut into = vec![0; most];
            while got.len() < sent.len() {
                let size = random.usize(1..=most);
                let n = read(&mut server, &mut into[..size]).await.unwrap();
                assert_ne!(n, 0);
                got.extend_from_slice(&into[..n]);
            }
            got
        };
        let ((), got) = tokio::join!(write, read);
        assert!(got == sent, "seed {seed}: another order or other bytes");
    }
}

#[tokio::test]
async fn a_record_that_was_tampered_with_ends_the_connection_with_an_alert() {
    let authority = Authority::new();
    for version in VERSIONS {
        let (mut server, socket, mut bare) =
            meet_bare(&authority.serve(), authority.client(&[version])).await;
        io::Write::write_all(&mut bare.0.writer(), b"request").unwrap();
        let mut bytes = bare.flight();
        *bytes.last_mut().unwrap() ^= 1;
        send_all(&socket, &bytes).await;
        let error = read(&mut server, &mut [0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("decrypt"), "{error}");
        let mut alert = &received(&socket).await[..];
        let mut told = Ok(());
        while !alert.is_empty() && told.is_ok() {
            bare.0.read_tls(&mut alert).unwrap();
            told = bare.0.process_new_packets().map(drop);
        }
        let expected = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
        assert_eq!(told, Err(expected));
    }
}

#[tokio::test]
async fn keys_are_updated_from_either_side() {
    let authority = Authority::new();
    let (mut server, socket, mut bare) = meet_bare(&authority.serve(), authority.client(&[&TLS13])).await;
    for round in 0..20_u8 {
        bare.0.refresh_traffic_keys().unwrap();
        io::Write::write_all(&mut bare.0.writer(), &[round; 100]).unwrap();
        send_all(&socket, &bare.flight()).await;
        assert_eq!(read_exactly(&mut server, 100).await, [round; 100]);
        // The answer to the update goes with the response.
        write(&mut server, &[&[round; 50]]).await;
        let mut got = Vec::new();
        while got.len() < 50 {
            let bytes = received(&socket).await;
            got.extend(bare.take(&bytes));
        }
        assert_eq!(got, [round; 50]);
    }
}
