//! An app that fails: a short plain answer that names no app, counted, and logged once.

use super::{assert_short, before};
use crate::support::{
    client::{NAVIGATION, Request},
    origin::{self, Origin},
    process::Builder,
};

#[test]
fn no_app_is_502_told_plainly_and_counted() {
    let gone = Origin::start(origin::pages).url();
    let sidecar = Builder::before_url(&gone).start();
    let response = sidecar
        .client()
        .ask(&Request::get("/secret-path?token=x").as_(NAVIGATION));
    assert_short(&response, 502);
    sidecar.await_metrics("an app error", |m| {
        m.metric("gatecount_app_errors_total").value() == 1
    });
    let metrics = sidecar.await_metrics("a response", |m| {
        m.metric("gatecount_requests_total").value() == 1
    });
    assert_eq!(
        metrics
            .metric("gatecount_requests_total")
            .label("code", "5xx")
            .value(),
        1
    );
    let line = sidecar.await_log("502");
    assert!(!line.contains("token"), "a query in the log: {line}");
}

#[test]
fn a_slow_app_is_504() {
    let app = Origin::start(origin::never_answers);
    let sidecar = Builder::before(&app).set("app.response_timeout", "200ms").start();
    assert_short(&sidecar.client().ask(&Request::get("/")), 504);
    sidecar.await_metrics("an app error", |m| {
        m.metric("gatecount_app_errors_total").value() == 1
    });
    assert_eq!(app.seen().len(), 1, "a request that timed out was sent again");
}

#[test]
fn an_app_that_resets_is_502() {
    let app = Origin::resets_at_accept();
    let sidecar = before(&app);
    assert_short(&sidecar.client().ask(&Request::get("/")), 502);
}

#[test]
fn an_app_that_talks_no_http_is_502() {
    for babble in [
        "SSH-2-OpenSSH_9.2\r\n",
        "HTTP/1.1 banana\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
        "",
    ] {
        let app = Origin::start(origin::says(babble));
        let sidecar = before(&app);
        assert_short(&sidecar.client().ask(&Request::get("/")), 502);
    }
}
