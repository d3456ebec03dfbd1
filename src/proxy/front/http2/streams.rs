//! A connection's open streams, and the deadlines of those that wait.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
    time::Duration,
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
    /// What was waited for until the deadline passed.
    overdue: Cell<Option<Waiting>>,
    waker: Cell<Option<Waker>>,
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

/// Counts as one of the open streams until it is dropped.
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
            served: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        }
    }

    /// Counts a stream as open until the guard is dropped.
    pub(super) fn enter(self: &Rc<Self>) -> OpenStream {
        self.context.metrics.http2_streams.inc();
        self.served.set(self.served.get() + 1);
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

    /// Since when no stream is open. `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.open.borrow().is_empty().then(|| self.idle_since.get())
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
                // hyper does not poll the stream before its window opens, so its connection to the app is
                // closed here.
                state.exchange.take();
            }
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl StreamState {
    /// Notes what is waited for. Its time starts anew if something `moved`, or if something else was waited
    /// for before. `waker` is woken when the time is up.
    pub(super) fn wait(&self, waiting: Waiting, time: Duration, moved: bool, waker: &Waker) {
        if moved || self.deadline.get().is_none_or(|(_, before)| before != waiting) {
            self.deadline.set(Some((Instant::now() + time, waiting)));
            self.overdue.set(None);
        }
        let kept = self.waker.take().filter(|kept| kept.will_wake(waker));
        self.waker.set(Some(kept.unwrap_or_else(|| waker.clone())));
    }

    /// Clears the deadline.
    pub(super) fn stop_waiting(&self) {
        self.deadline.set(None);
    }

    /// Takes what was waited for until the deadline passed.
    pub(super) fn overdue(&self) -> Option<Waiting> {
        self.overdue.take()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.open.borrow_mut();
        open.remove(self.key);
        if open.is_empty() {
            self.streams.idle_since.set(Instant::now());
        }
        self.streams.context.metrics.http2_streams.dec();
    }
}
