//! Which certificate a client gets, files that can't be used, and what is warned of.

use std::{
    os::unix::fs::PermissionsExt,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use rustls_pki_types::pem::PemObject;
use tracing_subscriber::{fmt, layer::SubscriberExt};

use super::{
    super::{config::LoadError, pair::PairError},
    *,
};

/// The certificate that a client gets who asks for `name`.
async fn certificate_for(
    loaded: &Loaded,
    version: &'static SupportedProtocolVersion,
    name: &'static str,
) -> Vec<u8> {
    let client = ClientConfig::builder_with_provider(Arc::new(pair::provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth();
    let (server, client) = meet_as(loaded, &Arc::new(client), name).await;
    server.unwrap();
    client.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn the_name_chooses_the_pair() {
    let authority = Authority::new();
    let tls = authority.settings(&[
        &["first.example"],
        &["*.shop.example", "shop.example"],
        &["pay.shop.example"],
        &["third.example", "Pay.Shop.Example", "first.example"],
    ]);
    let loaded = load(&tls, true, None).unwrap();
    for version in VERSIONS {
        for (name, expected) in [
            ("first.example", 0),
            ("FIRST.example", 0),
            ("unknown.example", 0),
            ("localhost", 0),
            // An address is never sent as a name.
            ("192.0.2.1", 0),
            ("shop.example", 1),
            ("a.shop.example", 1),
            // A wildcard stands for one label (RFC 6125 §6.4.3).
            ("a.b.shop.example", 0),
            ("pay.shop.example", 2),
            ("third.example", 3),
        ] {
            let got = certificate_for(&loaded, version, name).await;
            let of = |pair: &KeyPair| CertificateDer::from_pem_file(&pair.certificate).unwrap().to_vec();
            let got = tls.pairs.iter().position(|pair| of(pair) == got);
            assert_eq!(got, Some(expected), "{name}");
        }
    }
}

#[test]
fn what_cannot_be_loaded_is_told_with_its_file() {
    let authority = Authority::new();
    let good = authority.issue(&["a.example"]);
    let other = authority.issue(&["b.example"]);
    fs::write(authority.path("empty"), "").unwrap();
    let load = |certificate: &Path, key: &Path, client_ca: Option<&Path>| {
        let tls = Tls {
            pairs: vec![KeyPair {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            }],
            client_ca: client_ca.map(Path::to_owned),
        };
        load(&tls, true, None).unwrap_err()
    };
    let (empty, none) = (authority.path("empty"), authority.path("none"));
    for (error, at, expected) in [
        (load(&none, &good.key, None), &none, "Read"),
        (load(&good.certificate, &none, None), &none, "Read"),
        (load(&empty, &good.key, None), &empty, "NoCertificate"),
        (load(&good.key, &good.key, None), &good.key, "NoCertificate"),
        (load(&good.certificate, &empty, None), &empty, "NoKey"),
        (load(&good.certificate, &other.key, None), &other.key, "Mismatch"),
        (
            load(&good.certificate, &good.key, Some(&empty)),
            &empty,
            "NoCertificate",
        ),
        (load(&good.certificate, &good.key, Some(&none)), &none, "Read"),
    ] {
        let (told, debug) = (error.to_string(), format!("{error:?}"));
        assert!(told.contains(&at.display().to_string()), "{told}");
        assert!(debug.contains(expected), "{debug}");
    }
}

#[test]
fn nothing_of_a_key_is_in_an_error() {
    let authority = Authority::new();
    let good = authority.issue(&["a.example"]);
    let pem = fs::read_to_string(&good.key).unwrap();
    let secret: &str = pem.lines().nth(1).unwrap();
    let certificate = fs::read(&good.certificate).unwrap();
    for damaged in [
        pem.replace("BEGIN PRIVATE KEY-----", &format!("BEGIN PRIVATE KEY {secret}")),
        pem.replace("-----END PRIVATE KEY-----", ""),
        pem.replacen('\n', "\n=?=", 1),
        pem.replacen(secret, &secret[8..], 1),
        pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        pem.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
    ] {
        let errors = super::super::check_pair(&certificate, damaged.as_bytes()).unwrap_err();
        for error in errors {
            let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
            assert!(error.is_keys(), "{told}");
            for word in secret.as_bytes().windows(8) {
                assert!(!told.contains(std::str::from_utf8(word).unwrap()), "{told}");
            }
        }
    }
    let loaded = load(&authority.settings(&[&["a.example"]]), true, None).unwrap();
    assert!(!format!("{loaded:?}").contains(&secret[..8]));
}

#[test]
fn a_broken_pair_leaves_the_one_before() {
    let authority = Authority::new();
    let tls = authority.settings(&[&["a.example"]]);
    let before = load(&tls, true, None).unwrap();
    fs::write(&tls.pairs[0].key, "half written").unwrap();
    let error = load(&tls, true, Some(&before)).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Unusable {
                source: PairError::NoKey,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(load(&authority.settings(&[&["a.example"]]), true, Some(&before)).is_ok());
}

/// A key in the older forms, and a chain and its key in one file.
#[test]
fn each_usual_form_of_a_file_is_read() {
    let authority = Authority::new();
    let good = authority.issue(&["a.example"]);
    let both = authority.path("both");
    let text = |path| fs::read_to_string(path).unwrap();
    fs::write(
        &both,
        format!(
            "Bag Attributes\n{}{}{}",
            text(&good.key),
            text(&good.certificate),
            authority.issuer.pem()
        ),
    )
    .unwrap();
    let tls = Tls {
        pairs: vec![KeyPair {
            certificate: both.clone(),
            key: both,
        }],
        client_ca: None,
    };
    assert!(load(&tls, true, None).is_ok());
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What loading logs.
fn logged(tls: &Tls) -> (Loaded, String) {
    let written = Written::default();
    let writer = written.clone();
    let logs = tracing_subscriber::registry().with(fmt::layer().json().with_writer(move || writer.clone()));
    let loaded = tracing::subscriber::with_default(logs, || load(tls, true, None)).unwrap();
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    (loaded, text)
}

#[test]
fn a_key_that_anyone_may_read_is_warned_of_once() {
    let authority = Authority::new();
    let tls = authority.settings(&[&["a.example"]]);
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&tls.pairs[0].key, permissions).unwrap();
        let (_, log) = logged(&tls);
        assert_eq!(log.matches("WARN").count(), warnings, "{mode:o}: {log}");
        assert_eq!(log.matches("a.example.key").count(), warnings, "{log}");
    }
}

#[test]
fn a_certificate_near_its_end_or_beyond_is_warned_of() {
    let authority = Authority::new();
    let day = Duration::from_hours(24);
    let now = SystemTime::now();
    for (since, until, expected) in [
        (now - 60 * day, now + 30 * day, ""),
        (now - 85 * day, now + 5 * day, "expires soon"),
        (now - 3600 * day, now + 20 * day, ""),
        (now - 3600 * day, now + 10 * day, "expires soon"),
        (now - day, now + 5 * day, ""),
        (now - 90 * day, now - day, "has expired"),
        (now + day, now + 90 * day, "not valid yet"),
    ] {
        let files = authority.issue_as(&["a.example"], |params| {
            params.not_before = since.into();
            params.not_after = until.into();
        });
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        let tls = Tls {
            pairs: vec![files],
            client_ca: None,
        };
        let (loaded, log) = logged(&tls);
        assert!(
            log.contains(expected) && log.is_empty() == expected.is_empty(),
            "{expected}: {log}"
        );
        let seconds = |t: SystemTime| t.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds(loaded.not_after), seconds(until));
        if expected.starts_with("expires") {
            let date = humantime::format_rfc3339_seconds(until).to_string();
            assert!(log.contains(&date), "{log}");
        }
    }
}
