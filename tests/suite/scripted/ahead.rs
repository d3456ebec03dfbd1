//! Pages that are fetched ahead.

use super::*;
use crate::support::client::PREFETCH;

/// A document by speculation rules, or prerendered.
fn ahead(path: &str, from: &str) -> Request {
    Request::get(path)
        .as_(PREFETCH)
        .from(VISITOR)
        .with("Referer", &url(from))
}

#[test]
fn a_page_that_is_fetched_ahead_counts_when_it_is_shown_and_once() {
    for way in BOTH {
        let stage = stage(&[], |b| b);
        let seen = stage.visit(
            way,
            &[
                page("/"),
                ahead("/a?utm_source=x", "/"),
                ahead("/b", "/"),
                // Of a page that is prerendered, and so not shown yet.
                style("/a?utm_source=x").with("Sec-Purpose", "prefetch;prerender"),
                style("/"),
                style("/a?utm_source=x"),
                style("/a?utm_source=x"),
                page("/c").with("Referer", &url("/a")),
            ],
        );
        assert_eq!(seen.pages(), ["/", "/a?utm_source=x", "/c"], "{way:?}");
        assert_eq!(seen.metrics.decisions("activated"), 1);
        assert_eq!(seen.metrics.decisions("prefetch"), 2);
    }
}

#[test]
fn a_page_that_is_asked_for_again_with_its_hints_counts_once() {
    let stage = stage(
        &[(
            "/h",
            "200 OK",
            "content-type: text/html\r\ncritical-ch: Sec-CH-UA-Model\r\n",
            "",
        )],
        |b| b,
    );
    let asked = || page("/h").with("Sec-CH-UA", "\"Chromium\";v=\"156\"");
    let again = || asked().with("Sec-CH-UA-Model", "\"\"");
    let seen = stage.visit(Way::Http1, &[asked(), again(), again()]);
    assert_eq!(seen.pages(), ["/h", "/h"]);
}

#[test]
fn the_next_navigation_is_a_sign_too_and_comes_after_the_page() {
    let stage = stage(&[], |b| b);
    let seen = stage.visit(
        Way::Http1,
        &[ahead("/a", "/"), page("/c").with("Referer", &url("/a"))],
    );
    assert_eq!(seen.pages(), ["/a", "/c"]);
    assert_eq!(seen.metrics.decisions("counted"), 1);
}

/// A click that does not wait for what is on its way.
#[test]
fn a_true_navigation_takes_the_place_of_what_is_being_fetched_ahead() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let stage = stage_of(
        |b| b,
        move |visit| {
            visit.body();
            if visit.head.get("sec-purpose").is_some() {
                // Until the test has gone on.
                let _ = gate.lock().unwrap().recv();
            }
            visit.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<!doctype html>",
            )?;
            Ok(Then::Keep)
        },
    );
    let link = fetch("/a", "/").with("Sec-Purpose", "prefetch");
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| stage.sidecar.client().ask(&link).status());
        crate::support::eventually("the prefetch", || match stage.app.seen().len() {
            1 => Ok(()),
            seen => Err(format!("{seen} requests")),
        });
        assert_eq!(stage.sidecar.client().ask(&page("/a")).status(), 200);
        open.send(()).unwrap();
        assert_eq!(fetched.join().unwrap(), 200);
    });
    assert_eq!(stage.sidecar.client().ask(&style("/a")).status(), 200);
    let metrics = stage.sidecar.settled(3);
    assert_eq!(metrics.decisions("activated"), 0);
    assert_eq!(stage.plausible.recorded().len(), 1);
}

/// instant.page fetches at the press of the button, and the click is sent first.
#[test]
fn what_is_fetched_ahead_after_its_own_click_is_no_second_view() {
    let stage = stage(&[], |b| b);
    let seen = stage.visit(
        Way::Http1,
        &[
            ahead("/a", "/"),
            page("/b"),
            ahead("/b", "/"),
            style("/b"),
            style("/a"),
        ],
    );
    assert_eq!(seen.pages(), ["/b", "/a"]);
}

