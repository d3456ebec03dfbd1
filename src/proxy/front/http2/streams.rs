//! The streams of one connection: how many there are, which of them has waited for too long, and what they
//! hold.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
};

use slab::Slab;
use tokio::time::Instant;

use super::budget::Budget;
use crate::{
    client::Peer,
    proxy::{app::exchange::Exchange, context::Context},
};

/// Bytes of request heads that the streams of one connection hold together, before another one is refused. A
/// few kilobytes on the wire can stand for megabytes of them, for HPACK names a field again in a byte (RFC
/// 7541).
const HEADS: usize = 256 * 1024;
/// So many streams may be reset by the client before their responses are over; then those have to be fewer
/// than half of all (CVE-2023-44487: each one costs the app a request).
const RESETS: u64 = 100;

/// What the streams of one connection share.
pub(super) struct Streams {
    pub(super) context: Rc<Context>,
    pub(super) peer: Peer,
    /// The connection is over TLS.
    pub(super) https: bool,
    pub(super) budget: Rc<Budget>,
    open: RefCell<Slab<Rc<StreamState>>>,
    /// Open streams that were not given up.
    active: Cell<usize>,
    heads: Cell<usize>,
    served: Cell<u64>,
    reset: Cell<u64>,
    idle_since: Cell<Instant>,
}

/// What the connection sees of a stream.
#[derive(Default)]
pub(super) struct StreamState {
    /// The request under way to the app.
    pub(super) exchange: RefCell<Option<Exchange>>,
    /// The response was given to hyper to its end, or there will be none.
    pub(super) over: Cell<bool>,
    wait: Cell<Wait>,
    waker: Cell<Option<Waker>>,
    /// Bytes of the request's head.
    head: Cell<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wait {
    /// For nobody, or for as long as it takes.
    #[default]
    None,
    Until(Instant, Waiting),
    /// In vain.
    Overdue(Waiting),
    /// The client took nothing of the response: only a reset is left to send.
    GivenUp,
}

/// What a stream waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The app, to begin its response.
    App,
    /// The client, to send more of its request.
    RequestBody,
    /// The client, to take what was sent.
    Window,
}

/// A place among the open streams, given up when it is dropped.
pub(super) struct OpenStream {
    pub(super) streams: Rc<Streams>,
    pub(super) state: Rc<StreamState>,
    key: usize,
}

impl Streams {
    pub(super) fn new(context: Rc<Context>, peer: Peer, https: bool) -> Self {
        Streams {
            budget: Rc::new(Budget::new(&context)),
            context,
            peer,
            https,
            open: RefCell::default(),
            active: Cell::new(0),
            heads: Cell::new(0),
            served: Cell::new(0),
            reset: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        }
    }

    /// Takes a place for a stream.
    pub(super) fn enter(self: &Rc<Self>) -> OpenStream {
        self.context.metrics.http2_streams.inc();
        self.served.set(self.served.get() + 1);
        self.active.set(self.active.get() + 1);
        let state = Rc::new(StreamState::default());
        OpenStream {
            key: self.open.borrow_mut().insert(Rc::clone(&state)),
            streams: Rc::clone(self),
            state,
        }
    }

    /// Streams that were ever opened.
    pub(super) fn served(&self) -> u64 {
        self.served.get()
    }

    /// Whether the client resets too many of its requests.
    pub(super) fn is_flooded(&self) -> bool {
        self.reset.get() > RESETS && self.reset.get() > self.served.get() / 2
    }

    /// Since when no stream is active; none while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.active.get() == 0).then(|| self.idle_since.get())
    }

    fn deactivate(&self, now: Instant) {
        self.active.set(self.active.get() - 1);
        self.idle_since.set(now);
    }

    /// Whether there are streams, and every one was given up.
    pub(super) fn are_given_up(&self) -> bool {
        self.active.get() == 0 && !self.open.borrow().is_empty()
    }

    /// Ends the waiting of each stream whose time is up.
    pub(super) fn end_waits(&self, now: Instant) {
        let open = self.open.borrow();
        for (_, state) in open.iter() {
            let Wait::Until(_, waiting) = state.wait.get() else {
                continue;
            };
            if !state.is_due(now) {
                continue;
            }
            if waiting == Waiting::Window {
                // Nobody polls the stream before its window opens, so its connection to the app is given up
                // here.
                state.wait.set(Wait::GivenUp);
                state.exchange.take();
                self.deactivate(now);
            } else {
                state.wait.set(Wait::Overdue(waiting));
            }
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl StreamState {
    /// Waits: `until` then, where something `moved` or other than before is waited for, else as long as
    /// before. `waker` is woken when the time is up.
    pub(super) fn wait(&self, waiting: Waiting, moved: bool, waker: &Waker, until: impl FnOnce() -> Instant) {
        let goes_on = matches!(self.wait.get(), Wait::Until(_, before) if before == waiting) && !moved;
        if self.wait.get() == Wait::GivenUp {
            return;
        }
        if !goes_on {
            self.wait.set(Wait::Until(until(), waiting));
        }
        let kept = self.waker.take().filter(|kept| kept.will_wake(waker));
        self.waker.set(Some(kept.unwrap_or_else(|| waker.clone())));
    }

    /// Clears the deadline.
    pub(super) fn stop_waiting(&self) {
        if self.wait.get() != Wait::GivenUp {
            self.wait.set(Wait::None);
        }
    }

    /// What was waited for in vain.
    pub(super) fn overdue(&self) -> Option<Waiting> {
        match self.wait.get() {
            Wait::Overdue(waiting) => Some(waiting),
            Wait::None | Wait::Until(..) | Wait::GivenUp => None,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.wait.get(), Wait::Until(deadline, _) if deadline <= now)
    }
}

impl OpenStream {
    /// Holds a request's head of so many bytes; false, if those of the connection are too many with it.
    pub(super) fn hold_head(&self, bytes: usize) -> bool {
        let heads = self.streams.heads.get();
        if heads > 0 && heads + bytes > HEADS {
            return false;
        }
        self.streams.heads.set(heads + bytes);
        self.state.head.set(bytes);
        true
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let streams = &self.streams;
        streams.open.borrow_mut().remove(self.key);
        streams.heads.set(streams.heads.get() - self.state.head.get());
        if self.state.wait.get() != Wait::GivenUp {
            streams.deactivate(Instant::now());
        }
        if !self.state.over.get() {
            streams.reset.set(streams.reset.get() + 1);
        }
        streams.context.metrics.http2_streams.dec();
    }
}
