//! The script's report and the server's view, in every order.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Stage, WAIT, named, page, times};
use crate::support::{client::Client, full, skip};

#[test]
fn where_the_script_reports_its_page_the_server_does_not_whichever_is_first() {
    let stage = Stage::long();
    for visitor in [0, 1] {
        stage.views("/server-first?ref=x", visitor);
        stage.reports("/server-first", visitor);
        stage.reports("/script-first?ref=x#y", visitor);
        stage.views("/script-first", visitor);
    }
    assert_eq!(
        stage.counted(),
        times([("/script-first?ref=x#y", 0, 2), ("/server-first", 0, 2)])
    );
    let metrics = stage.sidecar.settled(8);
    assert_eq!(metrics.finished("tracked"), 4);
    assert_eq!(metrics.decisions("tracked"), 4);
    assert_eq!(metrics.decisions("counted"), 0);
    assert_eq!(metrics.metric("gatecount_held_views").value(), 0);
    let decisions = stage.sidecar.admin("/decisions").json();
    let tracked: Vec<_> = decisions
        .as_array()
        .or_else(|| decisions["decisions"].as_array())
        .unwrap()
        .iter()
        .filter(|decision| decision["decision"] == "tracked")
        .collect();
    assert_eq!(tracked.len(), 4, "{decisions}");
    assert_eq!(tracked[0]["path"], "/server-first");
    assert_eq!(tracked[0]["status"], 200);
}

#[test]
fn where_no_script_reports_it_the_server_does_once_the_wait_is_over() {
    let stage = Stage::short();
    let begun = Instant::now();
    stage.views("/a?ref=x&y=z", 1);
    stage.await_held(1);
    assert_eq!(stage.sidecar.metrics().decided(), 0, "it is not known yet");
    assert_eq!(stage.counted(), times([("/a?ref=x", 1, 0)]));
    assert!(begun.elapsed() >= WAIT, "{:?}", begun.elapsed());
    let metrics = stage.sidecar.settled(1);
    assert_eq!(
        (metrics.decisions("counted"), metrics.finished("tracked")),
        (1, 0)
    );
}

#[test]
fn every_tab_and_every_reload_is_a_view_of_its_own() {
    let stage = Stage::short();
    // Two tabs, of which one blocks the script; a reload of the other one.
    stage.views("/a", 1);
    stage.views("/a", 1);
    stage.reports("/a", 1);
    stage.views("/a", 1);
    stage.reports("/a", 1);
    assert_eq!(stage.counted(), times([("/a", 1, 2)]));
}

#[test]
fn going_back_and_forth_counts_what_was_shown() {
    let stage = Stage::short();
    stage.views("/a", 1);
    stage.reports("/a", 1);
    stage.views("/b", 1);
    stage.reports("/b", 1);
    // Back to a page that the browser kept, and forth to one that it asks for again.
    stage.reports("/a", 1);
    stage.views("/b", 1);
    stage.reports("/b", 1);
    // Without the script from now on.
    stage.views("/c", 1);
    assert_eq!(stage.counted(), times([("/a", 0, 2), ("/b", 0, 2), ("/c", 1, 0)]));
}

#[test]
fn another_visitors_report_and_another_pages_release_nothing() {
    let stage = Stage::short();
    stage.views("/a", 1);
    stage.reports("/a", 2);
    stage.reports("/b", 1);
    let client = &mut stage.client();
    assert_eq!(client.ask(&named("Signup", "/a", 1)).status(), 202);
    stage.expect(1);
    assert_eq!(stage.counted(), times([("/a", 1, 1), ("/b", 0, 1)]));
}

/// The wait is the bound: what comes after it is a view of its own.
#[test]
fn a_script_that_is_slower_than_the_wait_counts_beside_the_server() {
    let stage = Stage::short();
    stage.views("/a", 1);
    assert_eq!(stage.plausible.await_recorded(1).len(), 1);
    stage.reports("/a", 1);
    assert_eq!(stage.counted(), times([("/a", 1, 1)]));
}

#[test]
fn a_visitor_who_leaves_at_once_counts_once() {
    let stage = Stage::short();
    for visitor in 1..20 {
        // Some are gone before the page has come; theirs may be decided either way, and not twice.
        let mut client = stage.client();
        client.send(&page("/left", visitor).bytes());
        if visitor % 2 == 0 {
            client.response();
        }
        drop(client);
    }
    stage.expect(19);
    let metrics = stage.sidecar.settled(19);
    let (counted, aborted) = (metrics.decisions("counted"), metrics.decisions("aborted"));
    assert_eq!(counted + aborted, 19);
    assert!(counted >= 9, "{counted} counted");
    assert_eq!(stage.counted(), times([("/left", counted as usize, 0)]));
}

