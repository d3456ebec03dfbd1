//! The proxies in front that `deploy` has a file for, each with its file and the real program.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{
    client::{CHROME, Client, IMAGE, NAVIGATION, Request},
    eventually,
    front::{Behind, Front, Program},
    nginx::{self, Nginx},
    origin::{self, Origin, Then, Visit},
    process::{Builder, Sidecar, free_port},
    receiver::Receiver,
    skip,
};

struct Stage {
    app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
    front: Front,
}

fn stage(program: Program) -> Option<Stage> {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let (gatecount, admin) = (free_port(), free_port());
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("listen.address", gatecount.to_string())
        .set("admin.address", admin.to_string())
        .start();
    let behind = Behind {
        gatecount,
        admin,
        app: app.address(),
    };
    let front = program.start(behind)?;
    Some(Stage {
        app,
        plausible,
        sidecar,
        front,
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &str) -> Request {
    Request::get(path).as_(NAVIGATION)
}

#[test]
fn what_the_visitor_used_is_counted_and_what_it_made_up_is_not() {
    for program in Program::ALL {
        let Some(stage) = stage(program) else {
            skip("a proxy is not installed");
            continue;
        };
        let mut client = Client::to(stage.front.address);
        let made_up = page("/shop/1?utm_source=x&secret=1")
            .with("Forwarded", "for=6.6.6.6;host=evil.example;proto=https")
            .with("X-Forwarded-Proto", "https")
            .with("X-Forwarded-Host", "evil.example")
            .with("X-Forwarded-Prefix", "/evil")
            .with("X-Original-URL", "/evil")
            .with("X-Envoy-Original-Path", "/evil")
            .with("X-Forwarded-Uri", "/evil")
            .with("X-Replaced-Path", "/evil");
        assert_eq!(client.ask(&made_up).status(), 200, "{program:?}");
        let event = &stage.plausible.await_recorded(1)[0];
        assert_eq!(
            event.text("url"),
            "http://example.com/shop/1?utm_source=x",
            "{program:?}"
        );
        // The test's own address: the proxy, too, is on this machine.
        assert_eq!(event.visitor().0, "127.0.0.1", "{program:?}");
        stage.plausible.assert_strict();
    }
}

#[test]
fn a_gatecount_that_is_stopped_costs_no_page() {
    for program in Program::ALL {
        let Some(stage) = stage(program) else {
            skip("a proxy is not installed");
            continue;
        };
        let Stage {
            app,
            plausible,
            mut sidecar,
            front,
        } = stage;
        let ask = |path: &str| {
            let response = Client::to(front.address).ask(&page(path));
            assert_eq!(response.status(), 200, "{program:?}: {path}");
        };
        ask("/before");
        plausible.await_recorded(1);
        sidecar.stop();
        for n in 0..20 {
            ask(&format!("/meanwhile/{n}"));
        }
        let sidecar = sidecar.again();
        let mut asked = 21;
        eventually("pages are counted again", || {
            ask("/after");
            asked += 1;
            let counted = sidecar.metrics().decisions("counted");
            if counted > 0 {
                Ok(())
            } else {
                Err("not yet".into())
            }
        });
        assert_eq!(
            app.seen().len(),
            asked,
            "{program:?}: each request reached the app once"
        );
        assert!(
            plausible
                .recorded()
                .iter()
                .all(|e| !e.text("url").contains("meanwhile")),
            "{program:?}"
        );
    }
}

/// A proxy that logs for gatecount, which stands beside it.
fn assert_logs(
    program: Program,
    file: &str,
    builder: Builder,
    plausible: &Receiver,
    to: (&str, &dyn Fn(&Sidecar) -> String),
) {
    let app = Origin::start(|visit: &mut Visit| {
        match visit.head.target() {
            "/missing" => visit
                .send("HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n")?,
            "/data" => visit.answer("application/json", b"{}")?,
            _ => visit.answer("text/html; charset=utf-8", b"<!doctype html>")?,
        }
        Ok(Then::Keep)
    });
    let sidecar = builder.start();
    let replaced = [
        ("127.0.0.1:3000", app.address().to_string()),
        (to.0, (to.1)(&sidecar)),
    ];
    let Some(front) = program.start_with(file, &replaced, &[]) else {
        return skip("a proxy is not installed");
    };
    let mut client = Client::to(front.address);
    let asked = [
        page("/a?ref=x&y=z").with("Referer", "https://a.example/\"quoted\"\\"),
        page("/missing"),
        page("/data"),
        page("/ahead").with("Sec-Purpose", "prefetch"),
        page("/private").with("Sec-GPC", "1"),
        Request::get("/picture").as_(IMAGE),
        Request::new("HEAD", "/head").as_(NAVIGATION),
        page("/b").with("Accept-Charset", "{\"},%[x]"),
    ];
    let count = asked.len() as u64;
    for request in asked {
        client.ask(&request.from("203.0.113.7"));
    }
    sidecar.await_metrics("all lines", |metrics| {
        let lines = metrics.metric("gatecount_observed_lines_total");
        lines.label("result", "decided").value() >= count
    });
    let metrics = sidecar.drained();
    let lines = metrics.metric("gatecount_observed_lines_total");
    assert_eq!(lines.value(), count, "{program:?}: no line is malformed");
    let decided: Vec<u64> = [
        "counted",
        "not_found",
        "not_html",
        "prefetch",
        "opted_out",
        "not_page",
    ]
    .iter()
    .map(|decision| metrics.decisions(decision))
    .collect();
    let decisions = sidecar.admin("/decisions").text();
    assert_eq!(decided, [2, 1, 1, 1, 1, 2], "{program:?}: {decisions}");
    let recorded = plausible.await_recorded(2);
    let urls: Vec<&str> = recorded.iter().map(|event| event.text("url")).collect();
    assert_eq!(urls, ["http://example.com/a?ref=x", "http://example.com/b"]);
    let first = &recorded[0];
    assert_eq!(first.visitor(), ("203.0.113.7".to_owned(), CHROME.to_owned()));
    assert!(
        first.text("referrer").starts_with("https://a.example/"),
        "{first:?}"
    );
    plausible.assert_strict();
}

#[test]
fn haproxy_logs_what_the_rules_read() {
    let plausible = Receiver::start();
    let builder = Builder::aside()
        .telling(&plausible)
        .set("pages.respect_gpc", true)
        .set("observe.log", "udp:127.0.0.1:0");
    let log = |sidecar: &Sidecar| {
        let log = sidecar.status()["observe"]["log"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        log.trim_start_matches("udp:").to_owned()
    };
    assert_logs(
        Program::HaProxy,
        "deploy/haproxy/access_log.cfg",
        builder,
        &plausible,
        ("127.0.0.1:5514", &log),
    );
}

#[test]
fn caddy_logs_what_the_rules_read() {
    let (plausible, directory) = (Receiver::start(), TempDir::new().unwrap());
    let path = directory.path().join("access.log").display().to_string();
    let builder = Builder::aside()
        .telling(&plausible)
        .set("pages.respect_gpc", true)
        .set("observe.format", "caddy")
        .set("observe.log", format!("file:{path}"));
    assert_logs(
        Program::Caddy,
        "deploy/caddy/access_log.Caddyfile",
        builder,
        &plausible,
        ("/var/log/caddy/gatecount.log", &|_| path.clone()),
    );
}

/// gatecount beside the app, for the tracker's own paths alone.
#[test]
fn nginx_brings_the_trackers_paths_alone_to_gatecount() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let source = Origin::start(origin::says(
        "HTTP/1.1 200 OK\r\ncontent-type: application/javascript\r\ncontent-length: 8\r\n\r\nscript()",
    ));
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("tracker.source", format!("{}/js/script.js", source.url()))
        .start();
    let deployed = root().join("deploy/nginx/tracker.conf");
    let deployed = fs::read_to_string(deployed).unwrap();
    let nginx = Nginx::with_servers(|listen| {
        deployed
            .replace("127.0.0.1:8080", &sidecar.address.to_string())
            .replace("127.0.0.1:3000", &app.address().to_string())
            .replace("listen 8000", &format!("listen {listen}"))
    });
    let mut client = Client::to(nginx.address);
    assert_eq!(client.ask(&page("/a")).status(), 200);
    assert_eq!(client.ask(&Request::get("/js/script.js")).text(), "script()");
    let event = br#"{"n":"pageview","u":"http://example.com/a","d":"example.com","r":null}"#;
    let post = Request::post("/api/event", event)
        .with("User-Agent", CHROME)
        .with("Content-Type", "text/plain");
    assert_eq!(client.ask(&post).status(), 202);
    let sent = &plausible.await_recorded(1)[0];
    assert_eq!(sent.text("u"), "http://example.com/a");
    assert_eq!(app.seen().len(), 1, "the app saw its page alone");
    // Nothing but the two went through gatecount.
    assert_eq!(sidecar.metrics().decided(), 2);
}
