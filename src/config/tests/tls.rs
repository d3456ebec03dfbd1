//! `[listen.tls]`: pairs, their mistakes, what is watched and shown.

use crate::proxy::KeyPair;

use super::*;

/// Certificate and key as PEM.
fn issued(name: &str) -> (String, String) {
    let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (issued.cert.pem(), issued.signing_key.serialize_pem())
}

const TABLE: &str = "[listen.tls]\ncertificate = \"crt\"\nkey = \"key\"\n";

fn with_files(toml: &str, files: &[(&str, &str)]) -> Result<Config, Mistakes> {
    load(&sources(
        &[&[("gatecount.toml", toml)], files].concat(),
        &[],
        enough(),
    ))
}

#[test]
fn without_a_certificate_it_is_plain_text() {
    let proxy = from_file("").unwrap().proxy.unwrap();
    assert_eq!((proxy.tls, proxy.http2, proxy.max_streams), (None, false, 128));
}

#[test]
fn pairs_are_read_and_watched() {
    let (crt, key) = issued("a.example");
    let (crt2, key2) = issued("b.example");
    let toml = format!(
        "{TABLE}client_ca = \"ca\"\n[[listen.tls.more]]\ncertificate = \"crt2\"\nkey = \"/etc/gatecount/key2\"\n"
    );
    let files = [
        ("crt", crt.as_str()),
        ("key", &key),
        ("ca", &crt2),
        ("crt2", &crt2),
        ("key2", &key2),
    ];
    let config = with_files(&toml, &files).unwrap();
    let at = |name| Path::new("/etc/gatecount").join(name);
    let tls = config.proxy.as_ref().unwrap().tls.clone().unwrap();
    let pair = |certificate, key| KeyPair {
        certificate: at(certificate),
        key: at(key),
    };
    assert_eq!(tls.pairs, [pair("crt", "key"), pair("crt2", "key2")]);
    assert_eq!(tls.client_ca, Some(at("ca")));
    let watched = ["gatecount.toml", "crt", "key", "crt2", "key2", "ca"].map(at);
    assert_eq!(config.files, watched);

    let printed = config.to_toml();
    let again = with_files(&printed, &files).unwrap_or_else(|m| panic!("{m}\n{printed}"));
    assert_eq!(
        again.proxy.as_ref().unwrap().tls,
        config.proxy.as_ref().unwrap().tls,
        "{printed}"
    );
    assert_eq!(config.needs_restart(&from_file("").unwrap()), [""; 0]);
}

#[test]
fn a_reload_adopts_the_pairs_and_their_files() {
    let (crt, key) = issued("a.example");
    let mut running = from_file("").unwrap();
    let new = with_files(TABLE, &[("crt", &crt), ("key", &key)]).unwrap();
    running.adopt_reloadable(new.clone());
    let tls_of = |config: &Config| config.proxy.as_ref().unwrap().tls.clone();
    assert_eq!(tls_of(&running), tls_of(&new));
    assert_eq!(running.files, new.files);
}

#[test]
fn the_environment_names_the_first_pair() {
    let (crt, key) = issued("a.example");
    let environment = [
        ("GATECOUNT_LISTEN_TLS_CERTIFICATE", "crt"),
        ("GATECOUNT_LISTEN_TLS_KEY", "key"),
        ("GATECOUNT_LISTEN_HTTP2", "true"),
    ];
    let files = [("crt", crt.as_str()), ("key", key.as_str())];
    let proxy = load(&sources(&files, &environment, enough()))
        .unwrap()
        .proxy
        .unwrap();
    assert_eq!(proxy.tls.unwrap().pairs.len(), 1);
    assert!(proxy.http2);
}

