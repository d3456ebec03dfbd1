//! What of the responses of one connection the client has not taken yet.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Buf;
use prometheus::Gauge;

use crate::proxy::context::Context;

/// Bytes of responses that may wait for the client before a stream that has some waiting reads no more from the app.
pub(super) const BUDGET: usize = 192 * 1024;
/// Bytes read at once, and for a stream that has none waiting while the budget is used up.
const PIECE: usize = 16 * 1024;
const SMALL_PIECE: usize = 4 * 1024;

/// The budget of a connection.
pub(super) struct Budget {
    context: Rc<Context>,
    waiting: Cell<usize>,
    /// Streams that wait for room.
    starved: RefCell<Vec<Waker>>,
    gauge: Gauge,
}

/// Bytes of one stream's response that the client has not taken.
#[derive(Debug, Default, Clone)]
pub(super) struct OfStream(Rc<Cell<usize>>);

impl Budget {
    pub(super) fn new(context: &Rc<Context>) -> Self {
        Budget {
            context: Rc::clone(context),
            waiting: Cell::new(0),
            starved: RefCell::new(Vec::new()),
            gauge: context.metrics.http2_waiting_bytes.clone(),
        }
    }

    /// How much may be read from the app for a stream.
    pub(super) fn poll_room(&self, stream: &OfStream, cx: &mut TaskContext<'_>) -> Poll<usize> {
        if self.waiting.get() < BUDGET {
            return Poll::Ready(PIECE);
        }
        if stream.0.get() == 0 {
            return Poll::Ready(SMALL_PIECE);
        }
        self.starved.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    /// Takes bytes on their way to the client.
    pub(super) fn piece(self: &Rc<Self>, stream: &OfStream, bytes: Vec<u8>) -> Piece {
        let size = bytes.len();
        self.waiting.set(self.waiting.get() + size);
        stream.0.set(stream.0.get() + size);
        self.gauge.add(size as f64);
        Piece {
            bytes,
            at: 0,
            size,
            budget: Rc::clone(self),
            stream: stream.clone(),
        }
    }

    fn release(&self, size: usize) {
        self.waiting.set(self.waiting.get() - size);
        self.gauge.sub(size as f64);
        if self.waiting.get() < BUDGET && !self.starved.borrow().is_empty() {
            for waker in self.starved.take() {
                waker.wake();
            }
        }
    }
}

/// A piece of a response, counted until h2 has written it, or dropped it with its stream.
pub(in crate::proxy) struct Piece {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
    budget: Rc<Budget>,
    stream: OfStream,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.stream.0.set(self.stream.0.get() - self.size);
        self.budget.release(self.size);
        self.budget.context.give_back(std::mem::take(&mut self.bytes));
    }
}
