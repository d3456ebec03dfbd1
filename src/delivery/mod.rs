//! From the offer of an event to Plausible's answer.
//!
//! # The way of an event
//!
//! 1. A worker [offers](Outbox::offer) a sighting. The sighting is copied into the worker's ring, and the
//!    worker goes on (`outbox`). An event whose sender waits for an answer is handed in at a [`Desk`]
//!    (`desk`), which tells when the event is stored.
//! 2. The delivery thread collects the rings in rounds of 15 ms and in the order of the sightings' times
//!    (`intake`). It makes an event of each (`encode`) and appends the events to the [queue].
//!    From then on they survive the process.
//! 3. Each event gets a place in its visitor's lane (`lanes`). One event of a visitor is in flight at a time,
//!    and a visitor's events go in their order. Visitors may overtake each other. The oldest event that may
//!    be sent goes first; up to `concurrency` events are in flight.
//! 4. A sender (`senders`) posts the event to Plausible (`endpoint`), over a kept-alive HTTP/1.1 connection
//!    of its own or as a stream of the one HTTP/2 connection, through a proxy if one is configured. The
//!    answer decides (`outcome`).
//! 5. A final outcome ends the event. Otherwise the event waits for its backoff (`backoff`) at the head of
//!    its lane. If several visitors fail in a row, or the address is wrong, the breaker (`breaker`) trips. It
//!    then lets one probe through at a time, until one is accepted.
//!
//! A page view may be held until the tracker script has reported it or its time is over (`held`). It waits in
//! its lane, and ends as tracked or goes on as any event.
//!
//! With a [stream](crate::stream), events go there instead (`target`) and end as published. A gateway's engine
//! gets them from there (`streamed`), asks each event's lease before each attempt, and tells the stream of each
//! end; what it may not send any more goes back, and ends here as handed over.
//!
//! The delivery thread runs `engine`'s loop; `supervisor` starts another engine if one panics. Every event
//! ends exactly once (`account`): delivered, dropped by Plausible, rejected (by Plausible, or after its tries
//! while others got through, or because it could not be made), expired, evicted, corrupt, overflow, tracked
//! (the script's event stands for it), published (the stream has it), or handed over (it went back to the
//! stream).
//!
//! # What is promised
//!
//! - An event is sent once, unless the answer to an attempt did not arrive: the connection broke, the time
//!   was up, the process was killed, or this thread panicked. Then it is sent again: at least once. The ends
//!   of events are written down before further attempts start. So after a kill no more events come twice than
//!   were in flight.
//! - An event older than `max_age` is never sent.
//! - If Plausible's address is wrong (3xx, 401, 404, 405, 407), events wait, and the log and the status say
//!   why.
//! - A failure here never reaches the traffic. An offer neither waits nor fails. A panic over one event ends
//!   that event, and after any other panic on this thread delivery starts again from what the queue has.

mod account;
mod backoff;
mod breaker;
mod desk;
mod drops;
mod encode;
mod endpoint;
mod engine;
mod feed;
mod health;
mod held;
mod holdings;
mod intake;
mod lanes;
mod metrics;
mod outbox;
mod outcome;
mod portion;
mod senders;
mod settings;
mod state_metrics;
mod status;
mod streamed;
mod supervisor;
mod target;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use prometheus::Registry;
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    time::timeout_at,
};

use endpoint::{Destination, client_config};
use engine::{CarryOver, Command, EngineParts};
use metrics::DeliveryMetrics;
use state_metrics::StateMetrics;
use status::Shared;
use streamed::Streamed;
use supervisor::Supervisor;
use target::TargetParts;

pub use account::Source;
pub use backoff::Backoff;
pub use desk::{DESK_ROOM, Desk, NoRoom, Receipt};
pub use endpoint::{AddressError, FetchError, Fetched, Fetcher, TlsError};
pub use feed::Feed;
pub use held::{DecidedRequest, HeldDecisions, HeldRequest, Hold, Mouth, ShownRequest};
pub use holdings::HeldUp;
pub use lanes::{Lanes, PendingEvent, Ticket};
pub use outbox::{Draft, Outbox};
pub use portion::{FeedLost, KnownPlace, Portion, Taken};
pub use settings::{AddressHeader, Base, ForwardProxy, Settings};
pub use status::{DeliveryState, DeliveryStatus, QueueStatus, Status, Stopped};

use crate::{clock::Clock, event::EventRules, queue, stream::Stream, telemetry::Troubles};

