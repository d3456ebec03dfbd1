//! What all connections of one worker share: rules, buffers, idle connections to the app, counters. It
//! belongs to one thread, so nothing here is locked.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use slab::Slab;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    app::{connect::Connector, pool::Pool},
    errors::{Fault, Whose},
    front::tls::accept::Turns,
    live::Live,
    metrics::Metrics,
    recent::Recent,
    settings::Settings,
    throttles::Throttles,
};
use crate::{
    client,
    clock::{Clock, Moment},
    delivery::Outbox,
    event::custom::Complaint,
    page::{PageMemory, Twins},
    tracker::{
        Tracker,
        inject::{Injection, Injector},
    },
};

/// Bytes read from a socket at once. The part of a response that a slow client does not take is kept, so this
/// bounds what one connection can hold.
const SCRATCH: usize = 64 * 1024;
/// Spare buffers kept, and the largest that is worth keeping, in bytes: two for each of 128 requests under
/// way, so that a busy worker asks the allocator for none.
const SPARE_BUFFERS: usize = 256;
const SPARE_BYTES: usize = 16 * 1024;
/// Capacity of a new buffer, in bytes. A smaller one is not worth keeping.
const NEW_BUFFER: usize = 2048;

/// Bytes of a response read at once for a slow client, because what it does not take is kept. Once more than
/// so many clients of the worker are slow, for every client: the next slow one is known only when it has not
/// taken a piece.
const SLOW_PIECE: usize = 16 * 1024;
const MANY_SLOW_READERS: usize = 32;

/// Connections that are asked to close at once, at most, when a place is wanted.
const MAKE_ROOM: usize = 16;

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
    pub(super) memory: Arc<PageMemory>,
    pub(super) twins: Option<Arc<Twins>>,
    pub(super) pool: Rc<Pool>,
    pub(super) metrics: Metrics,
    pub(super) recent: RefCell<Recent>,
    pub(super) phase: Cell<Phase>,
    pub(super) permits: Arc<Semaphore>,
    /// The turns of TLS handshakes on this worker.
    pub(super) turns: Turns,
    spare: RefCell<Vec<Vec<u8>>>,
    slow_readers: Cell<usize>,
    connections: RefCell<Slab<Entry>>,
    /// How many these are, for operators.
    gauge: prometheus::IntGauge,
    /// Wakes whoever waits for the last connection's end.
    empty: Notify,
    pub(super) throttles: Arc<Throttles>,
    /// Puts the tracker script into pages, where that is asked for.
    pub(super) injector: Option<Injector>,
    /// The dedicated paths, if there are any.
    pub(super) tracker: Option<Arc<Tracker>>,
}

/// What is known of an open connection.
struct Entry {
    /// Wakes its task.
    waker: Waker,
    /// Since when it waits for a request; none while it has one.
    waiting: Option<Instant>,
    /// It is to make room for another one.
    unwanted: bool,
}

/// A client that is slow to read its response.
pub(super) struct SlowReader(Rc<Context>);

