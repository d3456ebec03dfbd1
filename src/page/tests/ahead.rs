//! Pages that are fetched ahead, and when they count.

use crate::facts::RequestFacts;
use crate::page::{
    CountMode, Decision, EventKind, PageRules, PrefetchMode, is_refused_prefetch, may_activate, may_be_held,
};

use super::{CHROME, case, headers, page};

#[test]
fn a_prefetch_is_not_counted() {
    for (name, value) in [
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ] {
        page().with(name, value).is(Decision::Prefetch, None);
        case(&[
            ("Sec-Fetch-Dest", "empty"),
            ("Sec-Fetch-Mode", "no-cors"),
            (name, value),
        ])
        .is(Decision::Prefetch, None);
        case(&[("Accept", "*/*"), (name, value)]).is(Decision::Prefetch, None);
    }
}

#[test]
fn a_page_fetched_ahead_counts_as_it_is_asked_for() {
    let ahead = || page().with("Sec-Purpose", "prefetch");
    for (mode, decision, event) in [
        (PrefetchMode::Activation, Decision::Prefetch, None),
        (PrefetchMode::Skip, Decision::Prefetch, None),
        (PrefetchMode::Refuse, Decision::Prefetch, None),
        (PrefetchMode::Count, Decision::Counted, Some(EventKind::PageView)),
    ] {
        ahead().ruled(|r| r.prefetch = mode).is(decision, event);
    }
    ahead()
        .ruled(|r| r.prefetch = PrefetchMode::Count)
        .answered(404, &[])
        .is(Decision::NotFound, None);
}

#[test]
fn what_is_held_is_another_page_of_a_person_that_counts() {
    let fields = |extra: &[(&'static str, &'static str)]| {
        let mut fields = vec![("User-Agent", CHROME), ("Sec-Purpose", "prefetch")];
        fields.extend_from_slice(extra);
        fields
    };
    let held = |rules: &PageRules, fields: &[(&str, &str)]| {
        let fields = headers(fields);
        let request = RequestFacts::read("GET", "/a", &fields);
        let client = Some([203, 0, 113, 7].into());
        assert!(!may_be_held(rules, &request, "/a", false, client));
        assert!(!may_be_held(rules, &request, "/a", true, None));
        may_be_held(rules, &request, "/a", true, client)
    };
    let rules = PageRules::default();
    assert!(held(&rules, &fields(&[])));
    assert!(held(&rules, &fields(&[("Referer", "https://a.test/b")])));
    assert!(!held(&rules, &fields(&[("Referer", "https://a.test/a?b")])));
    assert!(!held(&rules, &[("User-Agent", "curl/8.5.0")]));
    for change in [
        (|r| r.prefetch = PrefetchMode::Skip) as fn(&mut PageRules),
        |r| r.count = CountMode::Never,
        |r| r.exclude = vec!["/a".parse().unwrap()],
        |r| r.ignore_clients = vec!["203.0.113.0/24".parse().unwrap()],
    ] {
        let mut rules = PageRules::default();
        change(&mut rules);
        assert!(!held(&rules, &fields(&[])));
    }
    let fields = headers(&[("User-Agent", CHROME), ("Referer", "https://a.test/a")]);
    let sign = RequestFacts::read("GET", "/style.css", &fields);
    assert!(may_activate(
        &rules,
        &sign,
        "/a",
        true,
        Some([203, 0, 113, 7].into())
    ));
}

#[test]
fn only_a_browsers_request_for_a_page_is_refused() {
    let refused = |target: &str, fields: &[(&str, &str)]| {
        let fields = headers(fields);
        let rules = PageRules {
            prefetch: PrefetchMode::Refuse,
            ..PageRules::default()
        };
        is_refused_prefetch(&rules, &RequestFacts::read("GET", target, &fields))
    };
    let document = [("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate")];
    let [dest, mode] = document;
    assert!(refused(
        "/a",
        &[dest, mode, ("Sec-Purpose", "prefetch;prerender")]
    ));
    let empty = [("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "no-cors")];
    assert!(refused("/a", &[empty[0], empty[1], ("Sec-Purpose", "prefetch")]));
    assert!(!refused(
        "/a.js",
        &[empty[0], empty[1], ("Sec-Purpose", "prefetch")]
    ));
    assert!(!refused("/a", &document));
    let script = ("Sec-Fetch-Dest", "script");
    assert!(!refused("/a", &[script, ("Sec-Purpose", "prefetch;prerender")]));
    let turbo = [("X-Turbo-Request-Id", "1"), ("X-Sec-Purpose", "prefetch")];
    assert!(!refused(
        "/a",
        &[empty[0], ("Sec-Fetch-Mode", "cors"), turbo[0], turbo[1]]
    ));
}
