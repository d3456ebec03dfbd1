//! Sessions that are resumed, and clients that show a certificate.

use rustls::AlertDescription;
use tokio::io::AsyncReadExt;

use super::*;

/// Whether the server resumed a session of this client, which learns a ticket for the next time.
async fn resumed(loaded: &Loaded, client: &Arc<ClientConfig>, name: &'static str) -> bool {
    let (server, client) = meet_as(loaded, client, name).await;
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    write(&mut server, &[b"x"]).await;
    client.read_exact(&mut [0]).await.unwrap();
    server.is_resumed()
}

#[tokio::test]
async fn a_session_is_resumed_across_a_reload() {
    let authority = Authority::new();
    for version in VERSIONS {
        let tls = authority.settings(&[&["a.example", "b.example"]]);
        let first = load(&tls, true, None).unwrap();
        let client = Arc::new(authority.client(&[version]));
        assert!(!resumed(&first, &client, "a.example").await);
        assert!(resumed(&first, &client, "a.example").await);
        assert!(!resumed(&first, &client, "b.example").await);

        let renewed = load(&authority.settings(&[&["a.example"]]), true, Some(&first)).unwrap();
        assert!(resumed(&renewed, &client, "a.example").await);
        let unrelated = load(&tls, true, None).unwrap();
        assert!(!resumed(&unrelated, &client, "a.example").await);
    }
}

#[tokio::test]
async fn tickets_wait_for_the_first_response() {
    let authority = Authority::new();
    let (mut server, socket, mut bare) = meet_bare(&authority.serve(), authority.client(&[&TLS13])).await;
    let nothing = socket.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    assert!(!server.wants_write());
    write(&mut server, &[b"response"]).await;
    let bytes = received(&socket).await;
    assert_eq!(bare.take(&bytes), b"response");
    assert_eq!(bare.0.tls13_tickets_received(), 2);
}

/// A server that asks for certificates of its own authority.
fn mutual(authority: &Authority, before: Option<&Loaded>) -> Loaded {
    let tls = Tls {
        client_ca: Some(authority.path("ca")),
        ..authority.settings(&[&["a.example"]])
    };
    load(&tls, true, before).unwrap()
}

#[tokio::test]
async fn with_client_ca_a_certificate_must_be_shown() {
    let (authority, other) = (Authority::new(), Authority::new());
    let loaded = mutual(&authority, None);
    for version in VERSIONS {
        let own = authority.issue(&["client"]);
        let client = Arc::new(authority.client_with(&[version], &own));
        let (server, _) = meet_as(&loaded, &client, "a.example").await;
        assert!(server.unwrap().has_client_certificate());

        let (server, _) = meet_as(&loaded, &Arc::new(authority.client(&[version])), "a.example").await;
        assert!(matches!(server, Err(AcceptError::NoCertificate(_))), "{server:?}");

        let foreign = other.issue(&["client"]);
        let client = Arc::new(authority.client_with(&[version], &foreign));
        let (server, _) = meet_as(&loaded, &client, "a.example").await;
        let Err(AcceptError::Handshake { source, .. }) = server else {
            panic!("{server:?}");
        };
        assert!(
            matches!(source, rustls::Error::InvalidCertificate(_)),
            "{source:?}"
        );

        let expired = authority.issue_as(&["late"], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let client = Arc::new(authority.client_with(&[version], &expired));
        let (server, _) = meet_as(&loaded, &client, "a.example").await;
        assert!(matches!(server, Err(AcceptError::Handshake { .. })), "{server:?}");
    }
}

#[tokio::test]
async fn the_client_hears_why_its_certificate_is_missed() {
    let authority = Authority::new();
    let loaded = mutual(&authority, None);
    let (server, socket, mut bare, last) =
        all_but_the_last_flight(&loaded, authority.client(&[&TLS13])).await;
    send_all(&socket, &last).await;
    let refused = server.await.unwrap();
    assert!(matches!(refused, Err(AcceptError::NoCertificate(_))));
    let mut alert = &received(&socket).await[..];
    bare.0.read_tls(&mut alert).unwrap();
    assert_eq!(
        bare.0.process_new_packets().unwrap_err(),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired)
    );
}

/// A resumed session is not verified again.
#[tokio::test]
async fn other_authorities_end_the_sessions_of_before() {
    let (authority, other) = (Authority::new(), Authority::new());
    for version in VERSIONS {
        let own = authority.issue(&["client"]);
        let client = Arc::new(authority.client_with(&[version], &own));
        let open = authority.serve();
        assert!(!resumed(&open, &client, "a.example").await);
        let closed = mutual(&authority, Some(&open));
        assert!(
            !resumed(&closed, &client, "a.example").await,
            "begun without a certificate"
        );
        assert!(resumed(&closed, &client, "a.example").await);
        let same = mutual(&authority, Some(&closed));
        let (server, _) = meet_as(&same, &client, "a.example").await;
        let server = server.unwrap();
        assert!(server.is_resumed() && server.has_client_certificate());

        fs::write(authority.path("ca"), other.issuer.pem()).unwrap();
        let changed = mutual(&authority, Some(&same));
        let (server, _) = meet_as(&changed, &client, "a.example").await;
        assert!(matches!(server, Err(AcceptError::Handshake { .. })), "{server:?}");
        fs::write(authority.path("ca"), authority.issuer.pem()).unwrap();
    }
}
