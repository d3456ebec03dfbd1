//! Each configuration of `deploy/config`, started with the real parts around it as far as a test has them: the
//! visitor is counted, by an address that nobody could choose. On Linux all of 127.0.0.0/8 is this machine, so
//! each visitor and each proxy has an address of its own.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::Value;

use crate::support::{
    client::{Client, NAVIGATION, Request, connection_from},
    front::{Behind, Front, Program},
    nats::{Nats, Sync},
    nginx::{self, Nginx},
    origin::{self, Origin},
    process::{Builder, Sidecar, free_port, run},
    receiver::{Arrival, Receiver},
    skip,
    tls::{Authority, NAMES},
};

/// The visitor's address.
const VISITOR: &str = "127.0.0.77";

/// What the visitor would like to be.
const FORGED: &str = "198.51.100.66";

/// What a configuration is started between.
struct Stage {
    app: Origin,
    plausible: Receiver,
}

impl Stage {
    fn new() -> Stage {
        Stage {
            app: Origin::start(origin::pages),
            plausible: Receiver::start(),
        }
    }

    fn before_app(&self, file: &str) -> Builder {
        Builder::deployed(file)
            .telling(&self.plausible)
            .set("app.url", self.app.url())
    }

    /// nginx as it is deployed, before gatecount.
    fn nginx(&self, sidecar: &Sidecar) -> Front {
        let behind = Behind {
            gatecount: sidecar.address,
            admin: sidecar.admin,
            app: self.app.address(),
        };
        Program::Nginx.start(behind).expect("nginx")
    }

    /// The one event that Plausible got.
    fn event(&self) -> Arrival {
        let event = self.plausible.await_recorded(1).remove(0);
        self.plausible.assert_strict();
        assert_eq!(event.text("domain"), "example.com");
        event
    }
}

/// A page view by somebody who would like to be another.
fn forging() -> Request {
    Request::get("/page")
        .as_(NAVIGATION)
        .with("X-Forwarded-For", FORGED)
        .with("X-Real-IP", FORGED)
        .with("Forwarded", &format!("for={FORGED}"))
}

fn visit(through: SocketAddr) {
    assert_eq!(Client::from(VISITOR, through).ask(&forging()).status(), 200);
}

/// Who the client is, by `explain`, which asks no machine.
fn client_by_explain(file: &str, peer: &str, header: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/config")
        .join(file);
    let output = run(
        &[
            "explain",
            "--config",
            path.to_str().unwrap(),
            "--json",
            "--peer",
            peer,
            "-H",
            header,
            "http://example.com/",
        ],
        "",
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let story: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    story["client"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_least_one_and_the_one_with_every_key_count_a_visit() {
    for file in ["minimal.toml", "full.toml"] {
        let stage = Stage::new();
        let sidecar = stage.before_app(file).start();
        let page = Request::get("/page").as_(NAVIGATION);
        assert_eq!(Client::to(sidecar.address).ask(&page).status(), 200);
        assert_eq!(stage.event().text("url"), "http://example.com/page", "{file}");
    }
}

/// By default everybody in a private network could choose its address. With these two files nobody can.
#[test]
fn behind_nginx_on_a_host_nobody_chooses_an_address() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let stage = Stage::new();
    let sidecar = stage.before_app("nginx.toml").start();
    let front = stage.nginx(&sidecar);
    visit(front.address);
    assert_eq!(stage.event().visitor().0, VISITOR);
    let head = stage.app.only().head;
    let told: Vec<&str> = head.fields.iter().map(|(_, value)| value.as_str()).collect();
    assert!(!told.iter().any(|value| value.contains(FORGED)), "{told:?}");

    let text = fs::read_to_string(Builder::example("nginx.toml")).unwrap();
    assert!(
        text.contains("address = \"127.0.0.1:8080\""),
        "nobody goes around nginx: {text}"
    );
    let said = format!("X-Forwarded-For: {FORGED}");
    assert_eq!(
        client_by_explain("nginx.toml", "192.168.1.5:4711", &said),
        "192.168.1.5"
    );
}

#[test]
fn behind_an_ingress_its_word_counts_and_that_of_other_pods_does_not() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let stage = Stage::new();
    // The ingress has 127.0.0.1, the pods of the cluster the rest of loopback.
    let sidecar = stage
        .before_app("ingress.toml")
        .set("client.trusted_proxies", vec!["127.0.0.1"])
        .start();
    let front = stage.nginx(&sidecar);
    visit(front.address);
    assert_eq!(stage.event().visitor().0, VISITOR);
    assert_eq!(
        Client::from("127.0.0.3", sidecar.address)
            .ask(&forging())
            .status(),
        200
    );
    let both = stage.plausible.await_recorded(2);
    assert!(
        both.iter().any(|event| event.visitor().0 == "127.0.0.3"),
        "{both:?}"
    );

    let said = "X-Forwarded-For: 203.0.113.7";
    assert_eq!(
        client_by_explain("ingress.toml", "10.1.2.3:4711", said),
        "203.0.113.7"
    );
    assert_eq!(
        client_by_explain("ingress.toml", "192.0.2.1:4711", said),
        "192.0.2.1"
    );
}

#[test]
fn behind_cloudflare_its_header_counts_from_its_ranges_alone() {
    let stage = Stage::new();
    let authority = Authority::new();
    let sidecar = with_pair(stage.before_app("cloudflare.toml"), &authority)
        // Its ranges are none of this machine's.
        .set("client.trusted_proxies", vec!["127.0.0.2"])
        .start();
    let mut seen = Vec::new();
    for peer in ["127.0.0.2", "127.0.0.3"] {
        let request = forging().with("CF-Connecting-IP", "203.0.113.7");
        assert_eq!(over_tls(peer, &sidecar, &authority).ask(&request).status(), 200);
        seen = stage.plausible.await_recorded(seen.len() + 1);
    }
    let visitors: Vec<String> = seen.iter().map(|event| event.visitor().0).collect();
    assert_eq!(visitors, ["203.0.113.7", "127.0.0.3"]);
    assert_eq!(seen[0].text("url"), "https://example.com/page");

    let said = "CF-Connecting-IP: 203.0.113.7";
    assert_eq!(
        client_by_explain("cloudflare.toml", "172.68.1.1:443", said),
        "203.0.113.7"
    );
    assert_eq!(
        client_by_explain("cloudflare.toml", "[2606:4700::1]:443", said),
        "203.0.113.7"
    );
    assert_eq!(
        client_by_explain("cloudflare.toml", "192.0.2.1:443", said),
        "192.0.2.1"
    );
    assert_eq!(
        client_by_explain("cloudflare.toml", "10.0.0.1:443", said),
        "10.0.0.1"
    );
}

#[test]
fn on_the_internet_with_tls_who_connects_is_who_it_is() {
    let stage = Stage::new();
    let authority = Authority::new();
    let sidecar = with_pair(stage.before_app("tls.toml"), &authority).start();
    assert_eq!(
        over_tls(VISITOR, &sidecar, &authority).ask(&forging()).status(),
        200
    );
    let event = stage.event();
    assert_eq!(event.visitor().0, VISITOR);
    assert_eq!(event.text("url"), "https://example.com/page");
    assert_eq!(stage.app.only().head.all("x-forwarded-for"), [VISITOR]);
}

#[test]
fn a_mirror_alone_counts_what_nginx_copies() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let stage = Stage::new();
    let mirror = free_port();
    let sidecar = Builder::deployed("mirror.toml")
        .telling(&stage.plausible)
        .set("observe.mirror", mirror.to_string())
        .start();
    let nginx = Nginx::deployed_as(
        "mirror.conf",
        &[
            ("server 127.0.0.1:8081 ", format!("server {mirror} ")),
            ("http://127.0.0.1:3000", stage.app.url()),
        ],
    );
    visit(nginx.address);
    let event = stage.event();
    assert_eq!(event.visitor().0, VISITOR);
    assert_eq!(event.text("url"), "http://example.com/page");
    assert_eq!(stage.app.seen().len(), 1);
    assert_eq!(sidecar.status()["listen"], "none");
}