impl Drop for SlowReader {
    fn drop(&mut self) {
        self.0.slow_readers.update(|n| n - 1);
    }
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
    /// Those of connections to the app.
    pub(super) app_places: Arc<Semaphore>,
    pub(super) connector: Arc<Connector>,
    pub(super) memory: Arc<PageMemory>,
    pub(super) twins: Option<Arc<Twins>>,
    pub(super) throttles: Arc<Throttles>,
    pub(super) injection: Option<Arc<Injection>>,
    pub(super) tracker: Option<Arc<Tracker>>,
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
            app_places,
            connector,
            memory,
            twins,
            throttles,
            injection,
            tracker,
        } = shared;
        Context {
            live: RefCell::new(live),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            assembly: RefCell::new(Vec::with_capacity(SCRATCH)),
            clock: outbox.clock(),
            outbox: RefCell::new(outbox),
            pool: Rc::new(Pool::new(settings.max_idle_of_worker(), app_places, connector)),
            recent: RefCell::new(Recent::new(worker)),
            phase: Cell::new(Phase::Serving),
            turns: Turns::new(),
            spare: RefCell::new(Vec::new()),
            slow_readers: Cell::new(0),
            connections: RefCell::new(Slab::new()),
            // Registered before the first connection, so that a worker without connections is shown.
            gauge: metrics
                .worker_connections
                .with_label_values(&[&worker.to_string()]),
            empty: Notify::new(),
            throttles,
            injector: injection.map(Injector::new),
            tracker,
            settings,
            metrics,
            permits,
            memory,
            twins,
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
            .unwrap_or_else(|| Vec::with_capacity(NEW_BUFFER))
    }

    /// Gives a buffer back.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS && (NEW_BUFFER..=SPARE_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Counts a client that has not taken what was read for it at once, until the guard is dropped.
    pub(super) fn slow_reader(self: &Rc<Self>) -> SlowReader {
        self.slow_readers.update(|n| n + 1);
        SlowReader(Rc::clone(self))
    }

    /// Bytes of a response that are read at once; `slow` if its client is.
    pub(super) fn read_at_once(&self, slow: Option<&SlowReader>) -> usize {
        if slow.is_some() || self.slow_readers.get() > MANY_SLOW_READERS {
            SLOW_PIECE
        } else {
            SCRATCH
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
        if fault.is_app_down() {
            // That is one trouble however many requests it fails.
            return;
        }
        let Some(occurrences) = self.throttles.fault(fault) else {
            return;
        };
        match fault.whose() {
            Whose::App => tracing::warn!(fault = "app", status = sent, occurrences, "{fault}"),
            Whose::Client => tracing::info!(fault = "client", status = sent, occurrences, "{fault}"),
        }
    }

    /// Logs that a handshake failed.
    pub(super) fn report_handshake(&self, error: &impl std::fmt::Display) {
        if let Some(occurrences) = self.throttles.handshake() {
            tracing::info!(%error, occurrences, "TLS handshakes failed");
        }
    }

    /// Counts where the client's address came from, and says that a proxy in such a range is not trusted.
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

    /// Counts and logs that an event of the app's or of a rule's could not be sent as it is.
    pub(super) fn complain(&self, complaint: &Complaint<'_>) {
        self.metrics.declaration_fault(complaint.fault);
        if let Some(occurrences) = self.throttles.declaration(complaint.fault) {
            tracing::warn!(occurrences, "{complaint}");
        }
    }

    #[cold]
    fn warn_of_forged(&self, peer: client::Peer) {
        let Some(range) = peer.ip().and_then(client::proxy_range_of) else {
            return;
        };
        self.throttles.forged(range);
    }

    /// Takes a place among the open connections, given up when the seat goes. `waker` wakes the connection's
    /// task.
    pub(super) fn enter(self: &Rc<Self>, waker: Waker, permit: OwnedSemaphorePermit) -> Seat {
        self.metrics.connections.inc();
        self.gauge.inc();
        let place = Entry {
            waker,
            waiting: Some(Instant::now()),
            unwanted: false,
        };
        Seat {
            key: self.connections.borrow_mut().insert(place),
            context: Rc::clone(self),
            _permit: permit,
        }
    }

    /// Goes on to the next phase of a stop, and has each connection look at it.
    pub(super) fn enter_phase(&self, phase: Phase) {
        self.phase.set(phase);
        for (_, place) in self.connections.borrow().iter() {
            place.waker.wake_by_ref();
        }
    }

    /// Asks some of the connections to close that have waited longest for a request: those that were answered
    /// before as well as those whose request's head does not come to its end.
    pub(super) fn make_room(&self) {
        let mut connections = self.connections.borrow_mut();
        if connections
            .iter()
            .any(|(_, place)| place.unwanted && place.waiting.is_some())
        {
            return;
        }
        let mut waiting: Vec<(Instant, usize)> = connections
            .iter()
            .filter_map(|(key, place)| place.waiting.map(|since| (since, key)))
            .collect();
        let some = MAKE_ROOM.min(waiting.len().div_ceil(8));
        if some == 0 {
            return;
        }
        waiting.select_nth_unstable(some - 1);
        for (_, key) in &waiting[..some] {
            connections[*key].unwanted = true;
            connections[*key].waker.wake_by_ref();
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn until_empty(&self) {
        while !self.connections.borrow().is_empty() {
            self.empty.notified().await;
        }
    }
}

/// A connection's place among its worker's.
pub(super) struct Seat {
    context: Rc<Context>,
    key: usize,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// The connection waits for a request's head since then. It may be asked to close.
    pub(super) fn wait(&self, since: Instant) {
        self.context.connections.borrow_mut()[self.key].waiting = Some(since);
    }

    /// The connection has a request.
    pub(super) fn work(&self) {
        let place = &mut self.context.connections.borrow_mut()[self.key];
        place.waiting = None;
        place.unwanted = false;
    }

    /// Whether the connection was asked to close, to make room for another one.
    pub(super) fn is_unwanted(&self) -> bool {
        self.context.connections.borrow()[self.key].unwanted
    }
}

impl Drop for Seat {
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
