use httparse::Header;

use super::*;
use crate::exchange::{Request, Response};

const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// The decision about a request with these fields (and a browser's user agent, where none is given) and this response.
fn decide(
    rules: &Rules,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    status: u16,
    kind: &str,
) -> Verdict {
    let mut lines: Vec<Header<'_>> = fields
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    if !fields.iter().any(|(n, _)| *n == "user-agent") {
        lines.push(Header {
            name: "user-agent",
            value: CHROME.as_bytes(),
        });
    }
    let request = Request::read(method, target, &lines);
    match ahead(rules, &request, true, true) {
        Ahead::Settled(verdict) => verdict,
        Ahead::Open(candidate) => {
            let head = [Header {
                name: "content-type",
                value: kind.as_bytes(),
            }];
            verdict(rules, &candidate, &Response::read(status, &head))
        }
    }
}

const NAVIGATION: [(&str, &str); 3] = [
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("accept", HTML),
];

#[test]
fn the_requests_signs_are_read_as_the_table_says() {
    let rules = Rules::default();
    let dest = |d, m, a| [("sec-fetch-dest", d), ("sec-fetch-mode", m), ("accept", a)];
    let accept = |a| [("accept", a)];
    let cases: &[(&str, &[(&str, &str)], &str)] = &[
        ("GET", &NAVIGATION, "counted"),
        ("POST", &NAVIGATION, "counted"),
        ("HEAD", &NAVIGATION, "not_page"),
        ("PUT", &NAVIGATION, "not_page"),
        ("GET", &dest("iframe", "navigate", HTML), "not_page"),
        ("GET", &dest("frame", "navigate", HTML), "not_page"),
        ("GET", &dest("embed", "navigate", HTML), "not_page"),
        ("GET", &dest("object", "navigate", HTML), "not_page"),
        ("GET", &dest("image", "no-cors", "image/*"), "not_page"),
        ("GET", &dest("script", "no-cors", "*/*"), "not_page"),
        ("GET", &dest("font", "cors", "*/*"), "not_page"),
        ("GET", &dest("document", "cors", HTML), "not_page"),
        ("GET", &dest("empty", "navigate", HTML), "counted"),
        ("GET", &dest("empty", "navigate", "*/*"), "download"),
        ("GET", &dest("empty", "cors", HTML), "not_page"),
        ("GET", &dest("empty", "same-origin", "*/*"), "not_page"),
        ("GET", &accept(HTML), "counted"),
        ("GET", &accept("application/xhtml+xml"), "counted"),
        ("GET", &accept("*/*"), "not_page"),
        ("GET", &[], "not_page"),
        (
            "GET",
            &[("accept", HTML), ("x-requested-with", "XMLHttpRequest")],
            "not_page",
        ),
        ("GET", &[("accept", HTML), ("range", "bytes=0-")], "not_page"),
        (
            "GET",
            &[("accept", HTML), ("sec-fetch-mode", "navigate")],
            "counted",
        ),
        ("GET", &[("accept", HTML), ("sec-fetch-mode", "cors")], "not_page"),
        (
            "GET",
            &[("accept", HTML), ("sec-purpose", "prefetch;prerender")],
            "prefetch",
        ),
        ("GET", &[("accept", HTML), ("purpose", "prefetch")], "prefetch"),
        ("GET", &[("accept", HTML), ("x-moz", "prefetch")], "prefetch"),
        (
            "GET",
            &[
                ("sec-fetch-dest", "empty"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-purpose", "prefetch"),
            ],
            "prefetch",
        ),
        (
            "GET",
            &[
                ("sec-fetch-dest", "image"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-purpose", "prefetch"),
            ],
            "not_page",
        ),
        ("GET", &[("accept", HTML), ("user-agent", "curl/8.1")], "bot"),
        ("GET", &[("accept", HTML), ("user-agent", "")], "bot"),
        (
            "GET",
            &[
                ("accept", HTML),
                ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)"),
            ],
            "bot",
        ),
    ];
    for (method, fields, expected) in cases {
        let verdict = decide(&rules, method, "/a", fields, 200, "text/html; charset=utf-8");
        assert_eq!(
            verdict.decision.label(),
            *expected,
            "{method} {fields:?}: {}",
            verdict.why
        );
        assert_eq!(
            verdict.event.is_some(),
            *expected == "counted",
            "{method} {fields:?}"
        );
    }
}

#[test]
fn the_responses_signs_are_read_as_the_table_says() {
    let rules = Rules::default();
    for (method, status, kind, expected) in [
        ("GET", 200, "text/html", "counted"),
        ("GET", 203, "application/xhtml+xml", "counted"),
        ("GET", 200, "application/json", "not_html"),
        ("GET", 200, "", "not_html"),
        ("GET", 204, "text/html", "not_page"),
        ("GET", 205, "text/html", "not_page"),
        ("GET", 206, "text/html", "not_page"),
        ("GET", 301, "text/html", "redirect"),
        ("GET", 303, "text/html", "redirect"),
        ("GET", 304, "", "counted"),
        ("POST", 304, "", "not_page"),
        ("POST", 302, "text/html", "redirect"),
        ("POST", 200, "text/html", "counted"),
        ("GET", 404, "text/html", "not_found"),
        ("GET", 403, "text/html", "error_status"),
        ("GET", 500, "text/html", "error_status"),
        ("GET", 101, "", "not_page"),
    ] {
        let verdict = decide(&rules, method, "/a", &NAVIGATION, status, kind);
        assert_eq!(verdict.decision.label(), expected, "{method} {status} {kind}");
    }
}

#[test]
fn what_was_decided_first_stays_whatever_else_is_there() {
    let everything = [
        ("accept", HTML),
        ("user-agent", "curl/8"),
        ("sec-purpose", "prefetch"),
        ("sec-gpc", "1"),
        ("cookie", "logged_in=1"),
    ];
    let lines: Vec<Header<'_>> = everything
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let mut rules = Rules {
        exclude: vec!["/admin/**".parse().unwrap()],
        respect_gpc: true,
        exclude_when: vec!["cookie:logged_in".parse().unwrap()],
        ..Rules::default()
    };
    let label = |rules: &Rules, path: &str, site: bool, client: bool| {
        let Ahead::Settled(verdict) = ahead(rules, &Request::read("GET", path, &lines), site, client) else {
            panic!("open")
        };
        verdict.decision.label()
    };
    assert_eq!(label(&rules, "/admin/x?y", false, false), "unknown_site");
    assert_eq!(label(&rules, "/admin/x?y", true, false), "excluded");
    assert_eq!(label(&rules, "/x", true, false), "opted_out");
    rules.respect_gpc = false;
    assert_eq!(label(&rules, "/x", true, false), "excluded");
    rules.exclude_when.clear();
    assert_eq!(label(&rules, "/x", true, false), "prefetch");
    rules.count = Count::Never;
    assert_eq!(label(&rules, "/x", true, false), "excluded");
    let rules = Rules::default();
    let plain = [
        Header {
            name: "accept",
            value: HTML.as_bytes(),
        },
        Header {
            name: "user-agent",
            value: b"curl/8",
        },
    ];
    let Ahead::Settled(v) = ahead(&rules, &Request::read("GET", "/", &plain), true, false) else {
        panic!("open")
    };
    assert_eq!(v.decision.label(), "bot");
}

#[test]
fn downloads_and_missing_pages_are_events_where_asked_for() {
    let rules = Rules {
        not_found: true,
        downloads: Some(vec!["pdf".into(), "zip".into()]),
        ..Rules::default()
    };
    let event = |target, status, kind| decide(&rules, "GET", target, &NAVIGATION, status, kind).event;
    assert_eq!(event("/gone", 404, "text/html"), Some(What::NotFound));
    assert_eq!(event("/a.PDF?x", 200, "application/pdf"), Some(What::Download));
    assert_eq!(event("/a.pdf", 304, ""), Some(What::Download));
    assert_eq!(event("/a.pdf", 200, "text/html"), Some(What::PageView));
    assert_eq!(event("/a.png", 200, "image/png"), None);
    let none = Rules::default();
    assert_eq!(
        decide(&none, "GET", "/gone", &NAVIGATION, 404, "text/html").event,
        None
    );
    assert_eq!(
        decide(&none, "GET", "/a.pdf", &NAVIGATION, 200, "application/pdf").decision,
        Decision::NotHtml
    );
}

#[test]
fn bots_are_skipped_counted_or_sent_elsewhere() {
    let fields = [
        ("accept", HTML),
        ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)"),
    ];
    let with = |bots, status| {
        decide(
            &Rules {
                bots,
                ..Rules::default()
            },
            "GET",
            "/a",
            &fields,
            status,
            "text/html",
        )
    };
    assert_eq!(with(Bots::Count, 200).decision, Decision::Counted);
    let elsewhere = Bots::Domain("bots.example.com".into());
    let verdict = with(elsewhere.clone(), 200);
    assert_eq!(verdict.decision, Decision::Bot);
    assert!(
        matches!(verdict.event, Some(What::Bot(name)) if name.contains("Google")),
        "{verdict:?}"
    );
    assert_eq!(with(elsewhere, 404).event, None);
}
