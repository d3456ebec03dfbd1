//! What is counted, and that nothing grows without bound.

use serde_json::{Value, json};

use crate::plausible::accept;

use super::{tally::*, *};

fn at(seconds: u64) -> ReceivedAt {
    ReceivedAt {
        since_start: Duration::from_secs(seconds),
        clock: SystemTime::UNIX_EPOCH,
    }
}

fn event(client: &str, body: &Value) -> Accepted {
    let fields = [
        ("user-agent", "Mozilla/5.0"),
        ("content-type", "application/json"),
        ("x-forwarded-for", client),
    ]
    .map(|(name, value)| httparse::Header {
        name,
        value: value.as_bytes(),
    });
    accept(&fields, [127, 0, 0, 1].into(), body.to_string().as_bytes()).unwrap()
}

fn view(client: &str, path: &str, referrer: Option<&str>) -> Accepted {
    let url = format!("https://example.com{path}");
    event(
        client,
        &json!({"n": "pageview", "u": url, "d": "example.com", "r": referrer}),
    )
}

#[test]
fn views_visitors_and_bounces_are_counted() {
    let mut board = Board::new(1);
    board.count(&view("192.0.2.1", "/", None), "example.com", at(0));
    board.count(
        &view("192.0.2.1", "/a", Some("https://example.com/")),
        "example.com",
        at(9),
    );
    board.count(
        &view("192.0.2.2", "/a", Some("https://search.example/")),
        "example.com",
        at(10),
    );
    assert_eq!((board.views, board.unique(), board.visits), (3, 2, 2));
    assert_eq!(board.bounce_rate(), Some(50));
    assert_eq!(board.pages(9), [("/a", 2), ("/", 1)]);
    assert_eq!(board.sources(9), [("Direct / None", 1), ("search.example", 1)]);
    assert_eq!(board.current(at(305)), 2);
    assert_eq!(board.current(at(309)), 1);
    assert_eq!(Board::new(1).bounce_rate(), None);
}

#[test]
fn a_visitor_who_returns_after_half_an_hour_visits_again() {
    let mut board = Board::new(1);
    for seconds in [0, 1_799, 3_599] {
        board.count(&view("192.0.2.1", "/", None), "example.com", at(seconds));
    }
    assert_eq!(
        (board.unique(), board.visits, board.bounce_rate()),
        (1, 2, Some(50))
    );
}

#[test]
fn custom_events_are_no_views_and_end_a_bounce_only_if_interactive() {
    let mut board = Board::new(1);
    board.count(&view("192.0.2.1", "/", None), "example.com", at(0));
    let named = |name: &str, interactive: bool| {
        event(
            "192.0.2.1",
            &json!({"n": name, "u": "https://example.com/", "d": "example.com", "i": interactive, "sd": 5}),
        )
    };
    board.count(&named("engagement", true), "example.com", at(1));
    board.count(&named("404", false), "example.com", at(2));
    assert_eq!((board.views, board.bounce_rate()), (1, Some(100)));
    assert_eq!(board.customs(9), [("404", 1)]);
    board.count(&named("Signup", true), "example.com", at(3));
    assert_eq!((board.views, board.bounce_rate()), (1, Some(0)));
}

#[test]
fn the_chart_moves_with_time() {
    let mut board = Board::new(1);
    let mut see = |seconds| board.count(&view("192.0.2.1", "/", None), "example.com", at(seconds));
    see(1);
    see(4);
    see(6);
    let shown = |seconds| board.chart(at(seconds)).collect::<Vec<_>>();
    assert_eq!(shown(9)[57..], [0, 2, 1]);
    assert_eq!(shown(16)[56..], [2, 1, 0, 0]);
    assert_eq!(shown(16).len(), COLUMNS);
    assert_eq!(shown(9_999), [0; COLUMNS]);
}

#[test]
fn long_details_are_cut_at_a_character() {
    let mut board = Board::new(1);
    let long = "ü".repeat(900);
    board.count(
        &view("192.0.2.1", &format!("/{long}"), None),
        "example.com",
        at(0),
    );
    assert_eq!(board.latest[0].place.chars().count(), MAX_DETAIL + 1);
    assert!(board.latest[0].place.ends_with("ü…"));
}

#[test]
fn nothing_grows_without_end() {
    let mut board = Board::new(1);
    for i in 0..MAX_NAMES + 50 {
        board.count(&view("192.0.2.1", &format!("/{i}"), None), "example.com", at(0));
    }
    assert_eq!(board.pages(1), [(OTHERS, 50)]);
    assert_eq!(board.pages(usize::MAX).len(), MAX_NAMES + 1);
    assert_eq!(board.latest.len(), MAX_LATEST);
    assert_eq!(board.latest[0].seq, (MAX_NAMES + 50) as u64);
}
