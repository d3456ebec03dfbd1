//! No server, and no Plausible.

use std::time::Instant;

use super::{
    fleet::{ACK_WAIT, Fleet, Size, redelivered},
    load::VISITORS,
};
use crate::support::{
    as_long_as_it_moves,
    load::Steady,
    nats::{Nats, Sync},
};

/// The app notices nothing of it. What was published before is there when the server is back, and what came
/// meanwhile goes out.
#[test]
fn while_no_server_is_there_the_sidecars_keep_what_comes() {
    let Some(nats) = Nats::one(Sync::Always) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, 0..10);
    fleet.ledger.await_len(10);
    fleet.settle();
    // These are in the stream when the server dies.
    fleet.plausible.die();
    fleet.visit(0, 10..20);
    fleet.sidecars[0].await_metrics("they are published", |metrics| {
        metrics.finished("published") == 20
    });
    let steady = Steady::through(fleet.sidecars[0].address);
    fleet.nats.kill(0);
    fleet.plausible.come_back();
    fleet.visit(0, 20..320);
    fleet.sidecars[0].await_metrics("they wait", |metrics| metrics.pending() == 300);
    steady.goes_on();
    let status = fleet.sidecars[0].status();
    assert_eq!(status["troubles"][0]["kind"], "stream_unreachable", "{status}");
    steady.finish();
    // Killed as well, it still has them.
    fleet.sidecars[0].await_on_disk(300);
    fleet.sidecars[0].kill();
    fleet.sidecar_again(0);
    fleet.nats.again(0);
    fleet.ledger.await_len(320);
    fleet.settle();
    fleet.ledger.assert_each_once(0..320);
    assert_eq!(fleet.ledger.disorder(|_| true), (0, 320));
    fleet.plausible.assert_strict();
}

/// What a gateway holds for as long as Plausible is away is its own: it says so to the servers, and they give it
/// to no other.
#[test]
fn while_plausible_is_away_nothing_is_given_to_another_gateway() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, 0..40);
    fleet.ledger.await_len(40);
    fleet.settle();
    // The second one comes late, so that the first one has what comes next; what it leaves comes first.
    fleet.more_gateways();
    for round in 1.. {
        fleet.visit(0, (0..40).map(|visitor| round * VISITORS + visitor));
        fleet.settle();
        if fleet
            .gateways
            .iter()
            .all(|gateway| super::fleet::owned(gateway) == 2)
        {
            break;
        }
        assert!(round < 300, "each has its share");
    }
    let (before, sent): (Vec<u64>, usize) = (
        fleet.gateways.iter().map(redelivered).collect(),
        fleet.ledger.len(),
    );
    fleet.plausible.die();
    let first = 1_000 * VISITORS;
    fleet.visit(0, first..first + 40);
    let begun = Instant::now();
    as_long_as_it_moves("the time passes after which it would be another's", || {
        let left = (ACK_WAIT + ACK_WAIT / 2).saturating_sub(begun.elapsed());
        if left.is_zero() { Ok(()) } else { Err(left) }
    });
    fleet.plausible.come_back();
    fleet.ledger.await_len(sent + 40);
    fleet.settle();
    let after: Vec<u64> = fleet.gateways.iter().map(redelivered).collect();
    assert_eq!(after, before, "nothing came again");
    assert!(fleet.ledger.repeats().is_empty());
    fleet.plausible.assert_strict();
}
