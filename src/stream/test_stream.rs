//! A stream that a test is: it gives events to delivery, and sees what becomes of them.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, channel, unbounded_channel};

use super::{DeliveryEnd, HandedEvent, Intake, Lease, OpenDelivery, StreamedEvent, handed::Signal};

/// See the module.
#[derive(Debug)]
pub(crate) struct TestStream {
    handed: UnboundedSender<HandedEvent>,
    partition: UnboundedSender<Signal>,
    signals: UnboundedReceiver<Signal>,
}

/// What delivery did with an event, by the event's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Over(u64),
    Unsent(u64),
    Unknown(u64),
    /// It leaves the partition.
    Left,
}

impl TestStream {
    /// A stream, and what delivery gets of it.
    pub(crate) fn new() -> (Self, Intake) {
        let (handed, events) = unbounded_channel();
        let (partition, signals) = unbounded_channel();
        let intake = Intake {
            events,
            partitions: vec![partition.clone()],
            // There is no task at work.
            working: channel(1).1,
        };
        let stream = TestStream {
            handed,
            partition,
            signals,
        };
        (stream, intake)
    }

    /// Hands an event over.
    pub(crate) fn give(&self, event: StreamedEvent, lease: &Lease) {
        let handed = HandedEvent {
            open: OpenDelivery::new(event.sequence, self.partition.clone()),
            event,
            lease: lease.clone(),
        };
        self.handed.send(handed).unwrap();
    }

    /// What it was told since it was last asked.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Ok(signal) = self.signals.try_recv() {
            told.push(match signal {
                Signal::End { sequence, end } => match end {
                    DeliveryEnd::Over => Told::Over(sequence),
                    DeliveryEnd::Unsent => Told::Unsent(sequence),
                    DeliveryEnd::Unknown => Told::Unknown(sequence),
                },
                Signal::Yield(_) => Told::Left,
                other => panic!("delivery says no such thing: {other:?}"),
            });
        }
        told
    }
}
