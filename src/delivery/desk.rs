//! Where events are handed in whose senders wait until they are durable: the tracker script's, which are
//! answered only then.
//!
//! Beside the rings, for these events are few, may be large, and their senders want to know. What waits here
//! is bounded by [`DESK_ROOM`].

use std::{net::IpAddr, sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    account::{Account, EventEnd, Source, WITH_HOLD},
    held::Hold,
};
use crate::{clock::Clock, event::Event};

/// Bytes that may wait to be taken in.
pub const DESK_ROOM: usize = 16 << 20;

/// Takes events in. Clones are the same desk.
#[derive(Debug, Clone)]
pub struct Desk {
    submissions: mpsc::UnboundedSender<Submission>,
    room: Arc<Semaphore>,
    account: Arc<Account>,
    clock: Clock,
}

/// An event that was handed in.
#[derive(Debug)]
pub(super) struct Submission {
    /// The tag of its record.
    pub(super) tag: u8,
    /// Which views it releases.
    pub(super) report: Option<Hold>,
    pub(super) at_ns: u64,
    pub(super) at_ms: u64,
    /// The visitor's address.
    pub(super) client: IpAddr,
    /// The visitor's key.
    pub(super) visitor: u64,
    /// The event in the queue's form.
    pub(super) record: Vec<u8>,
    /// Told when the queue has it.
    pub(super) stored: oneshot::Sender<()>,
    _room: OwnedSemaphorePermit,
}

/// The event can't be taken in: too much waits, or delivery has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no event can be taken in at the moment")]
pub struct NoRoom;

/// The other end of an event that was handed in.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<()>);

impl Receipt {
    /// Waits until the event is in the queue. False if it never will be.
    pub async fn stored(self) -> bool {
        self.0.await.is_ok()
    }
}

impl Desk {
    pub(super) fn new(account: &Arc<Account>, clock: Clock) -> (Self, mpsc::UnboundedReceiver<Submission>) {
        let (submissions, receiver) = mpsc::unbounded_channel();
        let desk = Desk {
            submissions,
            room: Arc::new(Semaphore::new(DESK_ROOM)),
            account: account.clone(),
            clock,
        };
        (desk, receiver)
    }

    /// Hands an event in that happened now. It is in the account from here on. `report`: what a page view of
    /// the tracker script releases.
    ///
    /// # Errors
    /// [`NoRoom`]; the event has ended as overflow then.
    pub fn submit(
        &self,
        source: Source,
        event: &Event<'_>,
        report: Option<&Hold>,
    ) -> Result<Receipt, NoRoom> {
        self.account.offered(source, 1);
        let submitted = self.try_submit(source, event, report);
        if submitted.is_err() {
            self.account.finished(EventEnd::Overflow, 1);
        }
        submitted
    }

    fn try_submit(
        &self,
        source: Source,
        event: &Event<'_>,
        report: Option<&Hold>,
    ) -> Result<Receipt, NoRoom> {
        let mut record = Vec::new();
        event.encode(&mut record);
        let mut tag = source.tag();
        if let Some(report) = report {
            Event::record_hold(&mut record, 0, &report.encoded());
            tag |= WITH_HOLD;
        }
        let room = u32::try_from(record.len()).map_err(|_| NoRoom)?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(room)
            .map_err(|_| NoRoom)?;
        let now = self.clock.moment(Instant::now());
        let (stored, receipt) = oneshot::channel();
        let submission = Submission {
            tag,
            report: report.copied(),
            at_ns: now.nanos,
            at_ms: now.millis(),
            client: event.client,
            visitor: event.visitor(),
            record,
            stored,
            _room: room,
        };
        self.submissions.send(submission).map_err(|_| NoRoom)?;
        Ok(Receipt(receipt))
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, net::Ipv4Addr};

    use super::*;

    fn event(body: &[u8]) -> Event<'_> {
        Event {
            user_agent: Cow::Borrowed(b"tester"),
            client: Ipv4Addr::new(203, 0, 113, 7).into(),
            body: Cow::Borrowed(body),
        }
    }

    #[tokio::test]
    async fn a_receipt_tells_whether_the_event_was_stored() {
        let (desk, mut submissions) = Desk::new(&Arc::default(), Clock::start());
        let [kept, lost] =
            [b"{}", b"[]"].map(|body| desk.submit(Source::Tracker, &event(body), None).unwrap());
        let first = submissions.recv().await.unwrap();
        assert_eq!(Event::decode(&first.record), Some(event(b"{}")));
        first.stored.send(()).unwrap();
        drop(submissions.recv().await);
        assert!(kept.stored().await && !lost.stored().await);
    }

    #[test]
    fn what_waits_is_bounded_and_what_finds_no_room_is_overflow() {
        let account = Arc::new(Account::default());
        let (desk, mut submissions) = Desk::new(&account, Clock::start());
        let body = vec![b' '; DESK_ROOM / 4];
        let taken = (0..5)
            .filter(|_| desk.submit(Source::Tracker, &event(&body), None).is_ok())
            .count();
        assert_eq!(taken, 3);
        drop(submissions.try_recv().unwrap());
        assert!(desk.submit(Source::Tracker, &event(&body), None).is_ok());
        drop(submissions);
        assert_eq!(
            desk.submit(Source::Tracker, &event(b"{}"), None).unwrap_err(),
            NoRoom,
            "delivery has ended"
        );
        let balance = account.balance();
        assert_eq!(balance.offered[Source::Tracker as usize], 7);
        assert_eq!(balance.finished[EventEnd::Overflow as usize], 3);
    }
}
