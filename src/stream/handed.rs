//! An event in delivery's hands, and what a partition's task hears of it.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::{
    lease::Lease,
    ownership::{DeliveryEnd, Outstanding},
    reorder::StreamedEvent,
};

/// What a partition's task hears beside messages.
#[derive(Debug)]
pub(super) enum Signal {
    /// Delivery has nothing more to do with an event.
    End { sequence: u64, end: DeliveryEnd },
    /// The servers know that a message is over.
    Acknowledged(u64),
    /// The servers said whom they deliver to.
    Standing {
        pin: Option<String>,
        out: Outstanding,
        pending: u64,
        asked: u64,
    },
    /// Leave the partition to another gateway, and come back after this long; never, where there is none.
    Yield(Option<Duration>),
}

/// An event that was handed over to delivery. Dropped, it comes again, here or at another gateway.
#[derive(Debug)]
pub struct HandedEvent {
    /// The event.
    pub event: StreamedEvent,
    /// The right to send it. It has to hold at the start of each attempt.
    pub lease: Lease,
    /// What has to be told of its end.
    pub open: OpenDelivery,
}

/// The stream's side of an event that was handed over.
#[derive(Debug)]
pub struct OpenDelivery {
    sequence: u64,
    /// Taken when the end is told.
    partition: Option<UnboundedSender<Signal>>,
}

impl OpenDelivery {
    pub(super) fn new(sequence: u64, partition: UnboundedSender<Signal>) -> Self {
        OpenDelivery {
            sequence,
            partition: Some(partition),
        }
    }

    /// The event has ended, whichever way: no gateway is to send it any more.
    pub fn finish(mut self) {
        self.tell(DeliveryEnd::Over);
    }

    /// The event is not on its way anywhere: another gateway may send it at once.
    pub fn give_back(mut self) {
        self.tell(DeliveryEnd::Unsent);
    }

    fn tell(&mut self, end: DeliveryEnd) {
        if let Some(partition) = self.partition.take() {
            let sequence = self.sequence;
            // Fails if the process stops; then the event comes again elsewhere.
            let _ = partition.send(Signal::End { sequence, end });
        }
    }
}

impl Drop for OpenDelivery {
    fn drop(&mut self) {
        self.tell(DeliveryEnd::Unknown);
    }
}
