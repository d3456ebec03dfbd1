//! What of the responses of one connection the client has not taken yet.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Buf;
use prometheus::IntGauge;

use crate::proxy::context::Context;

/// Bytes of responses that may wait for the client before a stream that has some waiting reads no more from
/// the app.
pub(super) const BUDGET: usize = 192 * 1024;
/// Bytes read at once, and for a stream that has none waiting while the budget is used up.
const PIECE: usize = 16 * 1024;
const SMALL_PIECE: usize = 4 * 1024;

/// The budget of a connection.
pub(super) struct Budget {
    context: Rc<Context>,
    untaken: Cell<usize>,
    /// Streams that wait for room.
    starved: RefCell<Vec<StreamBytes>>,
    gauge: IntGauge,
}

/// Bytes of one stream's response that the client has not taken.
#[derive(Default, Clone)]
pub(super) struct StreamBytes(Rc<Untaken>);

#[derive(Default)]
struct Untaken {
    bytes: Cell<usize>,
    /// It is on the list of starved streams.
    listed: Cell<bool>,
    /// Wakes the stream, which waits for room.
    waker: Cell<Option<Waker>>,
}

impl StreamBytes {
    fn wake(&self) {
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl Budget {
    pub(super) fn new(context: &Rc<Context>) -> Self {
        Budget {
            context: Rc::clone(context),
            untaken: Cell::new(0),
            starved: RefCell::new(Vec::new()),
            gauge: context.metrics.http2_waiting_bytes.clone(),
        }
    }

    /// How much may be read together with a response's head.
    pub(super) fn first_room(&self) -> usize {
        if self.untaken.get() < BUDGET {
            PIECE
        } else {
            SMALL_PIECE
        }
    }

    /// How much may be read from the app for a stream. The stream is woken when it may be some.
    pub(super) fn poll_room(&self, stream: &StreamBytes, cx: &mut TaskContext<'_>) -> Poll<usize> {
        if self.untaken.get() < BUDGET {
            return Poll::Ready(PIECE);
        }
        if stream.0.bytes.get() == 0 {
            return Poll::Ready(SMALL_PIECE);
        }
        stream.0.waker.set(Some(cx.waker().clone()));
        if !stream.0.listed.replace(true) {
            self.starved.borrow_mut().push(stream.clone());
        }
        Poll::Pending
    }

    /// Charges bytes that go to the client.
    pub(super) fn charge(self: &Rc<Self>, stream: &StreamBytes, bytes: Vec<u8>) -> Piece {
        let size = bytes.len();
        self.untaken.set(self.untaken.get() + size);
        stream.0.bytes.set(stream.0.bytes.get() + size);
        self.gauge.add(i64::from(size as u32));
        Piece {
            bytes,
            at: 0,
            size,
            budget: Rc::clone(self),
            stream: stream.clone(),
        }
    }

    fn release(&self, size: usize) {
        self.untaken.set(self.untaken.get() - size);
        self.gauge.sub(i64::from(size as u32));
        if self.untaken.get() < BUDGET && !self.starved.borrow().is_empty() {
            for stream in self.starved.take() {
                stream.0.listed.set(false);
                stream.wake();
            }
        }
    }
}

/// A piece of a response, charged until h2 has written it, or dropped it with its stream.
pub(in crate::proxy) struct Piece {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
    budget: Rc<Budget>,
    stream: StreamBytes,
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
        let untaken = self.stream.0.bytes.get() - self.size;
        self.stream.0.bytes.set(untaken);
        self.budget.release(self.size);
        if untaken == 0 {
            // Whatever the others have waiting, this stream may read on.
            self.stream.wake();
        }
        self.budget.context.give_back(std::mem::take(&mut self.bytes));
    }
}
