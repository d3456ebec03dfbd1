//! Soft navigations.

use super::*;

const TURBO: (&str, &str) = ("X-Turbo-Request-Id", "5b1f");

fn turbo(target: &str, from: &str) -> Request {
    fetch(target, from).with(TURBO.0, TURBO.1)
}

fn htmx(method: &str, target: &str, from: &str) -> Request {
    Request::new(method, target)
        .as_(FETCH)
        .from(VISITOR)
        .with("Referer", &url(from))
        .with("HX-Request", "true")
        .with("HX-Current-URL", &url(from))
}

#[test]
fn a_soft_navigation_is_a_page_view_with_its_url_and_referrer() {
    for way in BOTH {
        let stage = stage(
            &[(
                "/stream",
                "200 OK",
                "content-type: text/vnd.turbo-stream.html\r\n",
                "",
            )],
            |b| b,
        );
        let seen = stage.visit(
            way,
            &[
                page("/"),
                turbo("/a?utm_source=x&secret=1", "/?secret=2"),
                turbo("/a", "/a"),
                turbo("/frame", "/a").with("Turbo-Frame", "f"),
                turbo("/stream", "/a"),
            ],
        );
        assert_eq!(seen.pages(), ["/", "/a?utm_source=x"], "{way:?}");
        assert_eq!(seen.bodies[1]["referrer"], url("/"));
        assert_eq!(seen.metrics.decisions("soft_navigation"), 1);
        assert_eq!(seen.metrics.decisions("not_page"), 3);
    }
}

/// Turbo fetches a page, finds that the site is another version by now, and has the browser load it.
#[test]
fn a_page_that_a_script_fetched_and_the_browser_then_loads_is_one_view() {
    for way in BOTH {
        let stage = stage(&[], |b| b);
        let load = |path: &str, from: &str| page(path).with("Referer", &url(from));
        let seen = stage.visit(
            way,
            &[
                turbo("/b?x=1", "/a"),
                load("/b?x=1", "/a"),
                load("/b?x=1", "/a"),
                // A reload has the referrer of the document, which is not the page before.
                turbo("/c", "/a"),
                load("/c", "/"),
                // Another page.
                turbo("/d", "/c"),
                load("/e", "/c"),
            ],
        );
        let pages = ["/b", "/b", "/c", "/c", "/d", "/e"];
        assert_eq!(seen.pages(), pages, "{way:?}");
    }
}

#[test]
fn they_are_left_out_where_the_configuration_says_so() {
    let off = stage(&[], |b| b.set("pages.soft_navigations", false));
    let seen = off.visit(Way::Http1, &[page("/"), turbo("/a", "/")]);
    assert_eq!(seen.pages(), ["/"]);
    let excluded = stage(&[], |b| b.set("pages.exclude", vec!["/a"]));
    let seen = excluded.visit(Way::Http1, &[turbo("/a", "/"), turbo("/b", "/")]);
    assert_eq!(seen.pages(), ["/b"]);
    assert_eq!(seen.metrics.decisions("excluded"), 1);
}

#[test]
fn where_htmx_is_sent_its_next_request_is_a_page_once() {
    let stage = stage(
        &[(
            "/save",
            "200 OK",
            "content-type: text/html\r\nhx-location: /done?x\r\n",
            "",
        )],
        |b| b,
    );
    let seen = stage.visit(
        Way::Http1,
        &[
            page("/form"),
            htmx("POST", "/save", "/form"),
            htmx("GET", "/done?x", "/form"),
            htmx("GET", "/done?x", "/form"),
            htmx("GET", "/part", "/form"),
        ],
    );
    assert_eq!(seen.pages(), ["/form", "/done"]);
    assert_eq!(seen.metrics.decisions("soft_navigation"), 1);
}

#[test]
fn what_the_app_pushes_is_the_page() {
    let stage = stage(
        &[(
            "/search",
            "200 OK",
            "content-type: text/html\r\nhx-push-url: /found?ref=a\r\n",
            "<p>",
        )],
        |b| b,
    );
    let seen = stage.visit(Way::Http1, &[htmx("POST", "/search", "/")]);
    assert_eq!(seen.pages(), ["/found?ref=a"]);
}

#[test]
fn an_actions_redirect_counts_once_however_its_page_is_fetched() {
    let stage = stage(
        &[
            (
                "/form",
                "303 See Other",
                "x-action-redirect: /thanks;push\r\n",
                "",
            ),
            ("/thanks", "200 OK", "content-type: text/x-component\r\n", "0:"),
        ],
        |b| b,
    );
    let action = Request::post("/form", b"a")
        .as_(FETCH)
        .from(VISITOR)
        .with("Referer", &url("/form"))
        .with("Next-Action", "1f");
    let follow = fetch("/thanks?_rsc=1", "/form")
        .with("RSC", "1")
        .with("Next-Url", "/form");
    let seen = stage.visit(Way::Http1, &[action, follow]);
    assert_eq!(seen.pages(), ["/thanks"]);
    assert_eq!(seen.metrics.decisions("soft_navigation"), 1);
    assert_eq!(seen.metrics.decisions("not_page"), 1);
}

#[test]
fn the_apps_own_words_hold_for_soft_navigations_too() {
    let stage = stage(
        &[
            (
                "/off",
                "200 OK",
                "content-type: text/html\r\ngatecount-page: off\r\n",
                "",
            ),
            (
                "/b.data",
                "200 OK",
                "content-type: text/x-script\r\ngatecount-event: {\"name\": \"B\"}\r\n",
                "",
            ),
        ],
        |b| b,
    );
    let seen = stage.visit(Way::Http1, &[turbo("/off", "/"), fetch("/b.data", "/")]);
    let expected = [("pageview", url("/b")), ("B", url("/b"))];
    let expected = expected.map(|(name, url)| (name.to_owned(), url));
    assert_eq!(seen.events, expected);
    assert_eq!(seen.metrics.decisions("suppressed"), 1);
}

#[test]
fn masked_paths_and_ignored_clients_leave_nothing_behind() {
    let stage = stage(&[], |b| {
        b.set("pages.mask", vec!["/reset/*"])
            .set("pages.ignore_clients", vec!["198.51.100.0/24"])
    });
    let office = Request::get("/office").as_(NAVIGATION).from("198.51.100.9");
    let seen = stage.visit(
        Way::Http1,
        &[
            page("/reset/s3cret"),
            page("/next").with("Referer", &url("/reset/s3cret?x")),
            turbo("/reset/t0ken", "/next"),
            office,
        ],
    );
    assert_eq!(seen.pages(), ["/reset/*", "/next", "/reset/*"]);
    assert_eq!(seen.bodies[1]["referrer"], url("/reset/*"));
    assert_eq!(seen.metrics.decisions("excluded"), 1);
}
