//! Deciding allocates nothing, whatever the request is for.

use allocation_counter::measure;

use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::{
    Known, PageRules, RequestVerdict, SoftOutcome, bots, judge_request, judge_response, soft_outcome,
};

use super::{CHROME, HTML, headers};

/// The allocations of deciding about a GET with these fields that is answered with 200 and this type.
fn allocations(target: &str, fields: &[(&str, &str)], content_type: &str) -> u64 {
    let (rules, client) = (PageRules::default(), Some([203, 0, 113, 7].into()));
    let mut fields = fields.to_vec();
    fields.push(("User-Agent", CHROME));
    fields.push(("Referer", "https://example.com/before?x=1"));
    let answer = [("content-type", content_type)];
    let (fields, answer) = (headers(&fields), headers(&answer));
    // The user agent is looked up once, and its result is kept.
    bots::warm_up();
    let _ = bots::recognise(Some(CHROME.as_bytes()));
    let counted = measure(|| {
        let request = RequestFacts::read("GET", target, &fields);
        let response = ResponseFacts::read(200, &answer);
        match judge_request(&rules, &request, true, client) {
            RequestVerdict::Settled(_) => {}
            RequestVerdict::Open(candidate) => {
                let _ = judge_response(&rules, &candidate, &response, Known::Nothing);
            }
            RequestVerdict::Soft(soft) => {
                let outcome = soft_outcome(soft, &response, Known::Nothing);
                assert!(
                    matches!(outcome, SoftOutcome::Settled(_) | SoftOutcome::Ahead),
                    "{outcome:?}"
                );
            }
        }
    });
    counted.count_total
}

#[test]
fn what_is_no_page_costs_no_allocation_and_a_page_none_either() {
    let of = |dest, mode, accept| {
        [
            ("Sec-Fetch-Dest", dest),
            ("Sec-Fetch-Mode", mode),
            ("Accept", accept),
        ]
    };
    let fetch = of("empty", "cors", "*/*");
    for (target, fields, content_type) in [
        (
            "/a.webp",
            &of("image", "no-cors", "image/*,*/*;q=0.8")[..],
            "image/webp",
        ),
        ("/a.js", &of("script", "no-cors", "*/*"), "text/javascript"),
        ("/frame", &of("iframe", "navigate", HTML), "text/html"),
        ("/api", &fetch, "application/json"),
        (
            "/a/__data.json?x-sveltekit-invalidated=01",
            &fetch,
            "application/json",
        ),
        ("/a.data", &fetch, "text/csv"),
        // Without `Sec-Fetch-*`.
        ("/a.webp", &[("Accept", "image/*,*/*;q=0.8")], "image/webp"),
        (
            "/a?utm_source=x",
            &of("document", "navigate", HTML),
            "text/html; charset=utf-8",
        ),
    ] {
        assert_eq!(allocations(target, fields, content_type), 0, "{target}");
    }
}