/// Routers fetch ahead what comes into view, one after the other, and a click does not wait for its turn.
#[test]
fn what_a_script_fetches_ahead_after_its_own_click_is_no_second_view() {
    const COMPONENT: &str = "content-type: text/x-component\r\n";
    let stage = stage(
        &[
            ("/a", "200 OK", COMPONENT, "0:"),
            ("/b", "200 OK", COMPONENT, "0:"),
        ],
        |b| b,
    );
    let next = |target: &str| fetch(target, "/").with("RSC", "1").with("Next-Url", "/");
    let prefetch = |target: &str| next(target).with("Next-Router-Prefetch", "1");
    let seen = stage.visit(
        Way::Http1,
        &[
            next("/a"),
            prefetch("/a"),
            style("/a"),
            prefetch("/b"),
            next("/b"),
            style("/b"),
        ],
    );
    assert_eq!(seen.pages(), ["/a", "/b"]);
    assert_eq!(seen.metrics.decisions("activated"), 0);
}

/// Next.js again, recorded on a busy machine: the visitor went on before the late piece was here.
#[test]
fn what_is_fetched_ahead_late_is_no_second_view_though_its_visitor_goes_on_before_it_is_here() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let stage = stage_of(
        |b| b,
        move |visit| {
            visit.body();
            if visit.head.get("next-router-prefetch").is_some() {
                // Until the test has gone on.
                let _ = gate.lock().unwrap().recv();
            }
            visit.send("HTTP/1.1 200 OK\r\ncontent-type: text/x-component\r\ncontent-length: 2\r\n\r\n0:")?;
            Ok(Then::Keep)
        },
    );
    let next = |target: &str, from: &str| fetch(target, from).with("RSC", "1").with("Next-Url", from);
    let late = next("/a", "/").with("Next-Router-Prefetch", "1");
    let ask = |request: &Request| assert_eq!(stage.sidecar.client().ask(request).status(), 200);
    ask(&next("/a", "/"));
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| ask(&late));
        crate::support::eventually("the late piece", || match stage.app.seen().len() {
            2 => Ok(()),
            seen => Err(format!("{seen} requests")),
        });
        ask(&next("/b", "/a"));
        open.send(()).unwrap();
        fetched.join().unwrap();
    });
    ask(&style("/a"));
    let metrics = stage.sidecar.settled(4);
    assert_eq!(metrics.decisions("activated"), 0);
    assert_eq!(stage.plausible.recorded().len(), 2);
}

/// There and back again, faster than the first view is forgotten.
#[test]
fn what_is_fetched_ahead_once_its_visitor_has_gone_on_is_a_view_of_its_own() {
    let stage = stage(&[], |b| b);
    let turbo = |target: &str, from: &str| fetch(target, from).with("X-Turbo-Request-Id", "1");
    let hover = |target: &str, from: &str| turbo(target, from).with("X-Sec-Purpose", "prefetch");
    let seen = stage.visit(
        Way::Http1,
        &[
            hover("/x", "/"),
            page("/a").with("Referer", &url("/")),
            turbo("/b", "/a"),
            hover("/a", "/b"),
            style("/a"),
            ahead("/b", "/a"),
            style("/b"),
            page("/").with("Referer", &url("/b")),
            ahead("/b", "/"),
            style("/b"),
            // What comes after its own click.
            turbo("/c", "/b"),
            hover("/c", "/b"),
            style("/c"),
        ],
    );
    assert_eq!(seen.pages(), ["/a", "/b", "/a", "/b", "/", "/b", "/c"]);
}

/// As Firefox and Chromium were recorded: pages that were there before have their pictures, and all that tells of them is
/// what a resting pointer has Turbo fetch ahead. `WebKit` asks for nothing then, and the last page stays unknown.
#[test]
fn what_turbo_fetches_ahead_shows_the_page_that_it_comes_from() {
    let turbo = |target: &str, from: &str| fetch(target, from).with("X-Turbo-Request-Id", "1");
    let hover = |target: &str, from: &str| turbo(target, from).with("X-Sec-Purpose", "prefetch");
    let all_ahead = [
        page("/a"),
        hover("/b", "/a"),
        style("/b"),
        hover("/a", "/b"),
        hover("/b", "/a"),
    ];
    let some_clicked = [
        page("/a"),
        turbo("/b", "/a"),
        style("/b"),
        hover("/a", "/b"),
        hover("/b", "/a"),
    ];
    for requests in [all_ahead, some_clicked] {
        let silent = stage(&[], |b| b).visit(Way::Http1, &requests);
        assert_eq!(silent.pages(), ["/a", "/b", "/a"]);
        let mut requests = requests.to_vec();
        requests.push(hover("/a", "/b"));
        let seen = stage(&[], |b| b).visit(Way::Http1, &requests);
        assert_eq!(seen.pages(), ["/a", "/b", "/a", "/b"]);
    }
}

