//! Sidecars that publish, gateways that deliver, and the servers between them.

use std::{sync::Mutex, time::Duration};

use crate::support::{
    as_long_as_it_moves, eventually,
    metrics::Metrics,
    nats::Nats,
    origin::Origin,
    process::{Builder, Sidecar},
    receiver::Receiver,
    site,
};

use super::{
    ledger::Ledger,
    load::{Addresses, page},
};

/// The stream's name.
pub(super) const STREAM: &str = "gatecount";
/// Requests to Plausible that a gateway has at once.
pub(super) const CONCURRENCY: usize = 8;
/// Events that a sidecar has on their way to the servers at once, at the most.
pub(super) const PUBLISHED_AT_ONCE: usize = 256;

/// How many of each there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) sidecars: usize,
    pub(super) gateways: usize,
    pub(super) partitions: u16,
}

impl Size {
    /// One of each.
    pub(super) const LEAST: Size = Size {
        sidecars: 1,
        gateways: 1,
        partitions: 4,
    };
}

/// What a test starts.
pub(super) struct Fleet {
    pub(super) nats: Nats,
    pub(super) plausible: Receiver,
    pub(super) ledger: Ledger,
    pub(super) sidecars: Vec<Sidecar>,
    pub(super) gateways: Vec<Sidecar>,
    pub(super) addresses: Addresses,
    size: Size,
    _app: Origin,
}

impl Fleet {
    /// Starts all of it, as the two changes would have sidecars and gateways.
    pub(super) fn start(
        nats: Nats,
        size: Size,
        sidecar: impl Fn(Builder) -> Builder,
        gateway: impl Fn(Builder) -> Builder,
    ) -> Fleet {
        let (app, plausible) = (site::start().forgetful(), Receiver::start());
        let ledger = Ledger::of(&plausible);
        let sidecars: Vec<Sidecar> = (0..size.sidecars)
            .map(|_| sidecar(publishing(&app, &nats, size.partitions)).start())
            .collect();
        // The first sidecar makes the stream; gateways find it.
        nats.await_stream(STREAM, 0);
        let gateways = (0..size.gateways)
            .map(|_| gateway(delivering(&plausible, &nats, size.partitions)).start())
            .collect();
        let addresses = sidecars
            .iter()
            .map(|sidecar| Mutex::new(sidecar.address))
            .collect();
        Fleet {
            nats,
            plausible,
            ledger,
            sidecars,
            gateways,
            addresses,
            size,
            _app: app,
        }
    }

    /// Starts all of it as it is by default.
    pub(super) fn plain(nats: Nats, size: Size) -> Fleet {
        Fleet::start(nats, size, |builder| builder, |builder| builder)
    }

    /// Asks for these pages, one after the other, through one sidecar.
    #[track_caller]
    pub(super) fn visit(&self, sidecar: usize, numbers: impl IntoIterator<Item = usize>) {
        let mut client = self.sidecars[sidecar].client();
        for number in numbers {
            assert_eq!(client.ask(&page(number)).status(), 200);
        }
    }

    /// Another gateway, configured as the first one.
    pub(super) fn more_gateways(&mut self) {
        let builder = delivering(&self.plausible, &self.nats, self.size.partitions);
        self.gateways.push(builder.start());
    }

    /// Starts a sidecar again that has ended.
    pub(super) fn sidecar_again(&mut self, number: usize) {
        let builder = self.sidecars[number].builder();
        self.sidecars[number] = builder.start();
        *self.addresses[number].lock().unwrap() = self.sidecars[number].address;
    }

    /// Starts a gateway again that has ended.
    pub(super) fn gateway_again(&mut self, number: usize) {
        let builder = self.gateways[number].builder();
        self.gateways[number] = builder.start();
    }

    /// Waits until the gateways own all partitions that had events, so many at the least.
    #[track_caller]
    pub(super) fn await_owned(&self, least: u64) {
        eventually(&format!("{least} partitions are owned"), || {
            let owned: Vec<u64> = self.gateways.iter().map(owned).collect();
            if owned.iter().sum::<u64>() >= least {
                Ok(())
            } else {
                Err(format!("{owned:?}"))
            }
        });
    }

    /// Waits until nothing is left anywhere: in no sidecar, not in the stream, in no gateway. After that nothing
    /// comes to Plausible any more.
    #[track_caller]
    pub(super) fn settle(&self) {
        as_long_as_it_moves("everything is delivered", || {
            let pending = |process: &Sidecar| process.metrics().pending();
            let mut waiting: Vec<Option<u64>> = self
                .sidecars
                .iter()
                .map(|sidecar| Some(pending(sidecar)))
                .collect();
            waiting.push(self.nats.stream(STREAM).map(|stream| stream.messages));
            waiting.extend(self.gateways.iter().map(|gateway| Some(pending(gateway))));
            if waiting.iter().all(|count| *count == Some(0)) {
                Ok(())
            } else {
                Err(waiting)
            }
        });
        for process in self.sidecars.iter().chain(&self.gateways) {
            process.metrics().assert_account();
        }
    }
}

/// How many partitions a gateway owns.
pub(super) fn owned(gateway: &Sidecar) -> u64 {
    gateway
        .metrics()
        .metric("gatecount_stream_partitions_owned")
        .value()
}

/// How many messages came to a gateway again.
pub(super) fn redelivered(gateway: &Sidecar) -> u64 {
    gateway
        .metrics()
        .metric("gatecount_stream_redelivered_total")
        .value()
}

/// How many events a sidecar has published, by result.
pub(super) fn published(metrics: &Metrics, result: &str) -> u64 {
    let all = metrics.metric("gatecount_stream_published_total");
    all.label("result", result).value()
}

/// A sidecar that publishes.
pub(super) fn publishing(app: &Origin, nats: &Nats, partitions: u16) -> Builder {
    let builder = Builder::before(app).set("plausible.concurrency", i64::try_from(CONCURRENCY).unwrap());
    on_stream(builder, nats, partitions)
}

/// A gateway. Its attempts are short, so that what a dead one had is soon delivered by another.
pub(super) fn delivering(plausible: &Receiver, nats: &Nats, partitions: u16) -> Builder {
    let builder = Builder::gateway()
        .telling(plausible)
        .set("plausible.concurrency", i64::try_from(CONCURRENCY).unwrap())
        .set("plausible.timeout", "2s");
    on_stream(builder, nats, partitions)
}

fn on_stream(builder: Builder, nats: &Nats, partitions: u16) -> Builder {
    builder
        .set("stream.url", nats.url())
        .set("stream.name", STREAM)
        .set("stream.replicas", i64::try_from(nats.count()).unwrap())
        .set("stream.partitions", i64::from(partitions))
}

/// After how long without a sign of a gateway what it had is another one's: `timeout` of [`delivering`], and eight
/// seconds.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(10);
