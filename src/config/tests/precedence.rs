//! Who beats whom, and what the defaults are.

use std::time::Duration;

use crate::{
    client::{AddressSource, ToApp},
    delivery::{AddressHeader, Base},
    page::{Bots, CountMode},
    proxy::{Listen, Upstream},
    queue::At,
    telemetry::LogFormat,
};

use super::*;

#[test]
fn the_smallest_start_has_every_default() {
    let config = load(&sources(&[], &[], enough())).unwrap();
    let proxy = config.proxy.as_ref().unwrap();
    assert_eq!(proxy.listen, Listen::Tcp("0.0.0.0:8080".parse().unwrap()));
    let proxy = config.proxy.as_ref().unwrap();
    assert_eq!((proxy.workers, proxy.proxy_protocol), (4, false));
    assert_eq!(
        (proxy.drain, proxy.max_connections),
        (Duration::from_secs(25), 10_000)
    );
    assert_eq!(proxy.header_timeout, Duration::from_secs(30));
    assert_eq!(
        (proxy.idle_timeout, proxy.max_head_bytes),
        (Duration::from_secs(75), 65_536)
    );
    assert_eq!(proxy.app.upstream, Upstream::Tcp("127.0.0.1".to_owned(), 3000));
    assert_eq!(proxy.app.connect_timeout, Duration::from_secs(2));
    assert_eq!(proxy.app.response_timeout, Duration::from_mins(1));
    assert_eq!(proxy.app.keep_alive, Duration::from_secs(4));
    assert_eq!(config.admin.address, "127.0.0.1:9090".parse().unwrap());
    let client = &config.client;
    assert_eq!(client.trust.ranges().collect::<Vec<_>>(), ["loopback", "private"]);
    assert_eq!(
        (&client.header, client.trusted_hops),
        (&AddressSource::XForwardedFor, 0)
    );
    assert_eq!(client.to_app, ToApp::Rewrite);
    let delivery = &config.delivery;
    assert_eq!(delivery.base, base(true, "plausible.io", 443, ""));
    assert_eq!(delivery.address_headers, [AddressHeader::XForwardedFor]);
    assert_eq!(
        (delivery.timeout, delivery.concurrency),
        (Duration::from_secs(10), 64)
    );
    assert_eq!(delivery.max_age, Duration::from_hours(24));
    assert_eq!(delivery.retry_initial, Duration::from_millis(500));
    assert_eq!(
        (delivery.retry_max, delivery.max_tries),
        (Duration::from_mins(1), 10)
    );
    assert_eq!(delivery.ca_file, None);
    assert_eq!(config.queue.at, At::Disk("/var/lib/gatecount".into()));
    assert_eq!(
        (config.queue.max_bytes, config.queue.max_age),
        (256 << 20, delivery.max_age)
    );
    let page = &config.page;
    assert!(matches!(
        (page.count, &page.bots),
        (CountMode::Always, Bots::Skip)
    ));
    assert_eq!((page.include.len(), page.exclude.len()), (1, 1));
    assert_eq!((page.not_found, page.respect_gpc), (false, false));
    assert!(page.downloads.is_none() && page.exclude_when.is_empty());
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("info", LogFormat::Auto)
    );
    assert!(config.admin.hosts.is_empty());
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let file = "[listen]\naddress = \"127.0.0.1:1001\"\n[admin]\naddress = \"127.0.0.1:1002\"\n[app]\nurl = \"http://file:1\"\n";
    let environment = [
        ("GATECOUNT_ADMIN_ADDRESS", "127.0.0.1:2002"),
        ("GATECOUNT_APP_URL", "http://environment:2"),
        ("GATECOUNT_DOMAIN", "a.example, b.example"),
    ];
    let flags = Flags {
        app: Some("http://flag:3".to_owned()),
        ..Flags::default()
    };
    let config = load(&sources(&[("gatecount.toml", file)], &environment, flags)).unwrap();
    assert_eq!(
        config.proxy.as_ref().unwrap().listen,
        Listen::Tcp("127.0.0.1:1001".parse().unwrap())
    );
    assert_eq!(config.admin.address, "127.0.0.1:2002".parse().unwrap());
    assert_eq!(
        config.proxy.as_ref().unwrap().app.upstream,
        Upstream::Tcp("flag".to_owned(), 3)
    );
    assert_eq!(
        config.event.sites.find(Some("any.example")),
        Some("a.example,b.example")
    );
}

