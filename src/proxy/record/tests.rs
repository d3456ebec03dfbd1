//! A request's story is told once, whatever becomes of the request.

use std::panic;

use super::*;
use crate::{
    client::Peer,
    proxy::{
        asked::{Asked, Framing},
        plan::{FAULT_AHEAD, Route, plan},
        tests::worker::{Worker, run},
    },
};

const BROWSER: [(&str, &str); 4] = [
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("Accept", "text/html"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
];

/// The record of a request, and the worker that it is one of.
fn record(target: &str, browser: bool) -> (Worker, RequestRecord) {
    let worker = Worker::new();
    let fields = BROWSER.map(|(name, value)| httparse::Header {
        name,
        value: value.as_bytes(),
    });
    let asked = Asked {
        method: "GET",
        target,
        host: Some("example.com"),
        https: false,
        version: http::Version::HTTP_11,
        fields: if browser { &fields } else { &[] },
        framing: Framing::None,
        expects_continue: false,
        websocket: false,
    };
    let peer = Peer::from("192.0.2.7:50000".parse::<std::net::SocketAddr>().unwrap());
    match plan(&worker.context, peer, &asked) {
        Route::App(plan) => (worker, plan.record),
        Route::Answer(..) => panic!("the app answers it"),
    }
}

fn html() -> facts::ResponseFacts<'static> {
    facts::ResponseFacts {
        status: 200,
        content_type: Some(b"text/html"),
        ..facts::ResponseFacts::default()
    }
}

/// Requests by their decision, responses by class, events offered, faults of the statistics, times observed.
#[track_caller]
fn assert_told(
    worker: &Worker,
    decisions: &[(&str, u64)],
    responses: &[(&str, i64)],
    events: i64,
    faults: u64,
) {
    assert_eq!(worker.decisions(), decisions);
    for class in ["1xx", "2xx", "3xx", "4xx", "5xx"] {
        let expected = responses.iter().find(|(c, _)| *c == class).map_or(0, |(_, n)| *n);
        assert_eq!(
            worker.metric("gatecount_requests_total", Some(class)),
            expected,
            "{class}"
        );
    }
    assert_eq!(worker.metric("gatecount_events_offered_total", None), events);
    assert_eq!(worker.context.metrics.faults.get(), faults);
    assert_eq!(worker.context.metrics.duration.get_sample_count(), 1);
}

#[test]
fn only_the_first_settling_counts_and_the_end_adds_nothing() {
    run(async {
        let (worker, mut record) = record("/a", true);
        record.settle(&html());
        record.settle(&html());
        record.settle(&facts::ResponseFacts::of_status(502));
        drop(record);
        assert_told(&worker, &[("counted", 1)], &[("2xx", 1)], 1, 0);
        assert_eq!(worker.recent().len(), 1);
    });
}

#[test]
fn what_the_app_says_is_offered_and_decides() {
    run(async {
        let (worker, mut record) = record("/a", true);
        let words = [
            ("Content-Type", "text/html"),
            ("Gatecount-Page", "off"),
            ("Gatecount-Event", r#"{"name": "A"}, {"name": "B"}, nonsense"#),
        ]
        .map(|(name, value)| httparse::Header {
            name,
            value: value.as_bytes(),
        });
        record.settle(&facts::ResponseFacts::read(200, &words));
        drop(record);
        assert_told(&worker, &[("suppressed", 1)], &[("2xx", 1)], 2, 0);
        assert_eq!(
            worker.metric("gatecount_custom_event_faults_total", Some("malformed")),
            1
        );
        // Its client is shown for nobody: the page was not counted.
        assert_eq!(worker.recent()[0].client, None);
    });
}

#[test]
fn what_the_app_says_survives_the_wait_for_a_client_in_doubt() {
    run(async {
        let (worker, mut record) = record("/a", true);
        let words = [httparse::Header {
            name: "Gatecount-Event",
            value: br#"{"name": "A"}"#,
        }];
        record.defer(&facts::ResponseFacts::read(303, &words));
        record.settle_deferred();
        drop(record);
        assert_told(&worker, &[("redirect", 1)], &[("3xx", 1)], 1, 0);
    });
}

#[test]
fn a_page_whose_client_left_before_the_head_is_aborted_and_offers_nothing() {
    run(async {
        let (worker, record) = record("/a", true);
        drop(record);
        assert_told(&worker, &[("aborted", 1)], &[], 0, 0);
        assert_eq!(worker.recent()[0].status, 0);
    });
}

#[test]
fn a_request_that_is_no_page_stays_one_where_its_client_leaves() {
    run(async {
        let (worker, record) = record("/logo.png", false);
        let reading = record.reading;
        assert!(matches!(reading, Some(RequestVerdict::Settled(_))), "{reading:?}");
        drop(record);
        let decisions = worker.decisions();
        assert_ne!(decisions[0].0, "aborted");
        assert_told(&worker, &decisions, &[], 0, 0);
    });
}

#[test]
fn a_panic_of_the_statistics_is_counted_and_the_request_noted_once() {
    // The panic's message is none of the test's.
    panic::set_hook(Box::new(|_| {}));
    for target in [FAULT_AHEAD, FAULT_AT_THE_END] {
        run(async {
            let (worker, mut record) = record(target, true);
            record.settle(&html());
            record.settle(&html());
            drop(record);
            assert_told(&worker, &[("excluded", 1)], &[("2xx", 1)], 0, 1);
        });
    }
}

#[test]
fn a_panic_behind_the_offer_offers_nothing_twice() {
    panic::set_hook(Box::new(|_| {}));
    run(async {
        let (worker, mut record) = record("/a", true);
        // Whoever looks at the newest decisions at this moment makes their list panic.
        let looking = worker.context.recent.borrow();
        record.settle(&html());
        record.settle(&html());
        drop(looking);
        drop(record);
        assert_eq!(worker.metric("gatecount_events_offered_total", None), 1);
        assert_eq!(worker.context.metrics.faults.get(), 1);
        assert_eq!(worker.decisions(), [("counted", 1)]);
    });
}

#[test]
fn the_buffers_go_back_to_the_worker_as_soon_as_nothing_needs_them() {
    for settles in [false, true] {
        run(async {
            let (worker, mut record) = record("/a", true);
            let head = record.head.as_ptr();
            if settles {
                record.settle(&html());
                assert_eq!(record.head.capacity(), 0);
            } else {
                drop(record);
            }
            let spare = [worker.context.buffer(), worker.context.buffer()];
            assert!(
                spare.iter().any(|buffer| buffer.as_ptr() == head),
                "settles: {settles}"
            );
        });
    }
}
