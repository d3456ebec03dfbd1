//! The shared queue on NATS JetStream, for more than one machine: a replicated log that sidecars publish to
//! and gateways deliver from.
//!
//! # The way of an event
//!
//! 1. A sidecar has the event in its own queue. It publishes it under its visitor's partition (`partition`),
//!    with an id that is the same in every replay of that queue, and ends it there only when the servers have
//!    confirmed it (`publisher`). While no server answers, the event stays where it is.
//! 2. The stream is a work queue: it keeps an event until a gateway acknowledges it. Each partition has one
//!    durable consumer, and the servers deliver to one client of it at a time, which they call pinned.
//! 3. A gateway asks for the messages of all partitions (`pull`, `consumer`) and gets those of the ones that
//!    it is pinned for. It keeps back what it gets until nothing of the partition is out at another gateway,
//!    puts a visitor's events into the order of their pages (`ownership`), and hands them over to delivery,
//!    which has the visitors' lanes, backoff and breaker.
//! 4. Once Plausible has answered, or the event has ended in another way, the message is acknowledged, and
//!    the servers confirm that. Until then the gateway says every few seconds that it works on it.
//! 5. Gateways tell each other that they are there, and leave what is more than their share (`balance`).
//!
//! # What is promised
//!
//! - An event that a sidecar has accepted is in its queue, or on most of the servers that the stream is on,
//!   until it has ended. What the servers keep through a power cut is their setting (`sync_interval`).
//! - A visitor's events go to Plausible in the order of their pages, as far as they are published within
//!   `reorder` of each other, and one at a time. That holds for partitions with up to 512 events a second (1,024
//!   within a `reorder` of more than two seconds); of what comes faster, a gateway sees no more than it can
//!   have at once.
//! - A sidecar has no more events on their way to the servers, or there without knowing it, than it publishes at
//!   once (256, or `[plausible] concurrency` if that is more), however long the servers are silent.
//! - A gateway sends nothing of a partition without a lease (`lease`). The lease ends five seconds after the
//!   last question that the servers answered with its pin, so a gateway that lost its connection, or was
//!   paused, stops by itself, before the servers let another one have what it had. An attempt that has begun
//!   may end.
//! - A gateway that stops returns at once what it has not sent. Of one that is killed, the servers give what
//!   it had to another one once their time is up: the limit of an attempt and eight seconds.
//!
//! # What is not promised
//!
//! - The servers give no guarantee of exclusivity. A gateway that is paused *during* an attempt, for longer
//!   than a message may be out, has that attempt on the wire while another gateway sends the same event: it
//!   counts twice, and may overlap the visitor's next one. So may what the servers delivered in the moment
//!   before they changed their leader, for the new one need not know of it.
//! - What a gateway has sent, and the servers have not heard of, comes twice if the gateway is killed, or cut
//!   off from them for longer than a message may be out: at least once, as everywhere. It begins nothing new
//!   once they have not heard of an end for a second, so that is what was in flight, and a second's events.
//! - With `strict`, only one event of a partition is out at a time, which leaves one event to which that can
//!   happen, and limits a partition to one event in a round trip to Plausible and the servers.
//! - The servers remember ids for `duplicate_window`, two hours by default, and a server that was started again
//!   remembers those of events that are still in the stream. What was on its way to them when a sidecar was killed,
//!   at most as many events as it publishes at once, comes twice if the sidecar starts again later than that, or if
//!   it was delivered meanwhile and the stream's leader has been started again since. So does what was on its way
//!   when all servers went away. (By default it is not `max_age`, a day: an id takes about 190 bytes of each
//!   server's memory, measured with 2.14 and a million of them. Of 100 events a second two hours take 140 MB and a
//!   day 1.6 GB, and those few events are not worth that to most.)
//! - A machine that is frozen together with its clock does not know how long it was: what it sends until the servers
//!   have answered again, or its lease's last seconds are over, another gateway may have sent, too.
//! - Between sidecars there is no order in what waited while no server answered: they publish it as each
//!   comes to it.

mod balance;
mod connection;
mod consumer;
mod handed;
mod health;
pub mod inspect;
mod lease;
mod metrics;
mod owned;
mod ownership;
mod partition;
mod publisher;
mod pull;
mod reorder;
mod settings;
mod shares;
#[cfg(test)]
mod test_stream;
mod trust;
mod watcher;

use std::{sync::Arc, thread, time::Duration};

use prometheus::Registry;
use tokio::sync::{
    mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel},
    oneshot,
};

use connection::Connection;
use consumer::{PartitionTask, Shared};
use handed::Signal;
use metrics::StreamMetrics;
use owned::OwnedPartitions;

