//! A gateway: events come from the stream, and go back to it where they may not be sent.

use super::{
    account::EventEnd,
    server::{Reply, Server},
    *,
};
use crate::{
    event::Event,
    stream::{Lease, StreamedEvent, TestStream, Told},
};

/// A gateway's delivery, and the stream that it has its events from.
struct Gateway {
    rig: Rig,
    stream: TestStream,
    told: Vec<Told>,
}

impl Gateway {
    fn new(settings: Settings) -> Self {
        let (stream, intake) = TestStream::new();
        let registry = Registry::new();
        let shared = Arc::new(Shared::new(Clock::start(), Troubles::default()));
        let metrics = DeliveryMetrics::register(
            &registry,
            shared.account.clone(),
            vec![shared.holdings.clone()],
            shared.clock,
        );
        let decided = Arc::new(Decided::default());
        let starter = EngineStarter {
            metrics: metrics.unwrap(),
            decisions: decided.clone(),
        };
        let (outboxes, desk, rings) = intake::rings(0, &shared.account, shared.clock);
        let carry = CarryOver::new(rings, EventRules::default(), Some(Streamed::new(intake)));
        let target = plausible(&settings).unwrap();
        let engine = starter
            .start(settings, target, in_memory(), carry, shared)
            .unwrap();
        let delivery = Delivery {
            desk,
            engine,
            gateway: None,
        };
        Gateway {
            rig: Rig {
                delivery,
                outboxes,
                registry,
                decided,
            },
            stream,
            told: Vec::new(),
        }
    }

    /// Gives an event of a visitor, which happened so long ago.
    fn give(&self, sequence: u64, visitor: u8, ago: Duration, lease: &Lease) {
        let body =
            format!("{{\"name\":\"pageview\",\"url\":\"https://example.com/{sequence}\",\"domain\":\"a\"}}");
        let event = Event::with_body(address(visitor), b"tester", body.into_bytes());
        let mut record = Vec::new();
        event.encode(&mut record);
        let event = StreamedEvent {
            sequence,
            visitor: event.visitor(),
            at: self.now() - ago.as_millis() as u64,
            record,
        };
        self.stream.give(event, lease);
    }

    fn now(&self) -> u64 {
        self.rig.delivery.clock().millis()
    }

    /// A lease that outlasts the test.
    fn lease(&self) -> Lease {
        Lease::until(self.now() + 1_000_000)
    }

    /// Waits until the stream was told so much, and returns it in an order that does not depend on chance.
    fn told(&mut self, count: usize) -> Vec<Told> {
        let begun = Instant::now();
        while self.told.len() < count {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.told);
            self.told.extend(self.stream.told());
            thread::sleep(Duration::from_millis(2));
        }
        let mut told = std::mem::take(&mut self.told);
        told.sort_unstable();
        told
    }
}

#[test]
fn what_has_ended_is_over_for_the_stream_and_not_before() {
    let server = Server::start(|number, _| match number {
        0 => Reply::status(500, &[]),
        _ => Reply::accepted(),
    });
    let mut gateway = Gateway::new(settings(server.address));
    let lease = gateway.lease();
    gateway.give(1, 1, Duration::ZERO, &lease);
    gateway.give(2, 1, Duration::ZERO, &lease);
    assert_eq!(gateway.told(2), [Told::Over(1), Told::Over(2)]);
    let paths: Vec<bool> = server
        .seen()
        .iter()
        .map(|seen| seen.body.contains("example.com/1\""))
        .collect();
    assert_eq!(
        paths,
        [true, true, false],
        "the first one again, before the second"
    );
    let balance = gateway.rig.balance();
    assert_eq!(balance.offered[Source::Stream as usize], 2);
    assert_eq!(balance.finished[EventEnd::Delivered as usize], 2);
    assert_eq!(gateway.rig.delivery.status().queue.bytes, 0);
    gateway.rig.stop();
}

#[test]
fn what_is_too_old_ends_here_and_for_the_stream() {
    let server = Server::start(|_, _| Reply::accepted());
    let mut gateway = Gateway::new(settings(server.address));
    gateway.give(1, 1, Duration::from_hours(2), &gateway.lease());
    assert_eq!(gateway.told(1), [Told::Over(1)]);
    assert_eq!(gateway.rig.finished(EventEnd::Expired), 1);
    assert!(server.seen().is_empty());
    gateway.rig.stop();
}

#[test]
fn nothing_is_sent_without_a_lease_and_what_waits_goes_back_at_once() {
    let server = Server::start(|_, _| Reply::status(500, &[]));
    let mut gateway = Gateway::new(settings(server.address));
    let (lease, other) = (gateway.lease(), gateway.lease());
    other.revoke();
    gateway.give(1, 1, Duration::ZERO, &other);
    assert_eq!(gateway.told(1), [Told::Unsent(1)]);
    assert!(server.seen().is_empty());
    for sequence in 2..5 {
        gateway.give(sequence, 2, Duration::ZERO, &lease);
    }
    gateway.rig.wait_for("an attempt", |_| !server.seen().is_empty());
    lease.revoke();
    assert_eq!(
        gateway.told(3),
        [Told::Unsent(2), Told::Unsent(3), Told::Unsent(4)]
    );
    assert_eq!(gateway.rig.finished(EventEnd::HandedOver), 4);
    assert_eq!(gateway.rig.balance().pending, 0);
    let attempts = server.seen().len();
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.body.contains("example.com/2\"")),
        "{attempts} attempts, all with the first of the lane"
    );
    gateway.rig.stop();
}

#[test]
fn an_event_waits_for_a_lease_that_ran_out_and_is_confirmed_again() {
    let server = Server::start(|_, _| Reply::accepted());
    let mut gateway = Gateway::new(settings(server.address));
    let lease = Lease::until(gateway.now());
    gateway.give(1, 1, Duration::ZERO, &lease);
    gateway
        .rig
        .wait_for("the event to come", |rig| rig.balance().pending == 1);
    assert!(server.seen().is_empty() && gateway.stream.told().is_empty());
    lease.extend(gateway.now() + 1_000_000);
    assert_eq!(gateway.told(1), [Told::Over(1)]);
    assert_eq!(server.seen().len(), 1);
    gateway.rig.stop();
}

#[test]
fn a_stop_leaves_the_stream_returns_what_waits_and_finishes_what_is_on_the_wire() {
    let server = Server::start(|_, _| Reply::accepted().after(300));
    let gateway = Gateway::new(settings(server.address));
    let lease = gateway.lease();
    gateway.give(1, 1, Duration::ZERO, &lease);
    gateway.give(2, 1, Duration::ZERO, &lease);
    gateway.rig.wait_for("an attempt", |_| !server.seen().is_empty());
    let Gateway { rig, mut stream, .. } = gateway;
    assert_eq!(rig.stop().pending, 0);
    assert_eq!(stream.told(), [Told::Left, Told::Unsent(2), Told::Over(1)]);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn after_a_failure_of_delivery_the_stream_gives_again_what_may_be_on_its_way() {
    let server = Server::start(|_, _| Reply::accepted().after(600_000));
    let mut gateway = Gateway::new(settings(server.address));
    gateway.give(1, 1, Duration::ZERO, &gateway.lease());
    gateway.rig.wait_for("an attempt", |_| !server.seen().is_empty());
    let commands = &gateway.rig.delivery.engine.commands;
    commands.send(Command::Panic).unwrap();
    assert_eq!(gateway.told(1), [Told::Unknown(1)]);
    gateway
        .rig
        .wait_for("the account", |rig| rig.finished(EventEnd::HandedOver) == 1);
}
