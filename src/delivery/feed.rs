//! Takes in events from a source that can be read again, such as a log file, so that each is stored once
//! whatever kills the process.
//!
//! The source gives its events in portions, and waits for each. With every event goes the place in the source
//! that is reached with it. The delivery thread appends a portion's events, each with its place, and then
//! writes the last place into the queue's note; only after that it may send one of them. So whenever the
//! process dies, the newest place that the queue knows, be it in the note or in a record that has not ended,
//! says exactly which events are stored, and the source goes on from there.
//!
//! While the queue's disk is out of use, no portion is taken: the source itself keeps the events.

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::{
    engine::Command,
    portion::{FeedLost, FeedRequest, KnownPlace, Portion, Taken},
};

/// A source's way to the delivery thread. There is one source of this kind.
#[derive(Debug)]
pub struct Feed(UnboundedSender<Command>);

impl Feed {
    pub(super) fn new(commands: UnboundedSender<Command>) -> Self {
        Feed(commands)
    }

    /// How far the source was read. Waits for the delivery thread, so not to be called on a runtime.
    pub fn place(&self) -> Result<KnownPlace, FeedLost> {
        let (reply, place) = oneshot::channel();
        self.ask(FeedRequest::Place(reply))?;
        place.blocking_recv().map_err(|_| FeedLost)
    }

    /// Stores a portion, and gives it back. Waits for the delivery thread, so not to be called on a runtime.
    /// After an error it is not known what was stored: the source goes on from [`place`](Self::place).
    pub fn store(&self, portion: Portion) -> Result<(Taken, Portion), FeedLost> {
        let (reply, taken) = oneshot::channel();
        self.ask(FeedRequest::Store(portion, reply))?;
        taken.blocking_recv().map_err(|_| FeedLost)
    }

    fn ask(&self, request: FeedRequest) -> Result<(), FeedLost> {
        self.0.send(Command::Feed(request)).map_err(|_| FeedLost)
    }
}