/// Chromium again, in another run: the click back came before the pointer had rested long enough.
#[test]
fn a_page_that_turbo_has_shown_ahead_counts_again_once_its_visitor_returns() {
    let stage = stage(&[], |b| b);
    let turbo = |target: &str, from: &str| fetch(target, from).with("X-Turbo-Request-Id", "1");
    let hover = |target: &str, from: &str| turbo(target, from).with("X-Sec-Purpose", "prefetch");
    let seen = stage.visit(
        Way::Http1,
        &[
            page("/a"),
            hover("/b", "/a"),
            style("/b"),
            hover("/a", "/b"),
            turbo("/b", "/a"),
            // Late, of the same page.
            hover("/b", "/b"),
            hover("/a", "/b"),
        ],
    );
    assert_eq!(seen.pages(), ["/a", "/b", "/a", "/b"]);
}

/// Turbo shows the address that it was asked for first, and then the one that it led to.
#[test]
fn what_is_fetched_ahead_over_a_redirect_is_shown_by_either_address() {
    let turbo = |target: &str| {
        fetch(target, "/")
            .with("X-Turbo-Request-Id", "1")
            .with("X-Sec-Purpose", "prefetch")
    };
    for (shown, pages) in [(["/old", "/new"], ["/old"]), (["/new", "/old"], ["/new"])] {
        let stage = stage(&[("/old", "302 Found", "location: /new\r\n", "")], |b| b);
        let signs = shown.map(style);
        let mut requests = vec![turbo("/old"), turbo("/new")];
        requests.extend(signs);
        assert_eq!(stage.visit(Way::Http1, &requests).pages(), pages);
    }
}

/// Astro asks again for what the browser has fetched ahead; unchanged, nothing of its body comes.
#[test]
fn what_was_fetched_ahead_and_is_unchanged_is_shown_by_a_scripts_fetch() {
    let stage = stage_of(
        |b| b,
        |visit| {
            visit.send(if visit.head.has("if-none-match") {
                "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n"
            })?;
            Ok(Then::Keep)
        },
    );
    let again = |path: &str| fetch(path, "/").with("If-None-Match", "\"1\"");
    let link = fetch("/a", "/").with("Sec-Purpose", "prefetch");
    let seen = stage.visit(Way::Http1, &[link, again("/a"), again("/b"), style("/a")]);
    assert_eq!(seen.pages(), ["/a"]);
}

#[test]
fn a_true_navigation_takes_the_place_of_what_was_fetched_ahead() {
    let stage = stage(&[], |b| b);
    let link = fetch("/a", "/").with("Sec-Purpose", "prefetch");
    let seen = stage.visit(Way::Http1, &[link, page("/a"), style("/a"), style("/a")]);
    assert_eq!(seen.pages(), ["/a"]);
    assert_eq!(seen.metrics.decisions("activated"), 0);
}

#[test]
fn another_visitor_a_failure_and_a_page_itself_activate_nothing() {
    let stage = stage(
        &[
            ("/gone", "404 Not Found", "content-type: text/html\r\n", ""),
            ("/moved", "302 Found", "location: /a\r\n", ""),
            ("/data", "200 OK", "content-type: application/json\r\n", "{}"),
        ],
        |b| b.set("pages.exclude", vec!["/out"]),
    );
    let mut requests: Vec<Request> = ["/gone", "/moved", "/data", "/out", "/self"]
        .iter()
        .map(|path| ahead(path, "/self"))
        .collect();
    requests.push(ahead("/other", "/"));
    requests.extend(["/gone", "/moved", "/data", "/out", "/self"].map(style));
    requests.push(
        Request::get("/style.css")
            .as_(FETCH)
            .from("203.0.113.99")
            .with("Referer", &url("/other")),
    );
    let seen = stage.visit(Way::Http1, &requests);
    assert_eq!(seen.pages(), [""; 0]);
    assert_eq!(seen.metrics.decisions("activated"), 0);
}