/// A pod's sidecar publishes, and a gateway delivers.
#[test]
fn a_sidecar_on_a_stream_counts_and_a_gateway_delivers() {
    let checked = run(
        &[
            "check",
            "--gateway",
            "--config",
            Builder::example("gateway.toml").to_str().unwrap(),
        ],
        "",
    );
    assert!(checked.status.success(), "{checked:?}");
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let stage = Stage::new();
    let on_it = |builder: Builder| {
        builder
            .set("stream.url", nats.url())
            .set("stream.replicas", 1)
            .set("stream.partitions", 4)
    };
    // The ingress has 127.0.0.1.
    let sidecar = stage
        .before_app("stream.toml")
        .set("client.trusted_proxies", vec!["127.0.0.1"])
        // It needs no way to Plausible.
        .set("plausible.url", "http://127.0.0.1:9");
    let sidecar = on_it(sidecar).start();
    let gateway = Builder::deployed("gateway.toml").telling(&stage.plausible);
    let gateway = on_it(gateway.for_gateway()).start();
    let request = Request::get("/page").as_(NAVIGATION).from("203.0.113.7");
    assert_eq!(
        Client::from("127.0.0.1", sidecar.address).ask(&request).status(),
        200
    );
    let event = stage.event();
    assert_eq!(event.visitor().0, "203.0.113.7");
    assert_eq!(event.text("url"), "http://example.com/page");
    assert_eq!(gateway.status()["listen"], "none");
}

#[test]
fn a_log_alone_counts_what_nginx_wrote() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let stage = Stage::new();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("gatecount.log");
    let sidecar = Builder::deployed("log.toml")
        .telling(&stage.plausible)
        .set("observe.log", format!("file:{}", log.display()))
        .start();
    let nginx = Nginx::deployed_as(
        "access_log.conf",
        &[
            ("http://127.0.0.1:3000", stage.app.url()),
            (
                "access_log syslog:server=127.0.0.1:5514,nohostname,tag=nginx gatecount;",
                format!("access_log {} gatecount;", log.display()),
            ),
        ],
    );
    visit(nginx.address);
    let event = stage.event();
    assert_eq!(event.visitor().0, VISITOR);
    assert_eq!(event.text("url"), "http://example.com/page");
    assert_eq!(sidecar.status()["listen"], "none");
}

/// With a certificate of this authority in place of the one in the file.
fn with_pair(builder: Builder, authority: &Authority) -> Builder {
    let pair = authority.pair("gatecount", &NAMES);
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    builder
        .set("listen.tls.certificate", text(&pair.certificate))
        .set("listen.tls.key", text(&pair.key))
}

fn over_tls(source: &str, sidecar: &Sidecar, authority: &Authority) -> Client {
    let stream = connection_from(source, sidecar.address);
    Client::over_tls(stream, &authority.client(&["http/1.1"]), "localhost").expect("a handshake")
}
