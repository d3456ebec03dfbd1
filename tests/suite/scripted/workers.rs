//! Pages that a service worker takes part in: it may have asked for them before, and may ask for them again while it
//! shows what it has.

use super::*;

/// A worker keeps this page for later.
fn kept(path: &str) -> Request {
    fetch(path, "/worker.js")
}

/// A worker fetches the page that the browser goes to.
fn by_worker(path: &str) -> Request {
    let fields = &[
        ("User-Agent", CHROME),
        ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "empty"),
    ];
    Request::get(path)
        .as_(fields)
        .from(VISITOR)
        .with("Referer", &url("/"))
}

/// The browser asks while the worker starts.
fn preload(path: &str) -> Request {
    page(path)
        .with("Service-Worker-Navigation-Preload", "true")
        .with("Referer", &url("/"))
}

/// The browser asks itself, having given the worker up.
fn fallback(path: &str) -> Request {
    let fields = &[
        ("User-Agent", CHROME),
        ("Accept", "*/*"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    Request::get(path)
        .as_(fields)
        .from(VISITOR)
        .with("Referer", &url("/"))
}

/// It answers with what it has, and fetches the page behind that.
#[test]
fn a_page_that_a_worker_has_and_fetches_behind_is_one_view_in_any_order() {
    for requests in [
        vec![style("/a"), by_worker("/a")],
        vec![by_worker("/a"), style("/a")],
        vec![style("/a"), preload("/a"), by_worker("/a")],
        vec![preload("/a"), style("/a"), by_worker("/a")],
        vec![preload("/a"), by_worker("/a"), style("/a")],
        vec![by_worker("/a"), style("/a"), preload("/a")],
        vec![style("/a"), fallback("/a")],
        vec![preload("/a"), by_worker("/a"), fallback("/a"), style("/a")],
        vec![preload("/a"), fallback("/a"), by_worker("/a")],
        vec![fallback("/a"), by_worker("/a")],
    ] {
        for way in BOTH {
            let stage = stage(&[], |b| b);
            let mut all = vec![kept("/a")];
            all.extend(requests.iter().cloned());
            // The next visit of the page is another view.
            all.push(by_worker("/a"));
            assert_eq!(
                stage.visit(way, &all).pages(),
                ["/a", "/a"],
                "{way:?} {requests:#?}"
            );
        }
    }
}

/// What is fetched behind may fail, or be as it was.
#[test]
fn a_page_that_a_worker_has_counts_whatever_comes_behind() {
    let stage = stage(
        &[
            ("/same", "304 Not Modified", "etag: \"1\"\r\n", ""),
            (
                "/broken",
                "500 Internal Server Error",
                "content-type: text/html\r\n",
                "",
            ),
        ],
        |b| b,
    );
    let seen = stage.visit(
        Way::Http1,
        &[
            kept("/a"),
            style("/a"),
            by_worker("/same"),
            by_worker("/broken"),
            // A browser's own request is never the worker's second one.
            page("/a"),
        ],
    );
    assert_eq!(seen.pages(), ["/a", "/same", "/a"]);
}
