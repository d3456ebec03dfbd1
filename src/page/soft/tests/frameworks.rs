//! Frameworks with routers of their own, and what is fetched ahead.

use super::{COMPONENT, FROM, HTML, JSON, fetch, headers};
use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::{Decision, PageRules, PrefetchMode, RequestVerdict, counts_at_once, judge_request, led_to};

#[test]
fn next_shows_what_is_neither_fetched_ahead_nor_a_refresh() {
    let rsc = || fetch("/a?_rsc=1abc&b=c", &[("RSC", "1")]).answered(200, &[COMPONENT]);
    let page = || rsc().with("Next-Url", "/from");
    page().is_page("/a?b=c");
    rsc().is_part();
    rsc().with("Next-Url", "/a").is_part();
    page().with("Next-Router-Prefetch", "1").is_held("/a");
    page()
        .with("Next-Router-Segment-Prefetch", "/$d$lang/__PAGE__")
        .is_held("/a");
    for part in ["/_tree", "/_index", "/$d$lang"] {
        page().with("Next-Router-Segment-Prefetch", part).is_part();
    }
    page()
        .beginning("1:\"$Sreact.fragment\"\na:E{\"digest\":\"NEXT_REDIRECT;replace;/b;307;\"}\n")
        .is(Decision::Redirect);
    page().answered(200, &[HTML]).is_part();
    page().answered(404, &[COMPONENT]).is(Decision::NotFound);
    let action = || fetch("/from", &[("Next-Action", "1f2e")]).by("POST");
    action().answered(200, &[COMPONENT]).is_part();
    action()
        .answered(303, &[("x-action-redirect", "/a;push")])
        .is_page("/a");
    action()
        .answered(200, &[("x-action-redirect", "/a?b")])
        .is_page("/a?b");
    action()
        .answered(303, &[("x-action-redirect", "/a;replace")])
        .is_part();
    action()
        .answered(303, &[("x-action-redirect", "/from;push")])
        .is_part();
}

#[test]
fn frameworks_that_fetch_a_pages_data_are_known_by_its_path() {
    let kit = |target| {
        fetch(target, &[])
            .answered(200, &[JSON])
            .beginning("{\"type\":\"data\"")
    };
    kit("/a/__data.json?x-sveltekit-invalidated=01&b=c").is_held("/a");
    kit("/__data.json?x-sveltekit-invalidated=1").is_held("/");
    kit("/a/__data.json?x-sveltekit-trailing-slash=1&x-sveltekit-invalidated=1").is_held("/a/");
    kit("/a.html__data.json?x-sveltekit-invalidated=1").is_held("/a.html");
    kit("/a/__data.json").is_part();
    kit("/from/__data.json?x-sveltekit-invalidated=1").is_part();
    kit("/a/__data.json?x-sveltekit-invalidated=1")
        .beginning("{\"type\":\"redirect\",\"location\":\"/login\"}")
        .is(Decision::Prefetch);
    kit("/a").by("POST").with("x-sveltekit-action", "true").is_part();

    let router = |target| fetch(target, &[]).answered(200, &[("content-type", "text/x-script")]);
    router("/a.data?b=c").is_page("/a?b=c");
    router("/a.data?index&index=2").is_page("/a?index=2");
    router("/_root.data").is_page("/");
    router("/a/_.data").is_page("/a/");
    router("/a.data?_routes=routes%2Fa").is_held("/a");
    router("/from.data?_routes=routes%2Fa").is_part();
    router("/from.data").is_part();
    router("/a.data").answered(202, &[]).is(Decision::Redirect);
    router("/a.data")
        .answered(200, &[("content-type", "text/csv")])
        .is_part();
    // Built ahead, and sent as a file.
    let file = || router("/a.data").answered(200, &[("content-type", "application/octet-stream")]);
    file()
        .beginning("[{\"_1\":2,\"_3\":-5},\"routes/a\"")
        .is_page("/a");
    file().beginning("UnityWebData1.0").is_part();
    router("/a.data").answered(304, &[]).is_held("/a");
    router("/a.data").with("Sec-Purpose", "prefetch").is_held("/a");
    router("/a.data").by("POST").is_part();

    let nuxt = |target| fetch(target, &[]).answered(200, &[JSON]);
    nuxt("/a/_payload.json?0f3c").is_held("/a");
    nuxt("/_payload.json").is_held("/");
    nuxt("/from/_payload.json").is_part();
    nuxt("/a/_payload.json")
        .answered(404, &[JSON])
        .is(Decision::Prefetch);
}

#[test]
fn what_sveltekit_fetches_counts_at_once_where_it_is_not_waited_for() {
    let fields = headers(&[
        ("Accept", "*/*"),
        ("Referer", FROM),
        ("User-Agent", "Mozilla/5.0 Firefox/140.0"),
    ]);
    let counts = |target, prefetch| {
        let rules = PageRules {
            prefetch,
            ..PageRules::default()
        };
        let request = RequestFacts::read("GET", target, &fields);
        match judge_request(&rules, &request, true, Some([203, 0, 113, 7].into())) {
            RequestVerdict::Soft(soft) => counts_at_once(&rules, soft),
            other => panic!("{other:?}"),
        }
    };
    let kit = "/a/__data.json?x-sveltekit-invalidated=01";
    assert!(counts(kit, PrefetchMode::Count));
    assert!(!counts(kit, PrefetchMode::Activation) && !counts(kit, PrefetchMode::Skip));
    assert!(!counts("/a/_payload.json", PrefetchMode::Count));
}

#[test]
fn a_redirect_of_what_is_fetched_ahead_says_where_it_leads() {
    let leads = |purpose, status, location| {
        let fields = [
            ("X-Turbo-Request-Id", "1"),
            ("X-Sec-Purpose", purpose),
            ("Referer", FROM),
        ];
        let (fields, answer) = (headers(&fields), [("Location", location)]);
        let (request, answer) = (RequestFacts::read("GET", "/old", &fields), headers(&answer));
        match judge_request(&PageRules::default(), &request, true, None) {
            RequestVerdict::Soft(soft) => {
                led_to(soft, &ResponseFacts::read(status, &answer)).map(str::to_owned)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(leads("prefetch", 302, "/new?a=b").as_deref(), Some("/new?a=b"));
    assert_eq!(
        leads("prefetch", 303, "https://example.com/new").as_deref(),
        Some("/new")
    );
    for (purpose, status) in [("", 302), ("prefetch", 200), ("prefetch", 304)] {
        assert_eq!(leads(purpose, status, "/new"), None);
    }
}