#[test]
fn the_environment_speaks_for_every_kind_of_value() {
    let environment = [
        ("GATECOUNT_LISTEN_WORKERS", "3"),
        ("GATECOUNT_LISTEN_PROXY_PROTOCOL", "true"),
        ("GATECOUNT_LISTEN_MAX_HEAD_BYTES", "2048"),
        ("GATECOUNT_CLIENT_TRUSTED_PROXIES", "10.0.0.0/8, loopback"),
        (
            "GATECOUNT_PLAUSIBLE_ADDRESS_HEADER",
            "x-plausible-ip,X-Forwarded-For",
        ),
        ("GATECOUNT_PAGES_DOWNLOADS", "pdf, .ZIP"),
        ("GATECOUNT_PAGES_EXCLUDE", ""),
        ("GATECOUNT_PAGES_BOTS", "bots.example.com"),
        ("GATECOUNT_QUEUE_AT", "memory"),
        ("GATECOUNT_LOG", "info,gatecount=debug"),
        ("GATECOUNT_LOG_FORMAT", "json"),
        ("GATECOUNT_ADMIN_HOSTS", "A.Internal, b."),
    ];
    let config = load(&sources(&[], &environment, enough())).unwrap();
    let proxy = config.proxy.as_ref().unwrap();
    assert_eq!((proxy.workers, proxy.proxy_protocol), (3, true));
    assert_eq!(proxy.max_head_bytes, 2048);
    assert_eq!(
        config.client.trust.ranges().collect::<Vec<_>>(),
        ["10.0.0.0/8", "loopback"]
    );
    assert_eq!(
        config.delivery.address_headers,
        [AddressHeader::XPlausibleIp, AddressHeader::XForwardedFor]
    );
    assert_eq!(
        config.page.downloads.as_deref(),
        Some(&["pdf".to_owned(), "zip".to_owned()][..])
    );
    assert!(config.page.exclude.is_empty());
    assert!(matches!(&config.page.bots, Bots::Domain(domain) if domain == "bots.example.com"));
    assert_eq!(config.queue.at, At::Memory);
    assert_eq!(config.log.level, "info,gatecount=debug");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.admin.hosts, ["a.internal", "b"]);
    let off = load(&sources(&[], &[("GATECOUNT_PAGES_DOWNLOADS", "false")], enough())).unwrap();
    assert!(off.page.downloads.is_none());
}

#[test]
fn the_log_level_is_set_by_flag_then_variable_then_file_then_rust_log() {
    let environment = [("GATECOUNT_LOG_LEVEL", "warn"), ("RUST_LOG", "trace")];
    let file = "[log]\nlevel = \"debug\"\n";
    let flag = Flags {
        log: Some("error".to_owned()),
        ..enough()
    };
    let level = |file, environment: &[(&str, &str)], flags| {
        load(&sources(&[("gatecount.toml", file)], environment, flags))
            .unwrap()
            .log
            .level
    };
    assert_eq!(level(file, &environment, flag), "error");
    assert_eq!(level(file, &environment, enough()), "warn");
    assert_eq!(level(file, &environment[1..], enough()), "debug");
    assert_eq!(level("", &environment[1..], enough()), "trace");
    assert_eq!(level("", &[("GATECOUNT_LOG", "off")], enough()), "off");
    assert_eq!(
        level("", &[("RUST_LOG", "a=b=c")], enough()),
        "info",
        "an unreadable RUST_LOG is nobody's mistake"
    );
    let config = load(&sources(&[], &environment[1..], enough())).unwrap();
    let printed = config.to_toml();
    let line = printed.lines().find(|l| l.starts_with("level = ")).unwrap();
    assert!(line.ends_with("# RUST_LOG"), "{line}");
}

#[test]
fn the_queue_flag_names_memory_or_a_directory() {
    let queue = |text: &str, file| {
        let flags = Flags {
            queue: Some(text.to_owned()),
            ..enough()
        };
        load(&sources(&[("gatecount.toml", file)], &[], flags))
            .unwrap()
            .queue
            .at
    };
    assert_eq!(queue("memory", "[queue]\npath = \"/a\""), At::Memory);
    assert_eq!(queue("/b", "[queue]\nat = \"memory\""), At::Disk("/b".into()));
    assert_eq!(queue("b", ""), At::Disk("/etc/gatecount/b".into()));
}

#[test]
fn the_queue_finds_its_place() {
    let place = |environment: &[(&str, &str)], writable: bool| {
        let sources = Sources {
            writable: Box::new(move |path| writable && path == Path::new("/var/lib/gatecount")),
            ..sources(&[], environment, enough())
        };
        load(&sources).unwrap().queue.at
    };
    let user = [("XDG_STATE_HOME", "/home/u/state"), ("HOME", "/home/u")];
    let systemd = [("STATE_DIRECTORY", "/var/lib/private/x:/b"), ("HOME", "/home/u")];
    assert_eq!(place(&systemd, true), At::Disk("/var/lib/private/x".into()));
    assert_eq!(place(&user, true), At::Disk("/var/lib/gatecount".into()));
    assert_eq!(place(&user, false), At::Disk("/home/u/state/gatecount".into()));
    assert_eq!(
        place(&user[1..], false),
        At::Disk("/home/u/.local/state/gatecount".into())
    );
    assert_eq!(
        place(&[("XDG_STATE_HOME", "relative")], false),
        At::Disk("/var/lib/gatecount".into())
    );
}

