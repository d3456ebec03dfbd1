//! A gateway that has no room for more.

use std::time::{Duration, Instant};

use super::fleet::{Fleet, Size, owned, redelivered};
use crate::{
    support::{
        as_long_as_it_moves,
        client::Request,
        nats::{Nats, Sync},
        process::Sidecar,
    },
    survival::visitor,
};

/// Bytes of events that a gateway takes from the stream, over all partitions.
const ROOM: u64 = 64 << 20;
/// More than there is room for: so many events, each with as many and as long props as Plausible takes.
const EVENTS: usize = 1_400;
const PROPS: usize = 30;
const LONGEST: usize = 2_000;
/// Enough for more to be out than there is room for.
const PARTITIONS: u16 = 8;
/// After how long without a request the servers give a partition to another gateway.
const TERM: Duration = Duration::from_secs(5);

/// The tracker's post of a large page view.
fn large(number: usize) -> Request {
    let props: Vec<String> = (0..PROPS)
        .map(|prop| format!("\"prop{prop}\":\"{}\"", "a".repeat(LONGEST)))
        .collect();
    let body = format!(
        "{{\"name\":\"pageview\",\"url\":\"https://example.com/page/{number}\",\"domain\":\"example.com\",\"props\":{{{}}}}}",
        props.join(",")
    );
    Request::post("/api/event", body.as_bytes())
        .with("User-Agent", "Mozilla/5.0 Chrome/130.0")
        .with("Content-Type", "text/plain")
        .from(&visitor(number))
}

/// It asks for no messages then, and still is the one whom the servers deliver to: what it has stays its own, and what
/// waits comes once there is room.
#[test]
fn a_gateway_whose_memory_is_full_keeps_its_partitions() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let fleet = Fleet::start(
        nats,
        Size {
            partitions: PARTITIONS,
            ..Size::LEAST
        },
        |builder| builder.set("tracker.event", "/api/event"),
        |builder| builder,
    );
    let gateway = &fleet.gateways[0];
    fleet.plausible.die();
    let mut client = fleet.sidecars[0].client();
    for number in 0..EVENTS {
        assert_eq!(client.ask(&large(number)).status(), 202);
    }
    let bytes = |gateway: &Sidecar| gateway.metrics().metric("gatecount_queue_bytes").value();
    as_long_as_it_moves("its memory is full", || match bytes(gateway) {
        full if full >= ROOM => Ok(()),
        so_far => Err(so_far),
    });
    let begun = Instant::now();
    as_long_as_it_moves("the time passes after which they would be another's", || {
        let left = (TERM * 3 / 2).saturating_sub(begun.elapsed());
        if left.is_zero() { Ok(()) } else { Err(left) }
    });
    assert_eq!(owned(gateway), u64::from(PARTITIONS));
    let waiting = gateway.metrics().metric("gatecount_stream_waiting").value();
    assert!(waiting > 0, "there was room for all");
    fleet.plausible.come_back();
    fleet.ledger.await_len(EVENTS);
    fleet.settle();
    fleet.ledger.assert_each_once(0..EVENTS);
    assert_eq!(redelivered(gateway), 0, "nothing came again");
}
