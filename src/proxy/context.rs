//! What all connections of one worker share: rules, buffers, idle connections to the app, counters. It
//! belongs to one thread, so nothing here is locked.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use slab::Slab;
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    app::pool::Pool,
    errors::{Fault, Whose},
    front::tls::accept::Turns,
    live::Live,
    metrics::Metrics,
    recent::Recent,
    settings::Settings,
};
use crate::{
    client,
    clock::{Clock, Moment},
    delivery::Outbox,
    page::PreloadPairs,
    telemetry::LogThrottle,
};

/// Bytes read from a socket at once. The part of a response that a slow client does not take is kept, so this
/// bounds what one connection can hold.
const SCRATCH: usize = 64 * 1024;
/// Spare buffers kept, and the largest that is worth keeping, in bytes: two for each of 128 requests under
/// way, so that a busy worker asks the allocator for none.
const SPARE_BUFFERS: usize = 256;
const SPARE_BYTES: usize = 16 * 1024;

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Each response is its connection's last.
    Draining,
    /// No connection is accepted, and idle ones close.
    Closing,
}

/// See the module.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) live: RefCell<Arc<Live>>,
    /// Where sockets are read into.
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Where a message is put together before it is sent.
    pub(super) assembly: RefCell<Vec<u8>>,
    pub(super) outbox: RefCell<Outbox>,
    pub(super) clock: Clock,
    pub(super) pairs: Arc<PreloadPairs>,
    pub(super) pool: Rc<Pool>,
    pub(super) metrics: Metrics,
    pub(super) recent: RefCell<Recent>,
    pub(super) phase: Cell<Phase>,
    pub(super) permits: Arc<Semaphore>,
    /// The turns of TLS handshakes on this worker.
    pub(super) turns: Turns,
    spare: RefCell<Vec<Vec<u8>>>,
    connections: RefCell<Slab<Waker>>,
    /// The number of `connections`, for operators.
    gauge: prometheus::IntGauge,
    /// Wakes whoever waits for the last connection's end.
    empty: Notify,
    faults_log: RefCell<LogThrottle>,
    forged_log: RefCell<LogThrottle>,
    handshakes_log: RefCell<LogThrottle>,
}

/// What a context is made of.
pub(super) struct Shared {
    /// The worker's number, from 0.
    pub(super) worker: usize,
    pub(super) settings: Settings,
    pub(super) live: Arc<Live>,
    pub(super) outbox: Outbox,
    pub(super) metrics: Metrics,
    pub(super) permits: Arc<Semaphore>,
    pub(super) pairs: Arc<PreloadPairs>,
}

impl Context {
    pub(super) fn new(shared: Shared) -> Self {
        let Shared {
            worker,
            settings,
            live,
            outbox,
            metrics,
            permits,
            pairs,
        } = shared;
        Context {
            live: RefCell::new(live),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            assembly: RefCell::new(Vec::with_capacity(SCRATCH)),
            clock: outbox.clock(),
            outbox: RefCell::new(outbox),
            pool: Rc::new(Pool::default()),
            recent: RefCell::new(Recent::new(worker)),
            phase: Cell::new(Phase::Serving),
            turns: Turns::new(),
            spare: RefCell::new(Vec::new()),
            connections: RefCell::new(Slab::new()),
            // Registered before the first connection, so that a worker without connections is shown.
            gauge: metrics
                .worker_connections
                .with_label_values(&[&worker.to_string()]),
            empty: Notify::new(),
            // A dead app must not fill the disk.
            faults_log: RefCell::new(LogThrottle::new(5, Duration::from_secs(1))),
            forged_log: RefCell::new(LogThrottle::new(1, Duration::from_mins(1))),
            handshakes_log: RefCell::new(LogThrottle::new(1, Duration::from_secs(10))),
            settings,
            metrics,
            permits,
            pairs,
        }
    }

    /// Now, as events and decisions are dated.
    pub(super) fn now(&self) -> Moment {
        self.clock.moment(Instant::now().into_std())
    }

    /// An empty buffer.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.spare
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(2048))
    }

    /// Gives a buffer back.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS && (1..=SPARE_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Does work that only the statistics need. If it panics, that is counted, and the request goes on.
    pub(super) fn unharmed<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(work));
        if done.is_err() {
            self.metrics.faults.inc();
        }
        done.ok()
    }

    /// Counts and logs a fault. `sent`: the status that the client got, if any.
    pub(super) fn report(&self, fault: &Fault, sent: Option<u16>) {
        if let Some(reason) = fault.reason() {
            self.metrics.app_error(reason);
        }
        let Some(occurrences) = self.faults_log.borrow_mut().pass(Instant::now().into_std(), 1) else {
            return;
        };
        match fault.whose() {
            Whose::App => tracing::warn!(fault = "app", status = sent, occurrences, "{fault}"),
            Whose::Client => tracing::info!(fault = "client", status = sent, occurrences, "{fault}"),
        }
    }

    /// Logs that a handshake failed.
    pub(super) fn report_handshake(&self, error: &impl std::fmt::Display) {
        let passed = self
            .handshakes_log
            .borrow_mut()
            .pass(Instant::now().into_std(), 1);
        if let Some(occurrences) = passed {
            tracing::info!(%error, occurrences, "TLS handshakes failed");
        }
    }

    /// Counts where the client's address came from, and says once a minute that a proxy in a private range is
    /// not trusted: the usual mistake behind statistics with one visitor.
    pub(super) fn note_client(&self, resolved: &client::ResolvedClient, peer: client::Peer) {
        self.metrics.client_from(resolved.from);
        if resolved.malformed {
            self.metrics.malformed_addresses.inc();
        }
        if resolved.forged {
            self.metrics.forged.inc();
            self.warn_of_forged(peer);
        }
    }

    #[cold]
    fn warn_of_forged(&self, peer: client::Peer) {
        let Some(range) = peer.ip().and_then(client::named_range_of) else {
            return;
        };
        if let Some(occurrences) = self.forged_log.borrow_mut().pass(Instant::now().into_std(), 1) {
            tracing::warn!(
                occurrences,
                "an untrusted peer in the private range {range} sends forwarding headers, which are not read; if it is a \
                 proxy of yours, trust it with [client] trusted_proxies = [\"{range}\"]"
            );
        }
    }

    /// Counts a connection as open until the guard is dropped. `waker` wakes the connection's task.
    pub(super) fn enter(self: &Rc<Self>, waker: Waker) -> Entered {
        self.metrics.connections.inc();
        self.gauge.inc();
        Entered {
            key: self.connections.borrow_mut().insert(waker),
            context: Rc::clone(self),
        }
    }

    /// Goes on to the next phase of a stop, and has each connection look at it.
    pub(super) fn enter_phase(&self, phase: Phase) {
        self.phase.set(phase);
        for (_, waker) in self.connections.borrow().iter() {
            waker.wake_by_ref();
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn until_empty(&self) {
        while !self.connections.borrow().is_empty() {
            self.empty.notified().await;
        }
    }
}

/// Counts as one of a worker's open connections until it is dropped.
pub(super) struct Entered {
    context: Rc<Context>,
    key: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut connections = self.context.connections.borrow_mut();
        connections.remove(self.key);
        self.context.metrics.connections.dec();
        self.context.gauge.dec();
        if connections.is_empty() {
            self.context.empty.notify_one();
        }
    }
}