#[test]
fn a_visitors_events_keep_their_order_and_no_other_visitor_waits() {
    let stage = Stage::with(|builder| builder.set("pages.tracker_wait", "3s"));
    let mut client = stage.client();
    stage.expect(2);
    let begun = Instant::now();
    stage.views("/first", 1);
    assert_eq!(client.ask(&named("Signup", "/first", 1)).status(), 202);
    stage.views("/second", 1);
    stage.reports("/second", 1);
    assert_eq!(client.ask(&named("Other", "/", 2)).status(), 202);
    let other = stage.plausible.await_recorded(1);
    assert_eq!(other[0].text("n"), "Other");
    let waited = begun.elapsed();
    let order: Vec<String> = stage
        .plausible
        .await_recorded(4)
        .iter()
        .map(|event| {
            let by_script = event.body.get("n").is_some();
            event.text(if by_script { "n" } else { "name" }).to_owned()
        })
        .collect();
    assert_eq!(order, ["Other", "pageview", "Signup", "pageview"]);
    assert!(
        waited < Duration::from_secs(3),
        "the other visitor waited {waited:?}"
    );
    assert_eq!(stage.counted(), times([("/first", 1, 0), ("/second", 0, 1)]));
}

#[test]
fn many_at_once_over_two_workers_and_two_protocols_are_each_counted_once() {
    let stage = Stage::with(|builder| builder.set("pages.tracker_wait", "5s"));
    thread::scope(|scope| {
        for first in 0..8 {
            let stage = &stage;
            scope.spawn(move || {
                let mut client = Client::to(stage.sidecar.address);
                let http2 = stage.http2();
                for n in 0..25 {
                    let visitor = first * 25 + n;
                    let path = format!("/{visitor}");
                    // A third has no script, a third the script at once, a third the script on another
                    // connection than the page.
                    match visitor % 3 {
                        0 => drop(client.ask(&page(&path, visitor))),
                        1 => {
                            http2.ask(&page(&path, visitor));
                            http2.ask(&super::report(&path, visitor));
                        }
                        _ => {
                            client.ask(&page(&path, visitor));
                            http2.ask(&super::report(&path, visitor));
                        }
                    }
                }
            });
        }
    });
    stage.expect(333);
    let counted = stage.counted();
    assert_eq!(counted.len(), 200);
    for (path, times) in counted {
        let visitor: usize = path[1..].parse().unwrap();
        let expected = if visitor.is_multiple_of(3) { (1, 0) } else { (0, 1) };
        assert_eq!(times, expected, "{path}");
    }
    let metrics = stage.sidecar.settled(333);
    assert_eq!(metrics.decisions("tracked"), 133);
    assert_eq!(metrics.decisions("counted"), 67);
}

#[test]
fn beyond_fifty_thousand_a_view_is_let_go_as_tracked() {
    const HELD: usize = 50_000;
    if !full() {
        return skip("50,000 views are held with GATECOUNT_FULL=1");
    }
    let stage = Stage::with(|builder| builder.set("pages.tracker_wait", "5m"));
    let idle = stage.sidecar.rss();
    let (clients, views) = (4, HELD + 1_000);
    thread::scope(|scope| {
        for first in 0..clients {
            let stage = &stage;
            scope.spawn(move || {
                let mut client = stage.client();
                for visitor in (first..views).step_by(clients) {
                    assert_eq!(client.ask(&page("/a", visitor)).status(), 200);
                }
            });
        }
    });
    let metrics = stage
        .sidecar
        .await_metrics("the decisions that are known", |metrics| {
            metrics.decided() >= 1_000
        });
    assert_eq!(metrics.decisions("tracked"), 1_000);
    assert_eq!(metrics.finished("tracked"), 1_000);
    assert_eq!(metrics.metric("gatecount_held_views").value(), HELD as u64);
    metrics.assert_account();
    let more = stage.sidecar.rss().saturating_sub(idle);
    assert!(more < 64 << 20, "{more} bytes more for {HELD} views");
    // A place that is free is used.
    stage.reports("/a", 0);
    stage.await_held(HELD as u64 - 1);
    stage.views("/b", 1);
    stage.await_held(HELD as u64);
}
