//! One thread that serves: its own runtime, listener, connections to the app and buffers. What a request needs is here,
//! shared by the thread's tasks and nobody else.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::{Duration, SystemTime},
};

use slab::Slab;
use tokio::{
    runtime::LocalOptions,
    sync::{Notify, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    Live,
    errors::Reporter,
    listener::{self, Listener},
    metrics::Metrics,
    pool::Pool,
    recent::{Recent, Record},
    settings::Settings,
};
use crate::{
    client,
    clock::{Clock, Moment},
    delivery::Outbox,
    page::PreloadPairs,
    telemetry::LogThrottle,
};

/// Bytes read from a socket at once. A response's piece that a slow client does not take is kept, so this bounds what
/// one connection can hold.
const SCRATCH: usize = 64 * 1024;
/// Spare buffers kept, and the largest that is worth keeping, in bytes: two for each of 128 requests under way, so that a busy
/// worker asks the allocator for none.
const SPARE_BUFFERS: usize = 256;
const SPARE_BYTES: usize = 16 * 1024;

/// What a worker is told from outside.
#[derive(Debug)]
pub(super) enum Control {
    /// Rules that hold from now on.
    Reload(Arc<Live>),
    /// The newest decisions after a sequence number.
    Decisions(u64, oneshot::Sender<Vec<Record>>),
    /// A stop has begun: each response is its connection's last.
    Drain,
    /// Accept no more, close what is idle, answer when nothing is left.
    Close(oneshot::Sender<()>),
    /// Drop everything.
    Stop,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    Draining,
    Closing,
}

/// The parts of one worker.
pub(super) struct Worker {
    pub(super) settings: Settings,
    pub(super) live: RefCell<Arc<Live>>,
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Where a message is put together before it is sent.
    pub(super) assembly: RefCell<Vec<u8>>,
    pub(super) outbox: RefCell<Outbox>,
    pub(super) clock: Clock,
    pub(super) pairs: Arc<PreloadPairs>,
    pub(super) pool: Rc<Pool>,
    pub(super) metrics: Metrics,
    pub(super) recent: RefCell<Recent>,
    pub(super) reporter: Reporter,
    pub(super) phase: Cell<Phase>,
    pub(super) permits: Arc<Semaphore>,
    spare: RefCell<Vec<Vec<u8>>>,
    connections: RefCell<Slab<Waker>>,
    /// How many these are, for operators.
    gauge: prometheus::IntGauge,
    empty: Notify,
    forged: RefCell<LogThrottle>,
}

/// What a worker's thread is started with.
pub(super) struct Parts {
    pub(super) number: usize,
    pub(super) settings: Settings,
    pub(super) live: Arc<Live>,
    pub(super) listener: Listener,
    pub(super) outbox: Outbox,
    pub(super) metrics: Metrics,
    pub(super) permits: Arc<Semaphore>,
    pub(super) pairs: Arc<PreloadPairs>,
    pub(super) control: mpsc::UnboundedReceiver<Control>,
}

/// The thread's body: serves until it is told to stop.
pub(super) fn run(parts: Parts) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let Parts {
        number,
        settings,
        live,
        listener,
        outbox,
        metrics,
        permits,
        pairs,
        control,
    } = parts;
    let worker = Rc::new(Worker {
        live: RefCell::new(live),
        scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
        assembly: RefCell::new(Vec::with_capacity(SCRATCH)),
        clock: outbox.clock(),
        outbox: RefCell::new(outbox),
        pool: Rc::new(Pool::default()),
        recent: RefCell::new(Recent::new(number)),
        reporter: Reporter::new(),
        phase: Cell::new(Phase::Serving),
        spare: RefCell::new(Vec::new()),
        connections: RefCell::new(Slab::new()),
        // Made before a connection comes: a worker that gets none shows as one.
        gauge: metrics
            .worker_connections
            .with_label_values(&[&number.to_string()]),
        empty: Notify::new(),
        forged: RefCell::new(LogThrottle::new(1, Duration::from_mins(1))),
        settings,
        metrics,
        permits,
        pairs,
    });
    runtime.block_on(obey(worker, listener, control));
    // A name that is being looked up may not hold up a stop.
    runtime.shutdown_background();
    Ok(())
}

async fn obey(worker: Rc<Worker>, listener: Listener, mut control: mpsc::UnboundedReceiver<Control>) {
    let accepting = match listener.into_tokio() {
        Ok(listener) => tokio::task::spawn_local(listener::accept(Rc::clone(&worker), listener)),
        Err(error) => {
            tracing::error!(%error, "a worker can't use its listener");
            return;
        }
    };
    tokio::task::spawn_local(Rc::clone(&worker.pool).sweep());
    while let Some(order) = control.recv().await {
        match order {
            Control::Reload(live) => *worker.live.borrow_mut() = live,
            Control::Decisions(since, answer) => {
                // Whoever asked may have stopped waiting.
                let recent = worker.recent.borrow();
                let _ = answer.send(recent.since(since, worker.now(), SystemTime::now()));
            }
            Control::Drain => worker.phase.set(Phase::Draining),
            Control::Close(answer) => {
                accepting.abort();
                worker.phase.set(Phase::Closing);
                for (_, waker) in worker.connections.borrow().iter() {
                    waker.wake_by_ref();
                }
                tokio::task::spawn_local(Rc::clone(&worker).when_empty(answer));
            }
            Control::Stop => break,
        }
    }
}

impl Worker {
    /// The moment that events and decisions of now are told with.
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

    /// Takes a place among the open connections, given up when the guard goes.
    pub(super) fn enter(self: &Rc<Self>, waker: Waker) -> Entered {
        self.metrics.connections.inc();
        self.gauge.inc();
        Entered {
            key: self.connections.borrow_mut().insert(waker),
            worker: Rc::clone(self),
        }
    }

    async fn when_empty(self: Rc<Self>, answer: oneshot::Sender<()>) {
        while !self.connections.borrow().is_empty() {
            self.empty.notified().await;
        }
        let _ = answer.send(());
    }

    /// Counts where the client's address came from, and says once a minute that a proxy in a private range is not
    /// trusted: the usual mistake behind statistics with one visitor.
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
        if let Some(occurrences) = self.forged.borrow_mut().pass(Instant::now().into_std(), 1) {
            tracing::warn!(
                occurrences,
                "an untrusted peer in the private range {range} sends forwarding headers, which are not read; if it is a \
                 proxy of yours, trust it with [client] trusted_proxies = [\"{range}\"]"
            );
        }
    }
}

/// A place among a worker's open connections.
pub(super) struct Entered {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut connections = self.worker.connections.borrow_mut();
        connections.remove(self.key);
        self.worker.metrics.connections.dec();
        self.worker.gauge.dec();
        if connections.is_empty() {
            self.worker.empty.notify_one();
        }
    }
}
