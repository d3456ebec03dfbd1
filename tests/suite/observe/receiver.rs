//! gatecount without an app: it sees from aside and listens for no visitor.

use super::stage;
use crate::support::{
    client::{NAVIGATION, Request},
    origin::Origin,
    process::{Builder, run},
    receiver::Receiver,
    site,
};

#[test]
fn without_an_app_it_is_ready_and_listens_for_nobody() {
    let mut stage = stage();
    let mut sidecar = stage.builder.set("observe.mirror", "127.0.0.1:0").start();
    assert_eq!(sidecar.admin("/readyz").status(), 200);
    let status = sidecar.status();
    assert_eq!(status["listen"], "none");
    assert!(
        status["observe"]["log"].as_str().unwrap().starts_with("file:/"),
        "{status}"
    );
    assert!(
        status["observe"]["mirror"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:"),
        "{status}"
    );
    assert_eq!(sidecar.admin("/").status(), 200);
    stage.log.pages(0..5);
    super::assert_each_once(&sidecar, &stage.plausible, 0..5);
    sidecar.stop();
}

#[test]
fn nothing_to_do_is_a_mistake() {
    let output = run(&["check", "--domain", "example.com"], "");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("app.url: missing"), "{said}");
}

#[test]
fn an_address_in_use_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (mut sidecar, up) = Builder::aside()
        .set("observe.mirror", address.to_string())
        .try_start();
    assert!(up.is_err());
    assert_eq!(sidecar.wait().code(), Some(1));
    sidecar.await_log("can't observe requests");
}

/// Beside the data path: both count, each what it sees.
#[test]
fn with_an_app_both_are_served() {
    let (app, plausible): (Origin, Receiver) = (site::start(), Receiver::start());
    let mut log = super::Log::new();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("observe.log", format!("file:{}", log.path().display()))
        .start();
    let page = Request::get("/page/0").as_(NAVIGATION).from(&super::visitor(0));
    assert_eq!(sidecar.client().ask(&page).status(), 200);
    log.pages(1..2);
    super::assert_each_once(&sidecar, &plausible, 0..2);
    let offered = |source| {
        let metrics = sidecar.metrics();
        metrics
            .metric("gatecount_events_offered_total")
            .label("source", source)
            .value()
    };
    assert_eq!((offered("page"), offered("observe")), (1, 1));
}

/// The server in front logs what it passed on to the same gatecount: one page, one event, whoever is first.
#[test]
fn what_the_data_path_has_seen_too_counts_once() {
    let (app, plausible): (Origin, Receiver) = (site::start(), Receiver::start());
    let mut log = super::Log::new();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("observe.log", format!("file:{}", log.path().display()))
        .start();
    let page = |n| {
        Request::get(&format!("/page/{n}"))
            .as_(NAVIGATION)
            .from(&super::visitor(n))
    };
    for n in 0..5 {
        assert_eq!(sidecar.client().ask(&page(n)).status(), 200);
    }
    log.pages(0..10);
    super::await_lines(&sidecar, "decided", 10);
    for n in 5..10 {
        assert_eq!(sidecar.client().ask(&page(n)).status(), 200);
    }
    super::assert_each_once(&sidecar, &plausible, 0..10);
    let metrics = sidecar.settled(20);
    assert_eq!(
        (metrics.decisions("counted"), metrics.decisions("not_page")),
        (10, 10)
    );
}

#[test]
fn rules_are_reloaded() {
    let mut stage = stage();
    let sidecar = stage.builder.start();
    stage.log.pages(0..2);
    super::await_lines(&sidecar, "decided", 2);
    sidecar.builder().set("pages.exclude", vec!["/page/**"]).write();
    sidecar.signal("HUP");
    sidecar.await_log("configuration reloaded");
    stage.log.pages(2..4);
    super::await_lines(&sidecar, "decided", 4);
    let metrics = sidecar.drained();
    assert_eq!(
        (metrics.decisions("counted"), metrics.decisions("excluded")),
        (2, 2)
    );
}
