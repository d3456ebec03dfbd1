//! The real tracker in a real browser, first-party through the sidecar: what it does reaches Plausible as it
//! was sent.

use std::{
    io,
    sync::{Arc, Condvar, Mutex},
};

use serde_json::{Value, json};

use crate::support::{
    chromium::{self, Chromium},
    client::CHROME,
    eventually,
    origin::{Origin, Then, Visit},
    process::Builder,
    receiver::Receiver,
    skip,
};

/// The script of the npm package `@plausible-analytics/tracker`, an ES module.
const MODULE: &str = include_str!("../../corpus/tracker/tracker-0.4.6.js");

/// Counts a page view and a custom event, and goes to another page. The browser waits for its picture, which
/// does not come before all is over.
const FIRST: &str = r#"<!doctype html><title>First</title><body style="height:3000px">
<script type="module">
import {init, track} from "/js/script.js";
init({domain: "example.com", endpoint: "/api/event", captureOnLocalhost: true});
track("Signup", {props: {plan: "große", n: 7}, revenue: {currency: "EUR", amount: 12.5}, interactive: false,
    callback: () => { location.href = "/second"; }});
</script>
<img src="/hold?first">"#;

const SECOND: &str = r#"<!doctype html><title>Second</title>
<script type="module">
import {init} from "/js/script.js";
init({domain: "example.com", endpoint: "/api/event", captureOnLocalhost: true});
</script>
<img src="/hold?second">"#;

#[test]
fn page_views_custom_events_and_engagement_reach_plausible_as_they_were_sent() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let app = Origin::start({
        let done = Arc::clone(&done);
        move |visit: &mut Visit| -> io::Result<Then> {
            match visit.head.target() {
                "/" => visit.answer("text/html; charset=utf-8", FIRST.as_bytes())?,
                "/second" => visit.answer("text/html; charset=utf-8", SECOND.as_bytes())?,
                target if target.starts_with("/hold") => {
                    let (is_done, changed) = &*done;
                    let mut is_done = is_done.lock().unwrap();
                    while !*is_done {
                        is_done = changed.wait(is_done).unwrap();
                    }
                    visit.answer("image/png", b"")?;
                }
                _ => visit.answer("text/plain", b"")?,
            }
            Ok(Then::Keep)
        }
    });
    let upstream = Origin::start(|visit: &mut Visit| -> io::Result<Then> {
        visit.answer("application/javascript", MODULE.as_bytes())?;
        Ok(Then::Keep)
    });
    let plausible = Receiver::start();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("client.trusted_proxies", vec!["127.0.0.2"])
        .set("pages.count", "never")
        .set("tracker.source", format!("{}/js/pa-1.js", upstream.url()))
        .start();
    let url = format!("http://{}:{}/", chromium::HOST, sidecar.address.port());
    std::thread::scope(|scope| {
        let browsing = scope.spawn(|| chromium.dom(&url));
        // The first page's view, its event, the engagement on leaving it, and the second page's view.
        let arrived = eventually("four events", || match plausible.recorded() {
            events if events.len() >= 4 => Ok(events),
            events => Err(format!("{events:?}")),
        });
        let (is_done, changed) = &*done;
        *is_done.lock().unwrap() = true;
        changed.notify_all();
        browsing.join().unwrap();
        assert_arrived(&arrived, &url);
    });
    plausible.assert_strict();
}

fn assert_arrived(arrived: &[crate::support::receiver::Arrival], url: &str) {
    // The browser sends the first two at once, over two connections, so either may come first.
    let by_name = |name: &str, path: &str| -> &Value {
        let page = format!("{url}{path}");
        let found = arrived
            .iter()
            .find(|event| event.text("n") == name && event.text("u") == page);
        &found
            .unwrap_or_else(|| panic!("no {name} of {page}: {arrived:?}"))
            .body
    };
    assert_eq!(by_name("pageview", "")["d"], "example.com");
    assert_eq!(by_name("pageview", "")["v"], 36);
    let signup = by_name("Signup", "");
    assert_eq!(signup["p"], json!({"plan": "große", "n": 7}));
    assert_eq!(signup["$"], json!({"currency": "EUR", "amount": 12.5}));
    assert_eq!(
        (&signup["i"], &signup["interactive"]),
        (&json!(false), &json!(false))
    );
    let engagement = by_name("engagement", "");
    assert!(
        engagement["e"].is_u64() && engagement["sd"].is_u64(),
        "{engagement}"
    );
    assert_eq!(by_name("pageview", "second")["r"], url);
    for event in arrived {
        let raw = &event.raw;
        assert!(raw.starts_with("{\"n\":"), "as the tracker writes it: {raw}");
        assert_eq!(event.visitor(), ("127.0.0.1".to_owned(), CHROME.to_owned()));
    }
}
