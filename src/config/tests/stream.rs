//! `[stream]`.

use std::time::Duration;

use super::{super::load_gateway, *};

const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----\na\n------END NATS USER JWT------\n\
                           -----BEGIN USER NKEY SEED-----\nb\n------END USER NKEY SEED------\n";

fn with_files(text: &str) -> Result<Config, Mistakes> {
    let files = [
        ("gatecount.toml", text),
        ("a.creds", CREDENTIALS),
        ("b.creds", "no credentials"),
    ];
    load(&sources(&files, &[], enough()))
}

#[test]
fn without_a_server_there_is_no_stream() {
    assert_eq!(from_file("").unwrap().stream, None);
    assert_eq!(from_file("[stream]\nname = \"a\"\n").unwrap().stream, None);
}

#[test]
fn the_stream_is_taken_apart() {
    let file = "[stream]\nurl = \"nats://a:4222, tls://gate:se%2Fcret@b.example\"\nname = \"events-1\"\nreplicas = 5\n\
                partitions = 128\nduplicate_window = \"24h\"\ncredentials = \"a.creds\"\nreorder = \"1s\"\nstrict = true\ndeliver = true\n\
                [plausible]\ntimeout = \"7s\"\n";
    let config = with_files(file).unwrap();
    let stream = config.stream.clone().unwrap();
    assert_eq!(stream.servers, ["nats://a:4222", "tls://b.example"]);
    let login = stream.login.unwrap();
    assert_eq!(
        (login.user.as_str(), login.password.as_str()),
        ("gate", "se/cret")
    );
    assert_eq!((stream.name.as_str(), stream.replicas), ("events-1", 5));
    assert_eq!(
        (stream.partitions, stream.strict, stream.deliver),
        (128, true, true)
    );
    assert_eq!(stream.credentials, Some("/etc/gatecount/a.creds".into()));
    assert_eq!(stream.duplicate_window, Duration::from_hours(24));
    assert_eq!(stream.reorder, Duration::from_secs(1));
    assert_eq!(stream.attempt, Duration::from_secs(7));
    assert!(!config.is_gateway);
    let printed = config.to_toml();
    assert!(
        printed.contains("nats://a:4222, tls://gate:***@b.example") && !printed.contains("cret"),
        "{printed}"
    );
    let other = with_files(&file.replace("se%2Fcret", "other")).unwrap();
    assert_eq!(config.needs_restart(&other), ["stream.url"]);
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let wanted = "nats://HOST:PORT or tls://HOST:PORT is wanted, several with commas";
    for (line, problem) in [
        (
            "url = \"nats:4222\"",
            format!("{wanted}; did you mean \"nats://nats:4222\"?"),
        ),
        (
            "url = \"http://nats\"",
            format!("{wanted}: http:// is not spoken"),
        ),
        ("url = \"nats://a,\"", wanted.to_owned()),
        (
            "url = \"nats://a/b\"",
            format!("{wanted}, without a path or query; / ? # , in a password are written %2F %3F %23 %2C"),
        ),
        (
            "url = \"nats://token@a\"",
            format!("{wanted}; before @ a user and a password are wanted, USER:PASSWORD@"),
        ),
        (
            "url = \"nats://a:b@c,nats://a:d@e\"",
            "one user and password for all servers is wanted".to_owned(),
        ),
        (
            "name = \"a.b\"",
            "a stream's name is wanted: letters, digits, - and _, at most 64 of them".to_owned(),
        ),
        ("replicas = 6", "a whole number from 1 to 5 is wanted".to_owned()),
        (
            "partitions = 0",
            "a whole number from 1 to 1024 is wanted".to_owned(),
        ),
        (
            "duplicate_window = \"90s\"",
            "at least \"2m\" is wanted: what gets no answer is published again within it".to_owned(),
        ),
        (
            "reorder = \"2m\"",
            "at most \"1m\" is accepted: every event waits that long".to_owned(),
        ),
        (
            "credentials = \"b.creds\"",
            "a .creds file is wanted, with a user's JWT and its seed, as nsc writes it".to_owned(),
        ),
        (
            "credentials = \"c.creds\"",
            "can't be read: no such file".to_owned(),
        ),
        (
            "deliver = true",
            "does nothing without a server: stream.url names them".to_owned(),
        ),
    ] {
        let mistakes = told(with_files(&format!("[stream]\n{line}\n")));
        assert_eq!(mistakes.len(), 1, "{line}: {mistakes:?}");
        assert!(
            mistakes[0].starts_with("gatecount.toml:2: stream.") && mistakes[0].ends_with(&problem),
            "{line}: {mistakes:?}"
        );
        assert!(!mistakes[0].contains("token"), "{mistakes:?}");
    }
}

#[test]
fn a_gateway_needs_a_stream_and_neither_app_nor_site() {
    let gateway = |text: &str| load_gateway(&sources(&[("gatecount.toml", text)], &[], Flags::default()));
    let config = gateway("[stream]\nurl = \"nats://a\"\n").unwrap();
    assert!(config.is_gateway && config.proxy.is_none() && config.stream.is_some());
    assert_eq!(config.queue.at, crate::queue::At::Memory);

    // One file for both kinds of process.
    let both = "[stream]\nurl = \"nats://a\"\n[app]\nurl = \"http://127.0.0.1:3000\"\n\
                [observe]\nmirror = \"127.0.0.1:8081\"\n[tracker]\nevent = \"/api/event\"\n\
                [[sites]]\nhosts = [\"*\"]\ndomain = \"a\"\n";
    let config = gateway(both).unwrap();
    assert!(config.proxy.is_none() && !config.observe.is_used() && config.tracker.is_off());

    let mistakes = told(gateway("[plausible]\ntimeout = \"5s\"\n"));
    assert_eq!(
        mistakes,
        [
            "stream.url: missing: say where NATS is, by GATECOUNT_STREAM_URL or url in [stream], such as \"nats://nats:4222\""
        ]
    );
}