#[test]
fn every_mistake_of_the_files_is_told_at_once() {
    let (crt, key) = issued("a.example");
    let (_, other) = issued("a.example");
    let toml = format!(
        "{TABLE}client_ca = \"key\"\n\
         [[listen.tls.more]]\ncertificate = \"none\"\nkey = \"none\"\n\
         [[listen.tls.more]]\ncertificate = \"key\"\nkey = \"crt\"\n\
         [[listen.tls.more]]\ncertificate = \"damaged\"\nkey = \"damaged\"\n"
    );
    let damaged = "-----BEGIN CERTIFICATE-----\n!secret!\n-----END CERTIFICATE-----\n\
                   -----BEGIN PRIVATE KEY-----\n!secret!\n-----END PRIVATE KEY-----\n";
    let files = [
        ("crt", crt.as_str()),
        ("key", other.as_str()),
        ("damaged", damaged),
    ];
    let told = told(with_files(&toml, &files));
    let expected = [
        "gatecount.toml:3: listen.tls.key = \"/etc/gatecount/key\": its key is not the key of the certificate",
        "gatecount.toml:4: listen.tls.client_ca = \"/etc/gatecount/key\": it has no certificate; ",
        "gatecount.toml:6: listen.tls.more.certificate = \"/etc/gatecount/none\": can't be read: no such file",
        "gatecount.toml:7: listen.tls.more.key = \"/etc/gatecount/none\": can't be read: no such file",
        "gatecount.toml:9: listen.tls.more.certificate = \"/etc/gatecount/key\": it has no certificate; ",
        "gatecount.toml:10: listen.tls.more.key = \"/etc/gatecount/crt\": it has no private key; ",
        "gatecount.toml:12: listen.tls.more.certificate = \"/etc/gatecount/damaged\": it is damaged; ",
        "gatecount.toml:13: listen.tls.more.key = \"/etc/gatecount/damaged\": it is damaged; ",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert!(with_files(TABLE, &[("crt", &crt), ("key", &key)]).is_ok());
}

#[test]
fn what_belongs_together_is_asked_for_together() {
    for (toml, expected) in [
        (
            "certificate = \"a\"",
            "gatecount.toml:2: listen.tls.certificate = \"/etc/gatecount/a\": its key is missing",
        ),
        (
            "key = \"a\"",
            "gatecount.toml:2: listen.tls.key = \"/etc/gatecount/a\": its certificate is missing",
        ),
        (
            "client_ca = \"a\"",
            "gatecount.toml:2: listen.tls.client_ca = \"/etc/gatecount/a\": it goes with certificate and key",
        ),
        (
            "[[listen.tls.more]]\ncertificate = \"a\"\nkey = \"gatecount.toml\"",
            "gatecount.toml:2: listen.tls.more: it goes with a first pair",
        ),
        (
            "[[listen.tls.more]]\nkey = \"a\"",
            "gatecount.toml:2: listen.tls.more.certificate: missing: each",
        ),
        (
            "more = \"a\"",
            "gatecount.toml:2: listen.tls.more: written as [[listen.tls.more]]",
        ),
        (
            "certificat = \"a\"",
            "gatecount.toml:2: listen.tls.certificat: no such key; did you mean listen.tls.certificate?",
        ),
        (
            "[[listen.tls.more]]\nca = \"a\"",
            "gatecount.toml:3: listen.tls.more.ca: no such key; [[listen.tls.more]] has certificate and key",
        ),
    ] {
        let told = told(from_file(&format!("[listen.tls]\n{toml}\n")));
        assert!(
            told.iter().any(|t| t.starts_with(expected)),
            "{told:#?}\n{expected}"
        );
    }
    assert_eq!(
        told(from_file("[tls]\n")),
        ["gatecount.toml:1: tls: no such table; did you mean [listen.tls]?"]
    );
    assert_eq!(
        told(from_file("[listen]\ntls = true\n")),
        [
            "gatecount.toml:2: listen.tls = true: a table is wanted: [listen.tls] with certificate, key and client_ca"
        ]
    );
}

/// `explain` and `queue` may run as a user who can't read the key.
#[test]
fn other_commands_read_no_key() {
    let sources = sources(&[("gatecount.toml", TABLE)], &[], enough());
    assert!(super::super::load_queue(&sources).is_ok());
    assert!(super::super::load_rules(&sources).is_ok());
    assert!(load(&sources).is_err());
}
