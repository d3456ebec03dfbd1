//! Delivery as a whole, against a server on loopback that follows a script.

mod fed;
mod held;
mod https;
mod life;
mod order;
mod outcomes;
mod senders;
mod server;
mod streamed;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use prometheus::Registry;

use super::{account::Balance, *};
use crate::{
    event::Sighting,
    page::EventKind,
    queue::{self, At},
};

/// Longer than any test waits for anything that comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running delivery.
struct Rig {
    delivery: Delivery,
    outboxes: Vec<Outbox>,
    registry: Registry,
    decided: Arc<Decided>,
}

/// What was decided late.
#[derive(Debug, Default)]
struct Decided(Mutex<Vec<DecidedRequest>>);

impl HeldDecisions for Decided {
    fn decided(&self, request: DecidedRequest) {
        self.0.lock().unwrap().push(request);
    }
}

fn settings(plausible: SocketAddr) -> Settings {
    Settings {
        base: Base {
            https: false,
            host: plausible.ip().to_string(),
            port: plausible.port(),
            path: String::new(),
        },
        proxy: None,
        address_headers: vec![AddressHeader::XForwardedFor],
        timeout: Duration::from_secs(5),
        concurrency: 16,
        max_age: Duration::from_hours(1),
        retry_initial: Duration::from_millis(20),
        retry_max: Duration::from_millis(200),
        max_tries: 10,
        ca_file: None,
    }
}

fn in_memory() -> queue::Settings {
    queue::Settings {
        at: At::Memory,
        max_bytes: 64 << 20,
        max_age: Duration::from_hours(1),
    }
}

impl Rig {
    fn new(settings: Settings) -> Self {
        Rig::with_queue(settings, in_memory())
    }

    fn with_queue(settings: Settings, queue: queue::Settings) -> Self {
        let registry = Registry::new();
        let decided = Arc::new(Decided::default());
        let links = DeliveryLinks {
            registry: &registry,
            decisions: decided.clone(),
            troubles: Troubles::default(),
            role: Role::default(),
        };
        let (delivery, outboxes) = start(settings, queue, EventRules::default(), 2, links).unwrap();
        Rig {
            delivery,
            outboxes,
            registry,
            decided,
        }
    }

    /// Offers a page view of a visitor, on one of the workers.
    fn offer(&mut self, visitor: u8, path: &str) {
        let clock = self.delivery.clock();
        let worker = usize::from(visitor) % self.outboxes.len();
        self.outboxes[worker].offer_sighting(Source::Page, &sighting(&clock, visitor, path));
    }

    fn balance(&self) -> Balance {
        let balance = self.delivery.engine.shared.account.balance();
        let [offered, finished] =
            [&balance.offered[..], &balance.finished[..]].map(|n| n.iter().sum::<u64>());
        assert_eq!(offered, finished + balance.pending);
        balance
    }

    fn finished(&self, end: account::EventEnd) -> u64 {
        self.balance().finished[end as usize]
    }

    /// Waits until every event has ended.
    fn settle(&self) {
        self.wait_for("the events to end", |rig| rig.balance().pending == 0);
    }

    fn wait_for(&self, what: &str, mut is_there: impl FnMut(&Rig) -> bool) {
        let begun = Instant::now();
        while !is_there(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for {what}: {:?} {:?}",
                self.balance(),
                self.delivery.status()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Attempts made, by result.
    #[allow(clippy::cast_sign_loss)] // a count
    fn attempts(&self, result: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "gatecount_delivery_attempts_total")
            .unwrap();
        let metric = family
            .get_metric()
            .iter()
            .find(|metric| metric.get_label()[0].value() == result)
            .unwrap();
        metric.get_counter().get_value() as u64
    }

    fn stop(self) -> Stopped {
        drop(self.outboxes);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        runtime.block_on(self.delivery.stop(deadline, deadline + PATIENCE))
    }
}

fn address(visitor: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, visitor).into()
}

fn sighting<'a>(clock: &Clock, visitor: u8, path: &'a str) -> Sighting<'a> {
    Sighting {
        at_ns: clock.nanos_at(Instant::now()),
        at_ms: clock.millis(),
        kind: EventKind::PageView,
        client: address(visitor),
        user_agent: b"Mozilla/5.0 (tester)",
        https: true,
        host: b"example.com",
        target: path.as_bytes(),
        referrer: None,
        domain: b"example.com",
        members: b"",
    }
}
