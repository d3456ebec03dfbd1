//! A real browser's visit: what a page's script, form and WebSocket do reaches the app and comes back, and
//! the visit is one page view.

use serde_json::{Value, json};

use crate::support::{
    chromium::{self, Chromium},
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::Receiver,
    skip,
    tls::{Authority, NAMES},
};

#[test]
fn a_page_works_and_is_counted_once() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let app = Origin::start(origin::playground());
    let plausible = Receiver::start();
    let sidecar = before(&app, &plausible).start();
    let url = url("http", &sidecar);
    assert_played(&chromium.dom(&url));
    assert_counted(&plausible, &sidecar, &url);
}

#[test]
fn a_page_works_over_tls_with_everything_in_http2() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let (app, plausible, authority) = (
        Origin::start(origin::playground()),
        Receiver::start(),
        Authority::new(),
    );
    let sidecar = before(&app, &plausible)
        .tls(&authority.pair("gatecount", &NAMES))
        .start();
    let url = url("https", &sidecar);
    assert_played(&chromium.dom(&url));
    assert_counted(&plausible, &sidecar, &url);
    let seen = app.seen();
    assert_eq!(seen.len(), REQUESTS);
    for request in seen {
        // HTTP/1.1 has it with capitals.
        let name = request
            .head
            .fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
        assert_eq!(
            name.map(|(name, _)| name.as_str()),
            Some("user-agent"),
            "{:?}",
            request.head
        );
        assert_eq!(request.head.get("x-forwarded-proto"), Some("https"));
    }
}

/// The browser's address, which is loopback's, is a visitor's here.
fn before(app: &Origin, plausible: &Receiver) -> Builder {
    Builder::before(app)
        .telling(plausible)
        .set("client.trusted_proxies", vec!["127.0.0.2"])
}

fn url(scheme: &str, sidecar: &Sidecar) -> String {
    format!("{scheme}://{}:{}/", chromium::HOST, sidecar.address.port())
}

/// All that the page tried came out as it should.
#[track_caller]
fn assert_played(dom: &str) {
    let results = dom
        .split_once("<pre id=\"results\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .map(|(json, _)| json.replace("&amp;", "&"));
    let results = results.unwrap_or_else(|| panic!("no results in {dom}"));
    let results: Value = serde_json::from_str(&results).unwrap_or_else(|e| panic!("{e} in {dom}"));
    let expected = json!({
        "fetch": {"method": "PUT", "target": "/data?n=1", "body": "ping", "asked_by": "script"},
        "download": {"length": 1_000_000, "sum": origin::file_sum()},
        "form": "word=Gr%C3%BC%C3%9Fe+%26+more&number=7",
        "websocket": {"heard": ["hello", 100_000], "code": 1000},
    });
    assert_eq!(results, expected);
}

/// The requests of a visit: the page, what its script does, and what holds and releases its loading.
const REQUESTS: usize = 7;

/// The visit is one page view, and nothing else that the page did is.
#[track_caller]
fn assert_counted(plausible: &Receiver, sidecar: &Sidecar, url: &str) {
    sidecar.settled(REQUESTS);
    plausible.assert_strict();
    let events = plausible.recorded();
    let urls: Vec<&str> = events.iter().map(|event| event.text("url")).collect();
    assert_eq!(urls, [url]);
}
