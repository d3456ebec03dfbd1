//! All gateways, then all servers, are replaced under load, one after the other.

use std::time::{Duration, Instant};

use super::{
    fleet::{Fleet, Size},
    load::{Load, roams},
};
use crate::support::{
    DEADLINE, full,
    nats::{Nats, Sync},
};

/// How long delivery may pause; held where nothing else keeps the machine busy.
const PAUSE: Duration = Duration::from_secs(10);

#[test]
fn gateways_and_servers_are_replaced_under_load_and_delivery_goes_on() {
    let (rate, partitions) = if full() { (500, 64) } else { (100, 6) };
    let Some(nats) = Nats::three(Sync::Default) else {
        return;
    };
    let size = Size {
        sidecars: 2,
        gateways: 3,
        partitions,
    };
    let mut fleet = Fleet::plain(nats, size);
    let load = Load::through(&fleet.addresses, rate);
    // Until all of it goes its way.
    fleet.ledger.await_len(rate as usize);
    fleet.await_owned(u64::from(partitions));
    let before_gateways = Instant::now();
    for number in 0..size.gateways {
        fleet.gateways[number].stop();
        fleet.gateway_again(number);
        load.goes_on(rate as usize);
    }
    let before_servers = Instant::now();
    for number in 0..fleet.nats.count() {
        fleet.nats.stop(number);
        fleet.nats.again(number);
        fleet.nats.await_well();
        load.goes_on(rate as usize);
    }
    let asked = load.finish();
    let over = Instant::now();
    fleet.settle();
    fleet
        .ledger
        .assert_each_once(asked.iter().map(|asked| asked.number));
    let (wrong, all) = fleet.ledger.disorder(|number| !roams(number));
    let pauses = [
        fleet.ledger.longest_pause(before_gateways, before_servers),
        fleet.ledger.longest_pause(before_servers, over),
    ];
    eprintln!(
        "measured: {} events while gateways and servers were replaced: none lost, none repeated; delivery paused {:.1?} \
         for the gateways, {:.1?} for the servers",
        asked.len(),
        pauses[0],
        pauses[1]
    );
    assert_eq!(wrong, 0, "of {all} are out of order");
    fleet.plausible.assert_strict();
    let most = if full() { PAUSE } else { DEADLINE };
    assert!(pauses.iter().all(|pause| *pause <= most), "{pauses:?}");
}