#[test]
fn what_scripts_fetch_ahead_counts_when_a_request_names_it() {
    let stage = stage(
        &[
            (
                "/n/_payload.json",
                "200 OK",
                "content-type: application/json\r\n",
                "{}",
            ),
            ("/x", "200 OK", "content-type: text/x-component\r\n", "0:"),
        ],
        |b| b,
    );
    let next = |target: &str, from: &str| {
        fetch(target, from)
            .with("RSC", "1")
            .with("Next-Router-Prefetch", "1")
            .with("Next-Url", from)
    };
    let turbo = fetch("/t", "/")
        .with("X-Turbo-Request-Id", "1")
        .with("X-Sec-Purpose", "prefetch");
    let seen = stage.visit(
        Way::Http1,
        &[
            page("/"),
            fetch("/n/_payload.json?1f", "/"),
            turbo,
            next("/x?_rsc=1", "/"),
            style("/n"),
            style("/t"),
            // The page `/x` fetches another one ahead, so it is shown.
            next("/y?_rsc=1", "/x"),
        ],
    );
    assert_eq!(seen.pages(), ["/", "/n", "/t", "/x"]);
    assert_eq!(seen.metrics.decisions("activated"), 3);
}

#[test]
fn a_link_that_is_pointed_at_and_then_clicked_is_one_view() {
    let stage = stage(&[], |b| b);
    let swup = |target: &str, from: &str| fetch(target, from).with("X-Requested-With", "swup");
    let seen = stage.visit(
        Way::Http1,
        &[
            swup("/a", "/"),
            swup("/a", "/"),
            swup("/a", "/"),
            swup("/b", "/a"),
            swup("/a", "/b"),
        ],
    );
    assert_eq!(seen.pages(), ["/a", "/b", "/a"]);
}

#[test]
fn the_configuration_may_skip_count_or_refuse() {
    let skip = stage(&[], |b| b.set("pages.prefetch", "skip"));
    let seen = skip.visit(Way::Http1, &[ahead("/a", "/"), style("/a")]);
    assert_eq!(seen.pages(), [""; 0]);

    let count = stage(&[], |b| b.set("pages.prefetch", "count"));
    let seen = count.visit(
        Way::Http1,
        &[
            ahead("/a", "/"),
            ahead("/b", "/"),
            page("/a"),
            style("/a"),
            page("/a"),
        ],
    );
    assert_eq!(seen.pages(), ["/a", "/b", "/a"]);

    for way in BOTH {
        let refuse = stage(&[], |b| b.set("pages.prefetch", "refuse"));
        let script = fetch("/t", "/")
            .with("X-Turbo-Request-Id", "1")
            .with("X-Sec-Purpose", "prefetch");
        let seen = refuse.visit(way, &[ahead("/a", "/"), script, page("/a"), style("/a")]);
        assert_eq!(seen.statuses, [503, 200, 200, 200], "{way:?}");
        assert_eq!(seen.pages(), ["/a"]);
        assert_eq!(refuse.app.seen().len(), 3);
    }
}

/// Of a page that is fetched ahead by `data-turbo-preload`, Turbo shows what it has and fetches it anew, both at once.
#[test]
fn what_turbo_shows_ahead_and_fetches_anew_is_one_view_whichever_comes_first() {
    let turbo = |target: &str, from: &str| fetch(target, from).with("X-Turbo-Request-Id", "1");
    for whole_first in [true, false] {
        let mut both = [style("/b"), turbo("/b", "/a")];
        if whole_first {
            both.reverse();
        }
        let preload = turbo("/b", "/a").with("X-Sec-Purpose", "prefetch");
        let [one, other] = both;
        let stage = stage(&[], |b| b);
        let seen = stage.visit(
            Way::Http1,
            &[page("/a"), preload, one, other, turbo("/c", "/b"), style("/c")],
        );
        assert_eq!(seen.pages(), ["/a", "/b", "/c"], "{whole_first}");
    }
}
