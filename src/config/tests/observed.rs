//! `[observe]`.

use super::*;
use crate::observe::{LineFormat, LogSource};

fn without_app(text: &str) -> Result<Config, Mistakes> {
    let flags = Flags {
        domain: vec!["example.com".to_owned()],
        ..Flags::default()
    };
    load(&sources(&[("gatecount.toml", text)], &[], flags))
}

#[test]
fn what_is_observed_is_taken_apart() {
    let observed = |text: &str| without_app(text).unwrap().observe;
    let all = observed(
        "[observe]\nmirror = \"127.0.0.1:8081\"\nlog = \"file:access.log\"\nformat = \"caddy\"\n\
         [plausible]\nmax_age = \"1h\"\n",
    );
    assert_eq!(all.mirror, Some("127.0.0.1:8081".parse().unwrap()));
    assert_eq!(all.log, Some(LogSource::File("/etc/gatecount/access.log".into())));
    assert_eq!(all.format, LineFormat::Caddy);
    assert_eq!(all.max_age, std::time::Duration::from_hours(1));
    for (log, source) in [
        ("udp:[::1]:5514", LogSource::Udp("[::1]:5514".parse().unwrap())),
        (
            "unixgram:/run/log.sock",
            LogSource::Unixgram("/run/log.sock".into()),
        ),
    ] {
        assert_eq!(
            observed(&format!("[observe]\nlog = \"{log}\"\n")).log,
            Some(source)
        );
    }
    let printed = without_app("[observe]\nlog = \"file:a.log\"\n")
        .unwrap()
        .to_toml();
    assert!(
        printed.contains("log = \"file:/etc/gatecount/a.log\""),
        "{printed}"
    );
}

#[test]
fn an_app_may_be_missing_where_something_is_observed() {
    let config = without_app("[observe]\nmirror = \"127.0.0.1:0\"\n").unwrap();
    assert!(config.proxy.is_none());
    assert!(!config.to_toml().contains("[app]\nurl"));
    let missing = told(without_app("[observe]\nformat = \"combined\"\n"));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with("app.url: missing"), "{missing:?}");
    let both = from_file("[observe]\nmirror = \"127.0.0.1:0\"\n").unwrap();
    assert!(both.proxy.is_some());
}

#[test]
fn what_can_not_be_observed_says_what_could() {
    for (table, wanted) in [
        ("log = \"/var/log/a\"", "did you mean \"file:/var/log/a\"?"),
        ("log = \"tcp:127.0.0.1:1\"", "unixgram:/PATH is wanted"),
        ("log = \"udp:5514\"", "ADDRESS:PORT is wanted"),
        ("log = \"file:\"", "a path is wanted"),
        ("mirror = \"8081\"", "did you mean \"0.0.0.0:8081\"?"),
        (
            "format = \"clf\"",
            "\"json\", \"combined\", \"caddy\" or \"traefik\" is wanted",
        ),
        (
            "mirror = \"0.0.0.0:8080\"",
            "observe.mirror and listen.address must differ",
        ),
        (
            "mirror = \"127.0.0.1:9090\"",
            "observe.mirror and admin.address must differ",
        ),
    ] {
        let mistakes = told(from_file(&format!("[observe]\n{table}\n")));
        assert_eq!(mistakes.len(), 1, "{table}: {mistakes:?}");
        assert!(
            mistakes[0].starts_with("gatecount.toml:2: observe."),
            "{mistakes:?}"
        );
        assert!(
            mistakes[0].ends_with(wanted) || mistakes[0].contains(wanted),
            "{mistakes:?}"
        );
    }
}
