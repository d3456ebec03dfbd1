//! One visitor through two sidecars.

use std::{thread, time::Duration};

use super::{
    fleet::{Fleet, Size},
    load::VISITORS,
};
use crate::support::nats::{Nats, Relay, Sync};

/// Rounds in which each visitor comes once through the one sidecar and once through the other.
const ROUNDS: usize = 6;
const PEOPLE: usize = 10;
/// How much further away the servers are for the first sidecar.
const DISTANCE: Duration = Duration::from_millis(300);

/// Each visitor's pages, by turns through two sidecars of which one is far away from the servers; how many came
/// out of order, of how many.
fn disorder(reorder: &str) -> Option<(usize, usize)> {
    let nats = Nats::one(Sync::Default)?;
    let relay = Relay::to(nats.address(0), DISTANCE);
    let size = Size {
        sidecars: 2,
        ..Size::LEAST
    };
    let far = std::cell::Cell::new(true);
    let fleet = Fleet::start(
        nats,
        size,
        |builder| {
            if far.replace(false) {
                builder.set("stream.url", format!("nats://{}", relay.address))
            } else {
                builder
            }
        },
        |builder| builder.set("stream.reorder", reorder),
    );
    for round in 0..ROUNDS {
        fleet.visit(0, (0..PEOPLE).map(|person| 2 * round * VISITORS + person));
        // Pages of one millisecond have no order.
        thread::sleep(Duration::from_millis(10));
        fleet.visit(1, (0..PEOPLE).map(|person| (2 * round + 1) * VISITORS + person));
        // So that the rounds are apart, and each is a case of its own.
        thread::sleep(DISTANCE * 3);
    }
    let all = 2 * ROUNDS * PEOPLE;
    fleet.ledger.await_len(all);
    fleet.settle();
    fleet.ledger.assert_each_once(
        (0..2 * ROUNDS).flat_map(|turn| (0..PEOPLE).map(move |person| turn * VISITORS + person)),
    );
    fleet.plausible.assert_strict();
    Some(fleet.ledger.disorder(|_| true))
}

/// An older page of the same visitor is waited for: a second by far is longer than the first sidecar needs.
#[test]
fn one_visitors_pages_through_two_sidecars_keep_their_order_within_reorder() {
    let Some((wrong, all)) = disorder("5s") else {
        return;
    };
    assert_eq!((wrong, all), (0, 2 * ROUNDS * PEOPLE));
}

/// That the order above is the gateway's doing.
#[test]
fn without_reorder_they_go_as_they_come() {
    let Some((wrong, all)) = disorder("0s") else {
        return;
    };
    assert!(wrong > 0, "none of {all}");
}