/// Delivery cannot start as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// `[plausible] url` cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The trusted roots cannot be loaded.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A metric of the same name is registered already.
    #[error("delivery's metrics cannot be registered")]
    DeliveryMetrics(#[from] prometheus::Error),
    /// The system refused another thread.
    #[error("delivery's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Where events come from, and where they go.
#[derive(Debug, Clone, Copy, Default)]
pub enum Role<'a> {
    /// From this process to Plausible.
    #[default]
    Deliver,
    /// From this process into the stream.
    Publish(&'a Stream),
    /// From the stream to Plausible.
    Gateway(&'a Stream),
    /// From this process into the stream, and from the stream to Plausible.
    PublishAndDeliver(&'a Stream),
}

/// What delivery needs of the other parts.
#[derive(Debug)]
pub struct DeliveryLinks<'a> {
    /// Where metrics are registered.
    pub registry: &'a Registry,
    /// Is told what was decided about requests whose page views were held.
    pub decisions: Arc<dyn HeldDecisions>,
    /// Where it says what goes wrong.
    pub troubles: Troubles,
    /// Where events come from, and where they go.
    pub role: Role<'a>,
}

/// A handle on the running delivery.
#[derive(Debug)]
pub struct Delivery {
    desk: Desk,
    /// The engine of this process's own events, or a gateway's.
    engine: EngineHandle,
    /// The engine of what comes from the stream, in a process that has both.
    gateway: Option<EngineHandle>,
}

/// One engine's thread.
#[derive(Debug)]
struct EngineHandle {
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
    thread: JoinHandle<Stopped>,
    /// Fails when the thread ends.
    ended: oneshot::Receiver<()>,
}

/// A view of delivery's status, until delivery ends and after that.
#[derive(Debug, Clone)]
pub struct Watcher(Arc<Shared>);

impl Watcher {
    /// The status now.
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Whether delivery's own thread is held up, which can't say so itself.
    pub fn held_up(&self) -> Option<HeldUp> {
        self.0.held_up()
    }
}

/// Starts delivery on a thread of its own, with an [`Outbox`] for each of `workers`. That thread opens and
/// recovers the queue, so this function returns at once, also if the queue is large. What goes wrong is in
/// `troubles`. A process that publishes and delivers has two such threads.
pub fn start(
    settings: Settings,
    queue: queue::Settings,
    rules: EventRules,
    workers: usize,
    links: DeliveryLinks<'_>,
) -> Result<(Delivery, Vec<Outbox>), DeliveryError> {
    let clock = Clock::start();
    let shared = Arc::new(Shared::new(clock, links.troubles));
    let beside = match links.role {
        Role::PublishAndDeliver(_) => Some(Arc::new(Shared::beside(&shared))),
        Role::Deliver | Role::Publish(_) | Role::Gateway(_) => None,
    };
    let holdings = [Some(&shared), beside.as_ref()];
    let holdings = holdings
        .into_iter()
        .flatten()
        .map(|shared| shared.holdings.clone());
    let metrics =
        DeliveryMetrics::register(links.registry, shared.account.clone(), holdings.collect(), clock)?;
    links
        .registry
        .register(Box::new(StateMetrics::new(shared.clone(), queue.max_bytes)?))?;
    let (outboxes, desk, intake) = intake::rings(workers, &shared.account, clock);
    let starter = EngineStarter {
        metrics,
        decisions: links.decisions,
    };
    let (target, streamed) = match links.role {
        Role::Deliver => (plausible(&settings)?, None),
        Role::Publish(stream) | Role::PublishAndDeliver(stream) => {
            (TargetParts::Stream(stream.publisher()), None)
        }
        Role::Gateway(stream) => (plausible(&settings)?, Some(stream)),
    };
    let gateway = match (links.role, beside) {
        (Role::PublishAndDeliver(stream), Some(beside)) => {
            let (_, _, no_rings) = intake::rings(0, &shared.account, clock);
            let carry = CarryOver::new(no_rings, rules.clone(), Some(Streamed::new(stream.take(clock))));
            let target = plausible(&settings)?;
            Some(starter.start(settings.clone(), target, in_memory(&queue), carry, beside)?)
        }
        _ => None,
    };
    let settings = match &target {
        TargetParts::Plausible(_) => settings,
        TargetParts::Stream(_) => settings.for_the_stream(),
    };
    let queue = match streamed {
        Some(_) => in_memory(&queue),
        None => queue,
    };
    let streamed = streamed.map(|stream| Streamed::new(stream.take(clock)));
    let carry = CarryOver::new(intake, rules, streamed);
    let engine = starter.start(settings, target, queue, carry, shared)?;
    let delivery = Delivery {
        desk,
        engine,
        gateway,
    };
    Ok((delivery, outboxes))
}

/// Plausible as the target.
fn plausible(settings: &Settings) -> Result<TargetParts, DeliveryError> {
    let tls = if settings.base.https {
        Some(client_config(settings.ca_file.as_deref())?)
    } else {
        None
    };
    if let Some(proxy) = &settings.proxy {
        tracing::info!(%proxy, "events leave through a proxy");
    }
    Ok(TargetParts::Plausible(Destination::new(settings, tls)?))
}

/// The queue of a gateway's engine, in which there is never anything.
fn in_memory(queue: &queue::Settings) -> queue::Settings {
    queue::Settings {
        at: queue::At::Memory,
        ..queue.clone()
    }
}

/// What all engines of a process share.
struct EngineStarter {
    metrics: DeliveryMetrics,
    decisions: Arc<dyn HeldDecisions>,
}

impl EngineStarter {
    fn start(
        &self,
        settings: Settings,
        target: TargetParts,
        queue: queue::Settings,
        carry: CarryOver,
        shared: Arc<Shared>,
    ) -> Result<EngineHandle, DeliveryError> {
        let name = match &carry.streamed {
            Some(_) => "gatecount-gateway",
            None => "gatecount-delivery",
        };
        let (commands, receiver) = tokio::sync::mpsc::unbounded_channel();
        let supervisor = Supervisor {
            parts: EngineParts {
                settings,
                target,
                shared: shared.clone(),
                metrics: self.metrics.clone(),
                decisions: self.decisions.clone(),
            },
            queue,
            carry,
            commands: receiver,
        };
        let (running, ended) = oneshot::channel();
        let thread = Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _until_the_end = running;
                supervisor.run()
            })
            .map_err(DeliveryError::Thread)?;
        Ok(EngineHandle {
            shared,
            commands,
            thread,
            ended,
        })
    }
}

