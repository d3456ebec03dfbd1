//! The streams of one connection: how many there are, and which of them has waited for too long.

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
    served: Cell<u64>,
    idle_since: Cell<Instant>,
}

/// What the connection sees of a stream.
#[derive(Default)]
pub(super) struct StreamState {
    /// The request under way to the app.
    pub(super) exchange: RefCell<Option<Exchange>>,
    /// What is waited for, and until when.
    deadline: Cell<Option<(Instant, Waiting)>>,
    /// The client takes nothing: only a reset is left to send.
    given_up: Cell<bool>,
    /// What was waited for in vain.
    overdue: Cell<Option<Waiting>>,
    waker: Cell<Option<Waker>>,
}

/// Whom a stream waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The app, to begin its response.
    App,
    /// The client, to send more of its request.
    RequestBody,
    /// The client, to take what was sent.
    Window,
}

/// A place among the open streams.
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
            served: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        }
    }

    /// Takes a place for a stream, given up when it is dropped.
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

    /// Since when no stream is active; none while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.active.get() == 0).then(|| self.idle_since.get())
    }

    fn deactivate(&self, now: Instant) {
        self.active.set(self.active.get() - 1);
        self.idle_since.set(now);
    }

    /// Ends the waiting of each stream whose time is up.
    pub(super) fn end_waits(&self, now: Instant) {
        for (_, state) in self.open.borrow().iter() {
            let Some((_, waiting)) = state.deadline.get().filter(|(deadline, _)| *deadline <= now) else {
                continue;
            };
            state.deadline.set(None);
            state.overdue.set(Some(waiting));
            if waiting == Waiting::Window {
                // Nobody polls the stream before its window opens, so its connection to the app is given up here.
                state.exchange.take();
                state.given_up.set(true);
                self.deactivate(now);
            }
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl StreamState {
    /// Waits: `until` then, where something `moved` or other than before is waited for, else as long as before. `waker` is
    /// woken when the time is up.
    pub(super) fn wait(&self, waiting: Waiting, moved: bool, waker: &Waker, until: impl FnOnce() -> Instant) {
        if moved || self.deadline.get().is_none_or(|(_, before)| before != waiting) {
            self.deadline.set(Some((until(), waiting)));
            self.overdue.set(None);
        }
        let kept = self.waker.take().filter(|kept| kept.will_wake(waker));
        self.waker.set(Some(kept.unwrap_or_else(|| waker.clone())));
    }

    /// Waits for nobody, or for as long as it takes.
    pub(super) fn stop_waiting(&self) {
        self.deadline.set(None);
    }

    /// What was waited for in vain, told once.
    pub(super) fn overdue(&self) -> Option<Waiting> {
        self.overdue.take()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.open.borrow_mut().remove(self.key);
        if !self.state.given_up.get() {
            self.streams.deactivate(Instant::now());
        }
        self.streams.context.metrics.http2_streams.dec();
    }
}
