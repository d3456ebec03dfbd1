//! `[[events]]`.

use serde_json::json;

use super::{BOTH, VISITOR, event, stage};
use crate::support::{
    client::{CHROME, FETCH, GOOGLEBOT, NAVIGATION, Request},
    process::Builder,
};

const ANSWERS: &[(&str, &str, &str)] = &[
    ("/signup", "303 See Other", "location: /thanks\r\n"),
    ("/signup-failed", "422 Unprocessable Content", ""),
    ("/posts/off", "200 OK", "Gatecount-Page: off\r\n"),
    (
        "/posts/named",
        "200 OK",
        "Gatecount-Page: {\"url\": \"/posts\"}\r\n",
    ),
];

fn configured(builder: Builder) -> Builder {
    builder.set(
        "events",
        vec![
            event(
                r#"
                name = "Signup"
                method = "POST"
                path = "/signup*"
                status = ["303"]
                props = { plan = "{query.plan}", at = "{host}{path} {status}", by = "{header.user-agent}", none = "{query.none}" }
                revenue = { currency = "EUR", amount = "{query.total}" }
                interactive = false
                "#,
            ),
            event(
                r#"
                name = "Post"
                path = "/posts/{slug}"
                props = { slug = "{capture.slug}" }
                "#,
            ),
        ],
    )
}

#[test]
fn a_request_that_a_rule_takes_is_an_event() {
    for way in BOTH {
        let stage = stage(ANSWERS, configured);
        let post = |target: &str| Request::post(target, b"a=1").as_(FETCH).from(VISITOR);
        let outcome = stage.visit(
            way,
            &[
                post("/signup?plan=pro%20plus&total=12.50"),
                post("/signup-failed"),
                Request::get("/signup").as_(FETCH).from(VISITOR),
                post("/other"),
            ],
        );
        assert_eq!(outcome.events.len(), 1, "{way:?}: {:?}", outcome.events);
        assert_eq!(
            *outcome.body(0),
            json!({
                "name": "Signup",
                "url": "http://example.com/signup",
                "domain": "example.com",
                "props": {"plan": "pro plus", "at": "example.com/signup 303", "by": CHROME},
                "revenue": {"currency": "EUR", "amount": "12.50"},
                "interactive": false,
            }),
            "{way:?}"
        );
        assert_eq!(outcome.offered("rule"), 1);
        assert_eq!(outcome.metrics.decisions("not_page"), 4);
    }
}

#[test]
fn a_rules_event_is_besides_the_page_view_and_after_it() {
    for way in BOTH {
        let stage = stage(ANSWERS, configured);
        let page = |path: &str| Request::get(path).as_(NAVIGATION).from(VISITOR);
        let outcome = stage.visit(
            way,
            &[
                page("/posts/caf%C3%A9"),
                page("/posts/off"),
                page("/posts/named"),
                page("/posts/"),
                Request::get("/posts/bot").as_(GOOGLEBOT).from(VISITOR),
            ],
        );
        let url = |path: &str| format!("http://example.com{path}");
        assert_eq!(
            outcome.named(),
            [
                ("pageview", url("/posts/caf%C3%A9").as_str()),
                ("Post", &url("/posts/caf%C3%A9")),
                ("pageview", &url("/posts")),
                ("Post", &url("/posts")),
                ("pageview", &url("/posts/")),
            ],
            "{way:?}"
        );
        assert_eq!(outcome.body(1)["props"], json!({"slug": "café"}));
        assert_eq!(outcome.body(3)["props"], json!({"slug": "named"}));
        assert_eq!((outcome.offered("page"), outcome.offered("rule")), (3, 2));
    }
}

/// What gatecount answers itself, where the app fails, is the response that the visitor got.
#[test]
fn a_status_of_gatecounts_own_counts_too() {
    let plausible = crate::support::receiver::Receiver::start();
    let sidecar = Builder::before_url("http://127.0.0.1:9")
        .telling(&plausible)
        .set(
            "events",
            vec![event("name = \"Down\"\npath = \"/**\"\nstatus = [\"5xx\"]")],
        )
        .start();
    let mut client = sidecar.client();
    let response = client.ask(&Request::get("/a").as_(NAVIGATION).from(VISITOR));
    assert_eq!(response.status(), 502);
    sidecar.settled(1);
    let events = plausible.recorded();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].text("name"), events[0].text("url")),
        ("Down", "http://example.com/a")
    );
}

/// A path is the visitor's, also where a proxy in front has cut off its start.
#[test]
fn a_rules_path_is_the_visitors() {
    for way in BOTH {
        let stage = stage(ANSWERS, |builder| {
            builder.set(
                "events",
                vec![event(
                    "name = \"Item\"\npath = \"/shop/{item}\"\nprops = { item = \"{capture.item}\" }",
                )],
            )
        });
        let cut_off = |target: &str| {
            Request::get(target)
                .as_(FETCH)
                .from(VISITOR)
                .with("X-Forwarded-Prefix", "/shop")
        };
        let outcome = stage.visit(
            way,
            &[cut_off("/7?a=1"), Request::get("/7").as_(FETCH).from(VISITOR)],
        );
        assert_eq!(outcome.events.len(), 1, "{way:?}: {:?}", outcome.events);
        assert_eq!(
            *outcome.body(0),
            json!({
                "name": "Item",
                "url": "http://example.com/shop/7",
                "domain": "example.com",
                "props": {"item": "7"},
            }),
            "{way:?}"
        );
    }
}