impl EngineHandle {
    /// Stops by `deadline`; gives up waiting at `limit`.
    async fn stop(self, deadline: Instant, limit: Instant) -> Stopped {
        let _ = self.commands.send(Command::Stop { deadline });
        let thread = self.thread;
        // The sender goes when the thread ends, whichever way.
        let in_time = timeout_at(limit.into(), self.ended).await.is_ok();
        let joined = in_time.then(|| thread.join());
        match joined {
            Some(Ok(stopped)) => stopped,
            _ => Stopped {
                pending: self.shared.account.balance().pending,
            },
        }
    }
}

impl Delivery {
    /// The clock from which a sighting's times have to be read.
    pub fn clock(&self) -> Clock {
        self.engine.shared.clock
    }

    /// Where events are handed in whose senders wait until they are durable.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Waits until the queue is recovered, but at most `patience`. Offers made before that wait in the rings,
    /// where a kill loses them.
    pub async fn recovered(&self, patience: Duration) {
        let begun = Instant::now();
        while self.status().delivery.state == DeliveryState::Starting && begun.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The way of the one source that can be read again.
    pub fn feed(&self) -> Feed {
        Feed::new(self.engine.commands.clone())
    }

    /// A view for other threads.
    pub fn watcher(&self) -> Watcher {
        Watcher(self.engine.shared.clone())
    }

    /// A view of what delivers from the stream, in a process that has that beside its own events.
    pub fn gateway(&self) -> Option<Watcher> {
        let gateway = self.gateway.as_ref()?;
        Some(Watcher(gateway.shared.clone()))
    }

    /// The status now.
    pub fn status(&self) -> Status {
        self.engine.shared.status()
    }

    /// Makes events by these rules from now on.
    pub fn reload(&self, rules: EventRules) {
        // Fails only if the thread has ended, and then makes no events anyway.
        let _ = self.engine.commands.send(Command::Reload(Box::new(rules)));
    }

    /// Takes in everything that was offered, waits until `deadline` (a gateway; others at most 2 s) for what is in flight, and
    /// closes the queue. Gives up waiting at `limit`, in case the queue's disk is stuck. The workers must
    /// have made their last offers: later ones are lost.
    pub async fn stop(self, deadline: Instant, limit: Instant) -> Stopped {
        let engine = self.engine.stop(deadline, limit);
        match self.gateway {
            None => engine.await,
            Some(gateway) => {
                let (stopped, last) = tokio::join!(engine, gateway.stop(deadline, limit));
                // Both count in one account.
                Stopped {
                    pending: stopped.pending.min(last.pending),
                }
            }
        }
    }
}
