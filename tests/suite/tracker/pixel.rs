//! The pixel is an image, and a page view of the page that shows it.

use super::Stage;
use crate::support::{
    client::{CHROME, GOOGLEBOT, IMAGE, Request},
    message::Response,
};

fn stage() -> Stage {
    Stage::with(|builder| {
        builder
            .set("tracker.pixel", "/p.gif")
            .site(&["example.com", "*.example.com"], &["example.com"])
            .site(&["b.example"], &["b.example"])
    })
}

fn pixel(query: &str, referer: Option<&str>) -> Request {
    let request = Request::get(&format!("/p.gif{query}"))
        .as_(IMAGE)
        .from("203.0.113.7");
    match referer {
        Some(referer) => request.with("Referer", referer),
        None => request,
    }
}

#[track_caller]
fn assert_image(response: &Response) {
    assert_eq!(response.status(), 200);
    assert_eq!(response.head.get("content-type"), Some("image/gif"));
    assert_eq!(response.head.get("cache-control"), Some("no-store"));
    assert_eq!(response.body.len(), 43);
    assert!(response.body.starts_with(b"GIF89a\x01\x00\x01\x00") && response.body.ends_with(b"\x3b"));
}

#[test]
fn its_request_is_a_view_of_the_referers_page_or_of_the_one_it_names() {
    let stage = stage();
    let referer = Some("https://www.example.com/a?utm_source=x&token=secret");
    let url = "?url=https%3A%2F%2Fb.example%2Fpost%3Fref%3Dfeed";
    for request in [pixel("", referer), pixel(url, None), pixel(url, referer)] {
        for response in stage.ask(&request) {
            assert_image(&response);
        }
    }
    let metrics = stage.sidecar.settled(6);
    assert_eq!(metrics.decisions("dedicated"), 6);
    let offered = metrics.metric("gatecount_events_offered_total");
    assert_eq!(offered.label("source", "tracker").value(), 6);
    let seen: Vec<(String, String, String)> = stage
        .plausible
        .recorded()
        .iter()
        .map(|event| {
            assert_eq!(event.text("name"), "pageview");
            assert_eq!(event.body.get("referrer"), None);
            (
                event.text("url").to_owned(),
                event.text("domain").to_owned(),
                event.visitor().0,
            )
        })
        .collect();
    let view = |url: &str, domain: &str| (url.to_owned(), domain.to_owned(), "203.0.113.7".to_owned());
    let own = view("https://www.example.com/a?utm_source=x", "example.com");
    let named = view("https://b.example/post?ref=feed", "b.example");
    assert_eq!(
        seen,
        [&own, &own, &named, &named, &named, &named].map(Clone::clone)
    );
    stage.plausible.assert_strict();
    assert_eq!(stage.app.connections(), 0);
}

#[test]
fn what_is_no_view_is_an_image_all_the_same() {
    let stage = Stage::with(|builder| {
        builder
            .set("tracker.pixel", "/p.gif")
            .set("pages.respect_gpc", true)
            .set("pages.exclude", vec!["/admin/**"])
            .site(&["example.com"], &["example.com"])
    });
    let page = Some("https://example.com/a");
    let bot = Request::get("/p.gif")
        .as_(GOOGLEBOT)
        .with("Referer", "https://example.com/a")
        .from("203.0.113.7");
    for request in [
        pixel("", None),
        pixel("", Some("https://elsewhere.example/")),
        pixel("?url=https%3A%2F%2Felsewhere.example%2F", page),
        pixel("?url=nonsense", page),
        pixel("", Some("https://example.com/admin/users")),
        pixel("", page).with("Sec-GPC", "1"),
        pixel("", page).with("Sec-Purpose", "prefetch"),
        bot,
    ] {
        assert_image(&stage.ask_http1(&request));
    }
    let head = Request::new("HEAD", "/p.gif")
        .with("User-Agent", CHROME)
        .with("Referer", "https://example.com/a")
        .from("203.0.113.7");
    for response in stage.ask(&head) {
        assert_eq!(response.status(), 200);
        assert_eq!(response.head.get("content-length"), Some("43"));
        assert_eq!(response.body.len(), 0);
    }
    let post = Request::post("/p.gif", b"").as_(IMAGE);
    let response = stage.ask_http1(&post);
    assert_eq!(response.status(), 405);
    assert_eq!(response.head.get("allow"), Some("GET, HEAD"));
    let metrics = stage.sidecar.settled(11);
    assert_eq!(metrics.decisions("dedicated"), 11);
    assert_eq!(metrics.offered(), 0);
}

#[test]
fn it_counts_where_pages_that_are_served_do_not() {
    let stage = Stage::with(|builder| builder.set("tracker.pixel", "/p.gif").set("pages.count", "never"));
    assert_image(&stage.ask_http1(&pixel("", Some("http://example.com/feed"))));
    assert_eq!(
        stage.plausible.await_recorded(1)[0].text("url"),
        "http://example.com/feed"
    );
}

#[test]
fn a_flood_of_it_is_bounded_too() {
    let stage = stage();
    let mut client = crate::support::client::Client::to(stage.sidecar.address);
    let request = pixel("", Some("https://example.com/a"));
    let refused = (0..4_000)
        .map(|_| client.ask(&request))
        .filter(|response| response.status() == 429)
        .count();
    assert!(refused > 0, "4000 at once were taken");
    let offered = stage.sidecar.settled(4_000).offered();
    assert_eq!(offered, 4_000 - refused as u64);
}
