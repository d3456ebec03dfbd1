//! Takes a partition's messages from the servers, for as long as they deliver them to this gateway.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{Subject, client::Request, jetstream::Message};
use bytes::Bytes;
use tokio::{
    sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender},
    time::sleep,
};

use super::{
    connection::Connection,
    handed::{HandedEvent, OpenDelivery, Signal},
    metrics::StreamMetrics,
    owned::OwnedPartitions,
    ownership::{Arrival, DeliveryEnd, MessageSign, Ownership},
    partition::Partition,
    publisher::{AT, VISITOR},
    pull::Pull,
    reorder::StreamedEvent,
};
use crate::clock::Clock;

/// How long to wait before a subscription is made again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the servers are asked whom they deliver to: in ordinary weather, and while taking over.
const ASK: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(250)];
/// How often the task looks after what it has, at the least.
const TICK: Duration = Duration::from_millis(250);
/// How long one acknowledgement may take to be confirmed. It is sent again after that.
const CONFIRMED: Duration = Duration::from_secs(1);
/// Bytes of events that this process may have from the stream, over all partitions. Beyond it no more are
/// asked for until some have ended.
const ROOM: usize = 64 << 20;

/// One partition's task.
pub(super) struct PartitionTask {
    shared: Shared,
    partition: Partition,
    signals: UnboundedReceiver<Signal>,
    own_signals: UnboundedSender<Signal>,
    ownership: Ownership,
    /// Where to tell the servers of each message that is out.
    replies: HashMap<u64, Subject>,
    /// The bytes of each event that is here.
    sizes: HashMap<u64, usize>,
    /// How many events delivery has.
    handed: usize,
    /// The messages that are over and of which the servers have yet to confirm that they know.
    unconfirmed: HashSet<u64>,
    /// How often the client had connected when that was last looked at.
    connects: u64,
    /// The number of the servers' last delivery, under this subscription.
    delivery: Option<u64>,
    asked: Instant,
    looked: Instant,
}

/// Why a subscription ended.
enum Ended {
    Stale,
    Yielded(Option<Duration>),
    /// Nobody listens any more.
    Closed,
}

/// What the tasks of all partitions share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) connection: Connection,
    pub(super) metrics: StreamMetrics,
    pub(super) clock: Clock,
    pub(super) handed: UnboundedSender<HandedEvent>,
    pub(super) owned: OwnedPartitions,
    /// Bytes of the events that are here, of all partitions.
    pub(super) room: Arc<AtomicUsize>,
    /// Dropped when the last task ends.
    pub(super) _at_work: Sender<()>,
}

impl PartitionTask {
    /// A partition's task, and where it hears signals.
    pub(super) fn new(shared: Shared, partition: Partition) -> (Self, UnboundedSender<Signal>) {
        let (own_signals, signals) = tokio::sync::mpsc::unbounded_channel();
        let connects = shared.connection.connects();
        let task = PartitionTask {
            connects,
            delivery: None,
            ownership: Ownership::new(shared.connection.settings.terms()),
            shared,
            partition,
            signals,
            own_signals: own_signals.clone(),
            replies: HashMap::new(),
            sizes: HashMap::new(),
            handed: 0,
            unconfirmed: HashSet::new(),
            asked: Instant::now(),
            looked: Instant::now(),
        };
        (task, own_signals)
    }

    /// Works until delivery has gone, or the partition is left for good.
    pub(super) async fn run(mut self) {
        loop {
            let ended = match self.subscribe().await {
                Ok(pull) => self.serve(pull).await,
                Err(error) => {
                    tracing::debug!(partition = %self.partition, "stream: {error}");
                    Ended::Stale
                }
            };
            self.ownership.lose();
            self.tidy();
            self.show(None);
            let pause = match ended {
                Ended::Stale => AGAIN,
                Ended::Yielded(Some(pause)) => pause,
                Ended::Yielded(None) | Ended::Closed => return self.finish().await,
            };
            if !self.rest(pause).await {
                return self.finish().await;
            }
        }
    }

    async fn subscribe(&self) -> Result<Pull, async_nats::Error> {
        let connection = &self.shared.connection;
        let consumer = connection.consumer(self.partition).await?;
        let at_once = connection.settings.out_at_once();
        Pull::begin(connection.clone(), &consumer, at_once.into()).await
    }

    async fn serve(&mut self, mut pull: Pull) -> Ended {
        self.delivery = None;
        loop {
            let now = self.shared.clock.millis();
            let due = self
                .ownership
                .due(now)
                .map_or(TICK, |due| Duration::from_millis(due.saturating_sub(now)));
            let has_room = self.shared.room.load(Ordering::Relaxed) < ROOM;
            tokio::select! {
                biased;
                signal = self.signals.recv() => match signal {
                    None => return Ended::Closed,
                    Some(Signal::Yield(pause)) => {
                        self.leave(pull).await;
                        return Ended::Yielded(pause);
                    }
                    Some(signal) => self.hear(signal),
                },
                message = pull.next(has_room) => match message {
                    Ok(message) => self.receive(&message),
                    Err(error) => {
                        tracing::debug!(partition = %self.partition, "stream: {error}");
                        return Ended::Stale;
                    }
                },
                () = sleep(due.min(TICK)) => {}
            }
            if !self.hand_over() {
                return Ended::Closed;
            }
            self.look_after();
        }
    }

