//! What each kind of request is, by its own signs.

use crate::facts::RequestFacts;
use crate::page::{Bots, Decision, PageRules, RequestVerdict, ServiceWorker, judge_request};

use super::{Case, HTML, UPGRADE, case, headers, page, saved};

#[test]
fn a_navigation_answered_with_a_document_counts() {
    page().counts();
    page().with("Sec-Fetch-User", "?1").counts();
    case(&[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")]).counts();
    page()
        .answered(200, &[("Content-Type", "application/xhtml+xml")])
        .counts();
    page().answered(203, &[("Content-Type", "TEXT/HTML")]).counts();
}

#[test]
fn an_older_browser_is_known_by_its_accept() {
    case(&[("Accept", HTML), UPGRADE]).counts();
    case(&[("Accept", "application/xhtml+xml"), UPGRADE]).counts();
    case(&[("Accept", HTML)]).counts();
    let old = Case {
        agent: Some(
            "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/43.0.2357.124 \
             Safari/537.36",
        ),
        ..case(&[("Accept", "text/html")])
    };
    old.counts();
    case(&[
        ("Accept", HTML),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-User", "?1"),
    ])
    .counts();
    for fields in [
        &[("Accept", "*/*")][..],
        &[],
        &[("Accept", "image/webp,*/*")],
        &[("Accept", "text/html;q=0, */*")],
        // Such a browser asks for a secure page with each navigation, and for more types than a script.
        &[("Accept", "text/html")],
        &[("Accept", "text/html, application/xhtml+xml")],
        &[("Accept", HTML), ("X-Requested-With", "XMLHttpRequest")],
        &[("Accept", HTML), ("Sec-Fetch-Mode", "nested-navigate")],
        &[("Accept", HTML), ("Sec-Fetch-Mode", "cors")],
    ] {
        case(fields).is(Decision::NotPage, None);
    }
}

#[test]
fn what_is_no_main_frame_is_no_page_whatever_comes_back() {
    for dest in [
        "iframe", "frame", "embed", "object", "image", "script", "style", "font", "audio", "worker",
        "rubbish",
    ] {
        case(&[
            ("Sec-Fetch-Dest", dest),
            ("Sec-Fetch-Mode", "navigate"),
            ("Accept", HTML),
        ])
        .is(Decision::NotPage, None);
        case(&[
            ("Sec-Fetch-Dest", dest),
            ("Sec-Fetch-Mode", "no-cors"),
            ("Purpose", "prefetch"),
        ])
        .is(Decision::NotPage, None);
    }
    for mode in ["no-cors", "cors", "same-origin"] {
        case(&[
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Mode", mode),
            ("Accept", HTML),
        ])
        .is(Decision::NotPage, None);
        case(&[
            ("Sec-Fetch-Dest", "empty"),
            ("Sec-Fetch-Mode", mode),
            ("Accept", HTML),
        ])
        .is(Decision::NotPage, None);
    }
}

#[test]
fn the_method_is_get_or_a_post_that_a_page_answers() {
    page().by("POST").counts();
    page()
        .by("POST")
        .answered(303, &[("Location", "/thanks")])
        .is(Decision::Redirect, None);
    page().by("POST").answered(304, &[]).is(Decision::NotHtml, None);
    page()
        .by("POST")
        .answered(422, &[("Content-Type", "text/html")])
        .is(Decision::ErrorStatus, None);
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "get"] {
        page().by(method).is(Decision::NotPage, None);
    }
    page()
        .with("Range", "bytes=0-")
        .answered(206, &[("Content-Type", "text/html")])
        .is(Decision::NotPage, None);
}

#[test]
fn a_service_workers_fetch_counts_and_is_told_from_a_saved_link_by_its_accept() {
    let fetch = [
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Accept", HTML),
    ];
    case(&fetch).counts();
    saved().is(Decision::Download, None);
    page().with("Service-Worker-Navigation-Preload", "true").counts();
    let worker = |fields: &[(&str, &str)]| {
        let fields = headers(fields);
        match judge_request(
            &PageRules {
                bots: Bots::Count,
                ..PageRules::default()
            },
            &RequestFacts::read("GET", "/", &fields),
            true,
            Some([203, 0, 113, 7].into()),
        ) {
            RequestVerdict::Open(candidate) => candidate.service_worker(),
            reading => panic!("{reading:?}"),
        }
    };
    assert_eq!(worker(&fetch), Some(ServiceWorker::Fetch));
    let firefox = [
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "same-origin"),
        ("Accept", HTML),
        UPGRADE,
    ];
    case(&firefox).counts();
    assert_eq!(worker(&firefox), Some(ServiceWorker::Fetch));
    case(&firefox[..3]).is(Decision::NotPage, None);
    let preload = [
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Service-Worker-Navigation-Preload", "true"),
    ];
    assert_eq!(worker(&preload), Some(ServiceWorker::Preload));
    assert_eq!(worker(&preload[..2]), None);
}

#[test]
fn webkits_link_with_download_is_told_by_what_it_leaves_out() {
    const OLD: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                       Version/16.1 Safari/605.1.15";
    const NEW: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                       Version/26.0 Safari/605.1.15";
    let accept = (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    );
    let safari = |agent, fields: &[(&'static str, &'static str)]| {
        let ours = [("Host", "a.test"), accept];
        Case {
            agent: Some(agent),
            ..case(&[&ours[..], fields].concat())
        }
    };
    for agent in [OLD, NEW] {
        let plain = ("Referer", "http://a.test/");
        safari(agent, &[plain]).is(Decision::Download, None);
        safari(agent, &[plain, UPGRADE]).counts();
        safari(agent, &[]).counts();
        // A link with download to another site is a link, and https has no sign of a page before Safari 16.4.
        safari(agent, &[("Referer", "http://a.test.b.test/")]).counts();
    }
    let secure = ("Referer", "https://a.test/");
    safari(OLD, &[secure]).counts();
    safari(NEW, &[secure]).is(Decision::Download, None);
    safari(
        NEW,
        &[
            secure,
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Mode", "navigate"),
        ],
    )
    .counts();
    Case {
        agent: Some(OLD),
        ..case(&[("Accept", "text/html"), secure])
    }
    .is(Decision::NotPage, None);
}
