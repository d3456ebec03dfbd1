//! The budget for response bytes that one connection's client has not taken yet.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::{Buf, Bytes};
use prometheus::IntGauge;

use crate::proxy::context::Context;

/// Bytes of responses that may wait for the client before a stream that has some waiting reads no more from
/// the app.
pub(super) const BUDGET: usize = 128 * 1024;
/// Bytes read at once, and for a stream that has none waiting while the budget is used up.
pub(super) const PIECE: usize = 16 * 1024;
const SMALL_PIECE: usize = 2 * 1024;

/// The budget of a connection.
pub(super) struct Budget {
    context: Rc<Context>,
    waiting: Cell<usize>,
    /// Streams that wait for room, the first of them for the longest time.
    starved: RefCell<VecDeque<StreamBytes>>,
    gauge: IntGauge,
}

/// Bytes of one stream's response that the client has not taken.
#[derive(Default, Clone)]
pub(super) struct StreamBytes(Rc<Untaken>);

#[derive(Default)]
struct Untaken {
    bytes: Cell<usize>,
    /// Wakes the stream, while it waits for room.
    waker: Cell<Option<Waker>>,
    /// The stream has a place among the starved.
    queued: Cell<bool>,
}

impl StreamBytes {
    /// Whether the stream waited for room, and now looks for it again.
    fn wake(&self) -> bool {
        let waker = self.0.waker.take();
        waker.map(Waker::wake).is_some()
    }
}

impl Budget {
    pub(super) fn new(context: &Rc<Context>) -> Self {
        Budget {
            context: Rc::clone(context),
            waiting: Cell::new(0),
            starved: RefCell::default(),
            gauge: context.metrics.http2_waiting_bytes.clone(),
        }
    }

    /// How much may be read together with a response's head.
    pub(super) fn first_room(&self) -> usize {
        if self.waiting.get() < BUDGET {
            PIECE
        } else {
            SMALL_PIECE
        }
    }

    /// How much may be read from the app for a stream; at once where none of its bytes wait.
    pub(super) fn poll_room(&self, stream: &StreamBytes, cx: &mut TaskContext<'_>) -> Poll<usize> {
        if self.waiting.get() < BUDGET {
            return Poll::Ready(PIECE);
        }
        if stream.0.bytes.get() == 0 {
            return Poll::Ready(SMALL_PIECE);
        }
        stream.0.waker.set(Some(cx.waker().clone()));
        if !stream.0.queued.replace(true) {
            self.starved.borrow_mut().push_back(stream.clone());
        }
        Poll::Pending
    }

    /// Charges bytes that go to the client.
    pub(super) fn charge(self: &Rc<Self>, stream: &StreamBytes, bytes: Vec<u8>) -> Piece {
        let size = bytes.len();
        self.waiting.set(self.waiting.get() + size);
        stream.0.bytes.set(stream.0.bytes.get() + size);
        self.gauge.add(i64::from(size as u32));
        Piece {
            bytes: PieceBytes::Buffer(bytes),
            at: 0,
            size,
            budget: Rc::clone(self),
            stream: stream.clone(),
        }
    }

    /// A piece of what is in memory anyway, for everybody: it costs the connection nothing.
    pub(super) fn share(self: &Rc<Self>, bytes: Bytes) -> Piece {
        Piece {
            bytes: PieceBytes::Shared(bytes),
            at: 0,
            size: 0,
            budget: Rc::clone(self),
            stream: StreamBytes::default(),
        }
    }

    /// The client has taken bytes of a stream, or the stream has ended.
    fn release(&self, stream: &StreamBytes, size: usize) {
        self.waiting.set(self.waiting.get() - size);
        stream.0.bytes.set(stream.0.bytes.get() - size);
        self.gauge.sub(i64::from(size as u32));
        if stream.0.bytes.get() == 0 {
            stream.wake();
        }
        // As many as there is room for: to wake all for the room of one would cost more than what they wait
        // for.
        let mut places = BUDGET.saturating_sub(self.waiting.get()).div_ceil(PIECE);
        while places > 0 {
            let Some(longest) = self.starved.borrow_mut().pop_front() else {
                return;
            };
            longest.0.queued.set(false);
            if longest.wake() {
                places -= 1;
            }
        }
    }
}

/// A piece of a response, counted until h2 has written it, or dropped it with its stream.
pub(in crate::proxy) struct Piece {
    bytes: PieceBytes,
    at: usize,
    size: usize,
    budget: Rc<Budget>,
    stream: StreamBytes,
}

