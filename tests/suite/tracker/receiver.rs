//! gatecount without an app: the tracker's paths alone.

use super::post;
use crate::support::{
    client::{Client, NAVIGATION, Request},
    http2::Http2,
    process::{Builder, run},
    receiver::Receiver,
};

#[test]
fn without_an_app_the_trackers_paths_are_answered_and_nothing_else_is() {
    let plausible = Receiver::start();
    let builder = Builder::aside()
        .telling(&plausible)
        .set("listen.http2", true)
        .set("pages.not_found", true)
        .set("tracker.event", "/api/event")
        .set("tracker.pixel", "/p.gif");
    builder.write();
    let file = builder.file();
    let checked = run(
        &[
            "check",
            "--config",
            file.to_str().unwrap(),
            "--domain",
            "example.com",
        ],
        "",
    );
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("only the tracker's paths are answered"), "{said}");

    let sidecar = builder.start();
    let http2 = Http2::over(std::net::TcpStream::connect(sidecar.address).unwrap()).unwrap();
    let page = Request::get("/").as_(NAVIGATION).from("203.0.113.7");
    let upload = Request::post("/upload", b"any body")
        .as_(NAVIGATION)
        .from("203.0.113.7");
    for request in [page, upload] {
        for response in [Client::to(sidecar.address).ask(&request), http2.ask(&request)] {
            assert_eq!(response.status(), 404, "{}", response.text());
            assert!(response.text().contains("there is nothing here"));
        }
    }
    let event = post("{\"n\":\"pageview\",\"u\":\"https://example.com/a\",\"d\":\"example.com\"}");
    assert_eq!(Client::to(sidecar.address).ask(&event).status(), 202);
    let pixel = Request::get("/p.gif?url=https%3A%2F%2Fexample.com%2Fb")
        .as_(crate::support::client::IMAGE)
        .from("203.0.113.7");
    assert_eq!(http2.ask(&pixel).status(), 200);
    let metrics = sidecar.await_metrics("six decisions", |metrics| metrics.decided() == 6);
    assert_eq!(metrics.decisions("not_found"), 4);
    assert_eq!(metrics.decisions("dedicated"), 2);
    assert_eq!(
        metrics.offered(),
        2,
        "a page that is not there is no event either"
    );
    assert_eq!(plausible.await_recorded(1)[0].text("u"), "https://example.com/a");
    assert_eq!(metrics.metric("gatecount_app_errors_total").value(), 0);
}
