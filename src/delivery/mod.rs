//! From the offer of an event to Plausible's answer.
//!
//! # The way of an event
//!
//! 1. A worker [offers](Outbox::offer) a sighting: it is copied into the worker's ring, and the worker goes on
//!    (`outbox`).
//! 2. The delivery thread collects the rings in rounds of 15 ms, in the order of the sightings' times (`intake`), makes an
//!    event of each (`compose`), and appends them to the [queue](crate::queue): from then on they survive the process.
//! 3. Each takes its place in its visitor's lane (`lanes`). Of a visitor one event is in flight at a time, in order;
//!    visitors overtake each other freely; the oldest event that may go goes first, `concurrency` at once.
//! 4. A sender (`sender`) posts it to Plausible (`endpoint`, `request`) over its own kept-alive connection (`connection`),
//!    or as one stream of the one HTTP/2 connection (`http2`), and the answer is judged (`outcome`).
//! 5. An outcome that is final ends the event. Otherwise it waits for its backoff (`backoff`) at the head of its lane.
//!    Where several visitors fail in a row, or the address is wrong, the breaker (`breaker`) trips, and one probe at a
//!    time is made until one gets through.
//!
//! Every event ends exactly once (`account`): delivered, dropped by Plausible, rejected (by Plausible, or after its tries
//! while others got through, or because it could not be made), expired, evicted, corrupt, or overflow.
//!
//! # What is promised
//!
//! - An event is sent once, unless an attempt's answer did not arrive: the connection broke, the time was up, the process
//!   was killed, or this thread panicked. Then it is sent again: at least once. Ends are written down before further attempts start, so
//!   after a kill no more events come twice than were in flight.
//! - An event older than `max_age` is never sent.
//! - Where Plausible's address is wrong (3xx, 401, 404, 405, 407), events wait, and the log and the status say why.
//! - A failure here never reaches the traffic: an offer neither waits nor fails, a panic over one event ends that event,
//!   and any other panic on this thread starts delivery afresh from what the queue has.

mod account;
mod backoff;
mod breaker;
mod encode;
mod endpoint;
mod engine;
mod intake;
mod lanes;
mod metrics;
mod outbox;
mod outcome;
mod senders;
mod settings;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use prometheus::Registry;
use tokio::{sync::mpsc::UnboundedSender, task::spawn_blocking, time::timeout_at};

use endpoint::{Destination, client_config};
use engine::{CarryOver, Command, EngineParts};
use metrics::DeliveryMetrics;
use status::Shared;
use supervisor::Supervisor;

pub use account::Source;
pub use endpoint::{AddressError, TlsError};
pub use outbox::{Draft, Outbox};
pub use settings::{AddressHeader, Base, ForwardProxy, Settings};
pub use status::{DeliveryState, DeliveryStatus, QueueStatus, Status, Stopped};

use crate::{clock::Clock, event::EventRules, queue};

/// Delivery cannot start as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The base URL.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The trusted roots.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A metric of that name is there already.
    #[error("delivery's metrics cannot be registered")]
    DeliveryMetrics(#[from] prometheus::Error),
    /// The system gave no thread.
    #[error("delivery's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// The handle on a running delivery.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
    thread: JoinHandle<Stopped>,
}

/// Tells how delivery stands, to its end and after it.
#[derive(Debug, Clone)]
pub struct Watcher(Arc<Shared>);

impl Watcher {
    /// How things stand.
    pub fn status(&self) -> Status {
        self.0.status()
    }
}

/// Starts delivery on a thread of its own, with an [`Outbox`] for each of `workers`. The queue is opened and recovered
/// on that thread, so this returns at once however much it holds.
pub fn start(
    settings: Settings,
    queue: queue::Settings,
    rules: EventRules,
    workers: usize,
    registry: &Registry,
) -> Result<(Delivery, Vec<Outbox>), DeliveryError> {
    let tls = if settings.base.https {
        Some(client_config(settings.ca_file.as_deref())?)
    } else {
        None
    };
    let destination = Destination::new(&settings, tls)?;
    if let Some(proxy) = &settings.proxy {
        tracing::info!(%proxy, "events leave through a proxy");
    }
    let clock = Clock::start();
    let shared = Arc::new(Shared::new(clock));
    let metrics =
        DeliveryMetrics::register(registry, shared.account.clone(), shared.holdings.clone(), clock)?;
    let (outboxes, intake) = intake::rings(workers, &shared.account, clock);
    let (commands, receiver) = tokio::sync::mpsc::unbounded_channel();
    let supervisor = Supervisor {
        parts: EngineParts {
            settings,
            destination,
            shared: shared.clone(),
            metrics,
        },
        queue,
        carry: CarryOver::new(intake, rules),
        commands: receiver,
    };
    let thread = Builder::new()
        .name("gatecount-delivery".to_owned())
        .spawn(move || supervisor.run())
        .map_err(DeliveryError::Thread)?;
    let delivery = Delivery {
        shared,
        commands,
        thread,
    };
    Ok((delivery, outboxes))
}

impl Delivery {
    /// The clock that a sighting's times are to be read from.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Waits until the queue is recovered, no longer than `patience`. Offers made before that wait in the rings, and are
    /// not yet safe from a kill.
    pub async fn recovered(&self, patience: Duration) {
        let begun = Instant::now();
        while self.status().delivery.state == DeliveryState::Starting && begun.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// For whoever asks how things stand.
    pub fn watcher(&self) -> Watcher {
        Watcher(self.shared.clone())
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Has events made by these rules from now on.
    pub fn reload(&self, rules: EventRules) {
        // Fails only where the thread has ended, and no events are made.
        let _ = self.commands.send(Command::Reload(Box::new(rules)));
    }

    /// Takes in everything that was offered, gives what is in flight until `deadline` (2 s at the most) to end, and
    /// closes the queue; waits no longer than `limit`, should the queue's disk be stuck. To be called when the workers have
    /// offered their last; what they offer later is lost.
    pub async fn stop(self, deadline: Instant, limit: Instant) -> Stopped {
        let _ = self.commands.send(Command::Stop { deadline });
        let thread = self.thread;
        let joined = timeout_at(limit.into(), spawn_blocking(move || thread.join())).await;
        match joined {
            Ok(Ok(Ok(stopped))) => stopped,
            _ => Stopped {
                pending: self.shared.account.balance().pending,
            },
        }
    }
}