    /// Hears signals for a while, without a subscription. False if the partition is left for good.
    async fn rest(&mut self, pause: Duration) -> bool {
        let until = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                signal = self.signals.recv() => match signal {
                    None | Some(Signal::Yield(None)) => return false,
                    Some(signal) => self.hear(signal),
                },
                () = sleep(TICK) => {}
                () = tokio::time::sleep_until(until) => return true,
            }
            self.look_after();
        }
    }

    /// Works until delivery has ended what it has, and the servers know of all that is over.
    async fn finish(&mut self) {
        while self.handed > 0 || !self.unconfirmed.is_empty() {
            tokio::select! {
                signal = self.signals.recv() => match signal {
                    None => return,
                    Some(signal) => self.hear(signal),
                },
                () = sleep(TICK) => {}
            }
            self.look_after();
        }
    }

    /// Lets another gateway have the partition at once: all that waits here, and the pin.
    async fn leave(&mut self, pull: Pull) {
        let was_pinned = self.ownership.is_pinned();
        let mut returned = Vec::new();
        // First, so that nothing of it comes back here.
        for message in pull.end().await {
            let Ok(info) = message.info() else { continue };
            if !self.ownership.knows(info.stream_sequence) {
                returned.extend(message.reply.clone());
            }
        }
        for sequence in self.ownership.give_back(self.shared.clock.millis()) {
            returned.extend(self.replies.remove(&sequence));
        }
        self.tell(returned, b"-NAK");
        if was_pinned {
            self.shared.connection.unpin(self.partition).await;
        }
    }

    fn receive(&mut self, message: &Message) {
        let (Ok(info), Some(reply)) = (message.info(), message.reply.clone()) else {
            return;
        };
        let (sequence, again, pending) = (info.stream_sequence, info.delivered > 1, info.pending);
        if again {
            self.shared.metrics.redelivered.inc();
        }
        let published = info.published.unix_timestamp_nanos() / 1_000_000;
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            headers.get_last(name).map(async_nats::HeaderValue::as_str)
        };
        let visitor = header(VISITOR).and_then(|key| u64::from_str_radix(key, 16).ok());
        let at = header(AT).and_then(|at| at.parse::<u64>().ok());
        let pin = header("Nats-Pin-Id").unwrap_or_default().to_owned();
        self.replies.insert(sequence, reply);
        let now = self.shared.clock.millis();
        let before = self.delivery.replace(info.consumer_sequence);
        if before.is_some_and(|before| info.consumer_sequence != before + 1) {
            let partition = self.partition;
            tracing::debug!(%partition, sequence, "stream: a delivery before this one is missing");
            self.ownership.missed(now);
        }
        let (Some(visitor), Some(at)) = (visitor, at) else {
            tracing::error!(
                sequence,
                "stream: a message is no event of gatecount's, and is removed"
            );
            let over = self.ownership.end(sequence, DeliveryEnd::Over, now);
            self.sign(sequence, over);
            return;
        };
        let event = StreamedEvent {
            sequence,
            visitor,
            at: at.min(u64::try_from(published).unwrap_or(u64::MAX)),
            record: message.payload.to_vec(),
        };
        let size = event.record.len();
        let was_pinned = self.ownership.is_pinned();
        match self.ownership.receive(&pin, event, again, now) {
            Arrival::Kept => {
                // It may have been returned a moment ago.
                self.leave_room(sequence);
                self.shared.room.fetch_add(size, Ordering::Relaxed);
                self.sizes.insert(sequence, size);
            }
            Arrival::Known => {}
            Arrival::Over => self.sign(sequence, Some(MessageSign::Over)),
        }
        if !was_pinned {
            self.show(Some(pending));
            self.ask();
        }
    }

    fn hear(&mut self, signal: Signal) {
        let now = self.shared.clock.millis();
        match signal {
            Signal::End { sequence, end } => {
                self.handed = self.handed.saturating_sub(1);
                self.leave_room(sequence);
                let sign = self.ownership.end(sequence, end, now);
                self.sign(sequence, sign);
            }
            Signal::Acknowledged(sequence) => {
                self.ownership.acknowledged(sequence, now);
                self.unconfirmed.remove(&sequence);
                self.replies.remove(&sequence);
            }
            Signal::Standing {
                pin,
                out,
                pending,
                asked,
            } => {
                let was_pinned = self.ownership.is_pinned();
                for sequence in self.ownership.confirm(pin.as_deref(), out, asked, now) {
                    self.sign(sequence, Some(MessageSign::Returned));
                }
                let is_pinned = self.ownership.is_pinned();
                if was_pinned && !is_pinned {
                    self.tidy();
                }
                self.show(is_pinned.then_some(pending));
            }
            // Where it matters, it is heard before.
            Signal::Yield(_) => {}
        }
    }

    /// Hands over what is due. False if delivery has gone.
    fn hand_over(&mut self) -> bool {
        let connects = self.shared.connection.connects();
        if connects != self.connects {
            self.connects = connects;
            self.ownership.missed(self.shared.clock.millis());
        }
        while let Some((event, lease)) = self.ownership.take(self.shared.clock.millis()) {
            self.handed += 1;
            let handed = HandedEvent {
                open: OpenDelivery::new(event.sequence, self.own_signals.clone()),
                event,
                lease,
            };
            if self.shared.handed.send(handed).is_err() {
                return false;
            }
        }
        true
    }

    /// Keeps the servers informed, and asks them what has to be known.
    fn look_after(&mut self) {
        if self.ownership.is_pinned() {
            let pace = ASK[usize::from(self.ownership.is_taking_over())];
            if self.asked.elapsed() >= pace {
                self.ask();
            }
        }
        if self.looked.elapsed() < TICK {
            return;
        }
        self.looked = Instant::now();
        let mut working = Vec::new();
        for (sequence, sign) in self.ownership.signs(self.shared.clock.millis()) {
            match sign {
                MessageSign::Working => working.extend(self.replies.get(&sequence).cloned()),
                MessageSign::Over | MessageSign::Returned => self.sign(sequence, Some(sign)),
            }
        }
        self.tell(working, b"+WPI");
        self.tidy();
    }

    /// Forgets what belongs to messages that are not known any more.
    fn tidy(&mut self) {
        let ownership = &self.ownership;
        self.replies.retain(|sequence, _| ownership.knows(*sequence));
        self.unconfirmed.retain(|sequence| ownership.knows(*sequence));
        let mut bytes = 0;
        self.sizes.retain(|sequence, size| {
            let known = ownership.knows(*sequence);
            bytes += if known { 0 } else { *size };
            known
        });
        self.shared.room.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn leave_room(&mut self, sequence: u64) {
        if let Some(size) = self.sizes.remove(&sequence) {
            self.shared.room.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Asks whom the servers deliver to.
    fn ask(&mut self) {
        self.asked = Instant::now();
        let (connection, partition, signals) = (
            self.shared.connection.clone(),
            self.partition,
            self.own_signals.clone(),
        );
        let asked = self.shared.clock.millis();
        tokio::spawn(async move {
            // Unanswered, the lease runs out.
            if let Ok(standing) = connection.standing(partition).await {
                // The task has gone if this fails.
                let _ = signals.send(Signal::Standing {
                    pin: standing.pin,
                    out: standing.out,
                    pending: standing.pending,
                    asked,
                });
            }
        });
    }

    /// Tells the servers of one message.
    fn sign(&mut self, sequence: u64, sign: Option<MessageSign>) {
        match sign {
            None => {}
            Some(MessageSign::Over) => self.acknowledge(sequence),
            Some(MessageSign::Working) => self.tell(
                self.replies.get(&sequence).cloned().into_iter().collect(),
                b"+WPI",
            ),
            Some(MessageSign::Returned) => {
                let reply = self.replies.remove(&sequence);
                self.tell(reply.into_iter().collect(), b"-NAK");
            }
        }
    }

    fn tell(&self, replies: Vec<Subject>, what: &'static [u8]) {
        if replies.is_empty() {
            return;
        }
        let client = self.shared.connection.client.clone();
        tokio::spawn(async move {
            for reply in replies {
                // Unheard, the message comes again.
                let _ = client.publish(reply, Bytes::from_static(what)).await;
            }
        });
    }

    /// Tells the servers that a message is over, and waits for their answer. Where none comes, `signs` names
    /// it again.
    fn acknowledge(&mut self, sequence: u64) {
        let Some(reply) = self.replies.get(&sequence).cloned() else {
            return;
        };
        self.unconfirmed.insert(sequence);
        let (client, signals) = (self.shared.connection.client.clone(), self.own_signals.clone());
        tokio::spawn(async move {
            let request = Request::new()
                .payload(Bytes::from_static(b"+ACK"))
                .timeout(Some(CONFIRMED));
            if client.send_request(reply, request).await.is_ok() {
                let _ = signals.send(Signal::Acknowledged(sequence));
            }
        });
    }

    /// Shows whether the partition is owned, and how many events wait in it.
    fn show(&self, waiting: Option<u64>) {
        self.shared.owned.set(self.partition.index(), waiting);
        self.shared.metrics.show(&self.shared.owned);
    }
}