#[test]
fn relative_paths_of_the_file_are_the_files_and_others_the_working_directorys() {
    let flags = Flags {
        config: Some("conf/gc.toml".into()),
        app: Some("unix:app.sock".to_owned()),
        ..enough()
    };
    let file = "[listen]\naddress = \"unix:in.sock\"\n[client]\ntrusted_proxies = [\"@lists/cdn\"]\n";
    let files = [
        ("conf/gc.toml", file),
        ("conf/lists/cdn", "203.0.113.0/24 # a\n\n# b\n2001:db8::/32\r\n"),
    ];
    let config = load(&sources(&files, &[], flags)).unwrap();
    assert_eq!(
        config.proxy.as_ref().unwrap().listen,
        Listen::Unix("/etc/gatecount/conf/in.sock".into())
    );
    assert_eq!(
        config.proxy.as_ref().unwrap().app.upstream,
        Upstream::Unix("/etc/gatecount/app.sock".into())
    );
    assert_eq!(
        config.client.trust.ranges().collect::<Vec<_>>(),
        ["203.0.113.0/24", "2001:db8::/32"]
    );
}

#[test]
fn the_environments_proxy_holds_where_the_key_names_none() {
    let variables = [("HTTPS_PROXY", "http://gate:s3cret@one.example:3128")];
    let config = load(&sources(&[], &variables, enough())).unwrap();
    let proxy = config.delivery.proxy.as_ref().unwrap();
    assert_eq!(proxy.to_string(), "http://one.example:3128");
    assert!(proxy.authorization.is_some());
    let shown = config.to_toml();
    let line = shown.lines().find(|line| line.starts_with("proxy = ")).unwrap();
    assert!(
        line.starts_with("proxy = \"http://gate:***@one.example:3128\"") && line.ends_with("# HTTPS_PROXY"),
        "{line}"
    );

    let with_key = [variables[0], ("GATECOUNT_PLAUSIBLE_PROXY", "http://two.example")];
    let other = load(&sources(&[], &with_key, enough())).unwrap();
    let named = other.delivery.proxy.as_ref().unwrap().to_string();
    assert_eq!(named, "http://two.example:80");

    let other_password = [("HTTPS_PROXY", "http://gate:changed@one.example:3128")];
    let changed = load(&sources(&[], &other_password, enough())).unwrap();
    assert_eq!(config.needs_restart(&changed), ["plausible.proxy"]);
    assert_eq!(config.needs_restart(&config.clone()), [""; 0]);
}

#[test]
fn urls_are_taken_apart() {
    let plausible = |url: &str| {
        from_file(&format!("[plausible]\nurl = \"{url}\""))
            .unwrap()
            .delivery
            .base
    };
    assert_eq!(
        plausible("http://Plausible.Example:8000"),
        base(false, "plausible.example", 8000, "")
    );
    assert_eq!(
        plausible("https://a.example/stats/"),
        base(true, "a.example", 443, "/stats")
    );
    assert_eq!(
        plausible("http://[2001:db8::1]"),
        base(false, "2001:db8::1", 80, "")
    );
    let app = |url: &str| {
        let flags = Flags {
            app: Some(url.to_owned()),
            ..enough()
        };
        load(&sources(&[], &[], flags))
            .unwrap()
            .proxy
            .unwrap()
            .app
            .upstream
    };
    assert_eq!(app("HTTP://app/"), Upstream::Tcp("app".to_owned(), 80));
    assert_eq!(app("http://[::1]:3000"), Upstream::Tcp("::1".to_owned(), 3000));
    assert_eq!(app("unix:/run/app.sock"), Upstream::Unix("/run/app.sock".into()));
}

#[test]
fn downloads_true_is_the_trackers_own_list() {
    let downloads = from_file("[pages]\ndownloads = true")
        .unwrap()
        .page
        .downloads
        .unwrap();
    assert_eq!(downloads.len(), 26);
    assert!(downloads.iter().any(|e| e == "pdf") && downloads.iter().any(|e| e == "dmg"));
}

fn base(https: bool, host: &str, port: u16, path: &str) -> Base {
    Base {
        https,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    }
}

#[test]
fn whether_a_directory_can_be_written_is_tried_and_leaves_nothing() {
    let writable = Sources::of_flags(Flags::default()).writable;
    let root = tempfile::tempdir().unwrap();
    assert!(writable(root.path()));
    assert!(writable(&root.path().join("new")), "its parent can be written");
    assert!(!writable(&root.path().join("no/parent")));
    assert!(!writable(Path::new("/proc")), "nobody makes files there");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}
