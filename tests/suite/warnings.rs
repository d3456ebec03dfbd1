//! What `check` warns of, and how mistakes are told where a log is read by programs.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{
    origin::{self, Origin},
    process::{BINARY, Builder, free_port, has},
    skip,
};

fn before(app: &Origin) -> Builder {
    Builder::before(app)
        .set("listen.address", free_port().to_string())
        .set("admin.address", free_port().to_string())
}

fn check(builder: &Builder, arguments: &[&str]) -> Output {
    builder.write();
    let mut command = builder.command();
    command.arg("check").args(arguments);
    command.output().unwrap()
}

/// Warned of this, with status 0; denied, with status 2.
#[track_caller]
fn assert_warned(builder: &Builder, parts: &[&str]) {
    let output = check(builder, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        !output.stdout.is_empty(),
        "the configuration is printed all the same"
    );
    let is_told = |line: &str| parts.iter().all(|part| line.contains(part));
    assert!(said.lines().any(is_told), "no line has {parts:?}: {said}");
    assert!(said.starts_with("gatecount: 1 warning\n"), "{said}");
    let denied = check(builder, &["--deny-warnings"]);
    assert_eq!((denied.status.code(), denied.stderr), (Some(2), output.stderr));
}

#[test]
fn nothing_is_said_where_all_is_well() {
    let output = check(&before(&Origin::start(origin::pages)), &["--deny-warnings"]);
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..]),
        "{output:?}"
    );
}

#[test]
fn a_port_in_use_is_told_unless_gatecount_itself_has_it() {
    let app = Origin::start(origin::pages);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let builder = before(&app).set("listen.address", port.to_string());
    assert_warned(
        &builder,
        &[
            "listen.address",
            "another process listens on port",
            &port.port().to_string(),
        ],
    );
    let sidecar = before(&app).start();
    let output = check(&sidecar.builder(), &["--deny-warnings"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_socket_that_cant_be_made_is_told() {
    let app = Origin::start(origin::pages);
    let builder = before(&app);
    let path = builder.directory().join("run/gatecount.sock");
    let builder = builder.set("listen.address", format!("unix:{}", path.display()));
    assert_warned(&builder, &["listen.address", "run is not there"]);
    fs::create_dir(path.parent().unwrap()).unwrap();
    assert!(check(&builder, &["--deny-warnings"]).status.success());
    let sidecar = builder.clone().start();
    assert!(
        check(&builder, &["--deny-warnings"]).status.success(),
        "it is its own"
    );
    drop(sidecar);
    let _other = std::os::unix::net::UnixListener::bind(builder.directory().join("other.sock")).unwrap();
    let other = format!("unix:{}/other.sock", builder.directory().display());
    assert_warned(
        &builder.set("listen.address", other),
        &["another process listens on"],
    );
}

#[test]
fn an_address_of_another_machine_is_told() {
    let builder = before(&Origin::start(origin::pages)).set("admin.address", "192.0.2.1:9090");
    assert_warned(
        &builder,
        &[
            "admin.address = \"192.0.2.1:9090\"",
            "not an address of this machine",
        ],
    );
}

#[test]
fn a_port_of_the_systems_is_told() {
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if !has("setpriv") || lowest.trim().parse::<u16>().unwrap_or(0) <= 81 {
        return skip("ports below 1024 are nobody's own here");
    }
    let plain = [
        "setpriv",
        "--bounding-set=-net_bind_service",
        "--ambient-caps=-all",
        "--inh-caps=-all",
    ];
    let builder = before(&Origin::start(origin::pages))
        .set("listen.address", "127.0.0.1:81")
        .under(&plain);
    assert_warned(
        &builder,
        &[
            "listen.address",
            "may not listen on port 81",
            "CAP_NET_BIND_SERVICE",
        ],
    );
}

#[test]
fn a_queue_that_cant_be_made_is_told() {
    let builder = before(&Origin::start(origin::pages)).set("queue.path", "/proc/nope/queue");
    assert_warned(
        &builder,
        &[
            "queue.path",
            "/proc/nope/queue can't be made in /proc",
            "in memory",
        ],
    );
}

#[test]
fn trust_in_everybody_is_told() {
    let builder = before(&Origin::start(origin::pages)).set("client.trusted_proxies", vec!["0.0.0.0/0"]);
    assert_warned(
        &builder,
        &["client.trusted_proxies", "every visitor can choose its address"],
    );
}

#[test]
fn hosts_that_an_earlier_site_takes_are_told() {
    let builder = before(&Origin::start(origin::pages))
        .site(&["*.example.com"], &["example.com"])
        .site(&["shop.example.com", "shop.example"], &["shop.example"]);
    assert_warned(
        &builder,
        &["sites.hosts = \"shop.example.com\"", "gets no request for it"],
    );
}

#[test]
fn sites_that_a_domain_for_every_host_replaces_are_told() {
    let builder = before(&Origin::start(origin::pages)).site(&["example.com"], &["example.com"]);
    let output = check(&builder, &["--domain", "other.example"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("--domain") && said.contains("[[sites]]") && said.contains("is not used"),
        "{said}"
    );
}

#[test]
fn an_exclude_of_everything_is_told() {
    let builder = before(&Origin::start(origin::pages)).set("pages.exclude", vec!["/**"]);
    assert_warned(&builder, &["pages.exclude", "no page is counted"]);
}

#[test]
fn a_warning_about_the_file_is_in_the_log_at_the_start_too() {
    let app = Origin::start(origin::pages);
    let sidecar = before(&app).set("pages.exclude", vec!["/**"]).start();
    let line = sidecar.await_log("no page is counted");
    assert!(line.contains("WARN"), "{line}");
}

#[test]
fn a_start_that_fails_over_mistakes_says_so_in_the_logs_format() {
    let builder = before(&Origin::start(origin::pages))
        .set("listen.drain", "soon")
        .set("client.to_app", "sometimes");
    builder.write();
    // Standard error is no terminal, so "auto" is JSON.
    let output = builder.command().output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let lines: Vec<Value> = String::from_utf8(output.stderr)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, key, value) in [
        (&lines[0], "listen.drain", "soon"),
        (&lines[1], "client.to_app", "sometimes"),
    ] {
        let message = line["message"].as_str().unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(message.contains(key) && message.contains(value), "{line}");
    }
    let text = builder.command().args(["--log-format", "text"]).output().unwrap();
    let said = String::from_utf8(text.stderr).unwrap();
    assert!(
        said.starts_with("gatecount: 2 mistakes in the configuration\n"),
        "{said}"
    );
    assert_eq!(text.status.code(), Some(2));
}

/// What other programs call a key is led to its name here.
#[test]
fn names_of_other_programs_are_led_to_the_right_key() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    for (text, hint) in [
        (
            "[app]\ntimeout = \"5s\"",
            "app.connect_timeout or app.response_timeout",
        ),
        ("[app]\nuri = \"http://a\"", "app.url"),
        ("[app]\nport = 3000", "app.url"),
        ("[listen]\nport = 3000", "listen.address"),
        ("[[site]]\nhosts = [\"a\"]", "[[sites]]"),
        ("[site]\nhosts = [\"a\"]", "[[sites]]"),
    ] {
        fs::write(file.path(), text).unwrap();
        let output = Command::new(BINARY)
            .args(["check", "-c"])
            .arg(file.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("did you mean {hint}?")), "{text}: {said}");
    }
}