enum PieceBytes {
    /// A buffer of the worker's.
    Buffer(Vec<u8>),
    Shared(Bytes),
}

impl PieceBytes {
    fn all(&self) -> &[u8] {
        match self {
            PieceBytes::Buffer(bytes) => bytes,
            PieceBytes::Shared(bytes) => bytes,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.all().len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes.all()[self.at..]
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.budget.release(&self.stream, self.size);
        if let PieceBytes::Buffer(bytes) = &mut self.bytes {
            self.budget.context.give_back(std::mem::take(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;
    use crate::proxy::tests::worker::{Worker, run};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A stream, and how often it was woken.
    #[derive(Default)]
    struct Stream {
        untaken: StreamBytes,
        woken: Arc<Woken>,
    }

    impl Stream {
        fn poll(&self, budget: &Budget) -> Poll<usize> {
            let waker = Waker::from(Arc::clone(&self.woken));
            budget.poll_room(&self.untaken, &mut TaskContext::from_waker(&waker))
        }

        /// Reads what it may.
        #[track_caller]
        fn read(&self, budget: &Rc<Budget>) -> Piece {
            let Poll::Ready(room) = self.poll(budget) else {
                panic!("there is no room");
            };
            budget.charge(&self.untaken, vec![0; room])
        }

        fn woken(&self) -> usize {
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    /// A budget that one stream has used up.
    fn used_up() -> (Worker, Rc<Budget>, Stream, Vec<Piece>) {
        let worker = Worker::new();
        let budget = Rc::new(Budget::new(&worker.context));
        let greedy = Stream::default();
        let pieces = (0..BUDGET / PIECE).map(|_| greedy.read(&budget)).collect();
        (worker, budget, greedy, pieces)
    }

    #[test]
    fn what_waits_is_bounded_by_the_budget_and_a_small_piece_for_each_stream() {
        run(async {
            let (worker, budget, greedy, mut pieces) = used_up();
            assert!(greedy.poll(&budget).is_pending());
            for _ in 0..100 {
                let modest = Stream::default();
                pieces.push(modest.read(&budget));
                assert!(modest.poll(&budget).is_pending());
            }
            let waiting = BUDGET + 100 * SMALL_PIECE;
            assert_eq!(budget.waiting.get(), waiting);
            assert_eq!(
                worker.metric("gatecount_http2_waiting_bytes", None),
                i64::try_from(waiting).unwrap()
            );
            drop(pieces);
            assert_eq!(worker.metric("gatecount_http2_waiting_bytes", None), 0);
        });
    }

    #[test]
    fn room_wakes_as_many_streams_as_it_is_enough_for_and_those_first_that_wait_the_longest() {
        run(async {
            let (_worker, budget, _, mut pieces) = used_up();
            let streams: Vec<Stream> = std::iter::repeat_with(Stream::default).take(10).collect();
            let small: Vec<Piece> = streams.iter().map(|stream| stream.read(&budget)).collect();
            for stream in &streams {
                // However often it asks, it has one place.
                assert!(stream.poll(&budget).is_pending() && stream.poll(&budget).is_pending());
            }
            let woken = || streams.iter().map(Stream::woken).collect::<Vec<_>>();
            drop(pieces.drain(..2));
            assert_eq!(woken(), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            drop(pieces.drain(..1));
            assert_eq!(woken(), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
            drop(pieces);
            assert_eq!(woken(), [1; 10]);
            drop(small);
        });
    }

    #[test]
    fn a_stream_whose_bytes_were_all_taken_goes_on_though_the_budget_is_used_up_by_others() {
        run(async {
            let (_worker, budget, greedy, _pieces) = used_up();
            let modest = Stream::default();
            for n in 1..=3 {
                let piece = modest.read(&budget);
                assert!(modest.poll(&budget).is_pending());
                drop(piece);
                assert_eq!((modest.woken(), greedy.woken()), (n, 0));
            }
            assert_eq!(budget.starved.borrow().len(), 1, "it keeps its one place");
        });
    }

    #[test]
    fn a_starved_stream_that_ends_takes_no_ones_turn_for_ever() {
        run(async {
            let (_worker, budget, _, pieces) = used_up();
            let [gone, left] = [Stream::default(), Stream::default()];
            let small = [gone.read(&budget), left.read(&budget)];
            assert!(gone.poll(&budget).is_pending() && left.poll(&budget).is_pending());
            drop(gone);
            drop(pieces);
            assert_eq!(left.woken(), 1);
            drop(small);
        });
    }
}