pub use connection::StreamError;
pub use handed::{HandedEvent, OpenDelivery};
pub use health::StreamFault;
pub use lease::Lease;
pub use ownership::{Arrival, DeliveryEnd, MessageSign, Outstanding, Ownership, Terms, UNSIGNED};
pub use partition::Partition;
pub use publisher::{EventId, NotPublished, PublishFailure, Publisher};
pub use reorder::StreamedEvent;
pub use settings::{Login, Settings};
pub use shares::{NoNotice, Notice, Shares, Turn};
#[cfg(test)]
pub(crate) use test_stream::{TestStream, Told};
pub use watcher::{StreamStatus, StreamWatcher};

use crate::{clock::Clock, priority};

/// How often the stream is looked for: while it is not there, and while it is.
const LOOK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The connection to the stream, on a thread of its own. Dropped, it ends.
#[derive(Debug)]
pub struct Stream {
    connection: Connection,
    metrics: StreamMetrics,
    owned: OwnedPartitions,
    handle: tokio::runtime::Handle,
    _stop: oneshot::Sender<()>,
}

/// A gateway's side of the stream.
#[derive(Debug)]
pub struct Intake {
    /// The events to be delivered.
    pub events: UnboundedReceiver<HandedEvent>,
    partitions: Vec<UnboundedSender<Signal>>,
    /// Ends when all partitions are left and the servers know of all ends.
    working: Receiver<()>,
}

/// Begins to connect, and makes the stream if it is missing. No server has to be there for that.
///
/// # Errors
/// [`StreamError`]
pub fn start(settings: Settings, registry: &Registry) -> Result<Stream, StreamError> {
    let metrics = StreamMetrics::register(registry)?;
    let owned = OwnedPartitions::new(settings.partitions);
    let (connected, connection) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    thread::Builder::new()
        .name("gatecount-stream".to_owned())
        .spawn(move || run(settings, &connected, stopped))
        .map_err(StreamError::Thread)?;
    let gone = |_| StreamError::Thread(std::io::ErrorKind::BrokenPipe.into());
    let (connection, handle) = connection.recv().map_err(gone)??;
    Ok(Stream {
        connection,
        metrics,
        owned,
        handle,
        _stop: stop,
    })
}

/// What the stream's thread begins with.
type Begun = Result<(Connection, tokio::runtime::Handle), StreamError>;

/// The stream's thread.
fn run(settings: Settings, connected: &std::sync::mpsc::Sender<Begun>, stopped: oneshot::Receiver<()>) {
    priority::run_behind_traffic();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(connected.send(Err(StreamError::Thread(error)))),
    };
    runtime.block_on(async {
        match Connection::begin(settings).await {
            Err(error) => drop(connected.send(Err(error))),
            Ok(connection) => {
                tokio::spawn(keep_stream(connection.clone()));
                let handle = tokio::runtime::Handle::current();
                // Whoever asked has gone if this fails, and with it the other end of `stopped`.
                drop(connected.send(Ok((connection, handle))));
                // Dropping the sender stops, too.
                let _ = stopped.await;
            }
        }
    });
    runtime.shutdown_background();
}

/// Makes the stream as soon as a server is there, and again should somebody remove it.
async fn keep_stream(connection: Connection) {
    loop {
        let made = connection.make_stream().await;
        let pause = LOOK[usize::from(made.is_ok())];
        connection.health.set(made.err());
        tokio::time::sleep(pause).await;
    }
}

impl Stream {
    /// A way to publish.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.connection.clone(), self.metrics.clone())
    }

    /// A view for other threads.
    pub fn watcher(&self) -> StreamWatcher {
        StreamWatcher::new(self.connection.clone(), self.metrics.clone(), self.owned.clone())
    }

    /// Asks for the messages of all partitions from now on.
    pub fn take(&self, clock: Clock) -> Intake {
        let count = self.connection.settings.partitions;
        let (handed, events) = unbounded_channel();
        let (at_work, working) = channel(1);
        let shared = Shared {
            connection: self.connection.clone(),
            metrics: self.metrics.clone(),
            clock,
            handed,
            owned: self.owned.clone(),
            room: Arc::default(),
            _at_work: at_work,
        };
        let partitions: Vec<_> = Partition::all(count)
            .map(|partition| {
                let (task, signals) = PartitionTask::new(shared.clone(), partition);
                self.handle.spawn(task.run());
                signals
            })
            .collect();
        let (client, name) = (
            self.connection.client.clone(),
            self.connection.settings.name.clone(),
        );
        self.handle.spawn(balance::balance(
            client,
            name,
            clock,
            self.owned.clone(),
            partitions.clone(),
        ));
        Intake {
            events,
            partitions,
            working,
        }
    }
}

impl Intake {
    /// Leaves all partitions to other gateways. Events that were handed over may still end.
    pub fn leave(&self) {
        for partition in &self.partitions {
            // One that has gone has left already.
            let _ = partition.send(Signal::Yield(None));
        }
    }

    /// After [`leave`](Self::leave): waits until every event that was handed over has ended, and the servers
    /// know of it.
    pub async fn left(&mut self) {
        while self.working.recv().await.is_some() {}
    }
}
