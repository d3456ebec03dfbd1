//! Where an engine's events go: to Plausible, or into the stream that other gatecounts deliver from.

use std::{cell::RefCell, time::Instant};

use super::{
    endpoint::{Destination, Endpoint, Link},
    outcome::{Outcome, RetryReason},
    settings::Settings,
};
use crate::{
    stream::{EventId, PublishFailure, Publisher},
    telemetry::TroubleKind,
    timer::Timer,
};

/// See the module.
pub(super) enum Target {
    Plausible(Box<Endpoint>),
    Stream(Box<StreamTarget>),
}

/// What every engine makes its target from, the first one and those after a panic.
#[derive(Clone)]
pub(super) enum TargetParts {
    Plausible(Destination),
    Stream(Publisher),
}

/// The stream.
pub(super) struct StreamTarget {
    publisher: Publisher,
    /// Why the last attempt failed.
    error: RefCell<String>,
}

/// What the stream has to know of an event beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) id: EventId,
    /// The visitor's key.
    pub(super) visitor: u64,
    /// When its page was shown, in milliseconds since 1970.
    pub(super) at: u64,
}

impl Target {
    pub(super) fn new(parts: TargetParts, settings: &Settings) -> Self {
        match parts {
            TargetParts::Plausible(destination) => {
                Target::Plausible(Box::new(Endpoint::new(destination, settings.timeout)))
            }
            TargetParts::Stream(publisher) => Target::Stream(Box::new(StreamTarget {
                publisher,
                error: RefCell::default(),
            })),
        }
    }

    /// Whether it is the stream, so that an attempt needs a [`Publication`].
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Target::Stream(_))
    }

    /// Whether one connection carries all attempts at once.
    pub(super) fn multiplexed(&self) -> bool {
        match self {
            Target::Plausible(endpoint) => endpoint.multiplexed(),
            Target::Stream(_) => true,
        }
    }

    /// Closes the connection that attempts share, if there is one of this engine's.
    pub(super) fn close_shared(&self) {
        if let Target::Plausible(endpoint) = self {
            endpoint.close_shared();
        }
    }

    /// Makes one attempt with a stored event.
    pub(super) async fn attempt(
        &self,
        link: &mut Option<Link>,
        timer: &mut Timer,
        stored: &[u8],
        publication: Option<Publication>,
        begun: Instant,
    ) -> Outcome {
        match (self, publication) {
            (Target::Plausible(endpoint), _) => endpoint.attempt(link, timer, stored, begun).await,
            (Target::Stream(stream), Some(publication)) => stream.attempt(stored, publication).await,
            // The engine says it of every event that goes into the stream.
            (Target::Stream(_), None) => Outcome::Unreadable,
        }
    }

    /// Describes a failure to an operator. The text names our configuration and no part of an event.
    pub(super) fn describe(&self, reason: RetryReason) -> String {
        match self {
            Target::Plausible(endpoint) => endpoint.describe(reason),
            Target::Stream(stream) => {
                let servers = stream.publisher.servers();
                match stream.error.borrow().as_str() {
                    "" => format!("{servers}: {reason}"),
                    error => format!("{servers}: {error}"),
                }
            }
        }
    }

    /// What an operator may look into.
    pub(super) fn hint(&self, reason: RetryReason) -> &'static str {
        match self {
            Target::Plausible(_) => reason.hint(),
            Target::Stream(_) => match reason {
                RetryReason::Connect => {
                    "is [stream] url right, are the NATS servers up, and may this host connect to them? gatecount \
                     doctor says more"
                }
                RetryReason::Unconfirmed => {
                    "do most of the stream's servers run? without them it takes no events (nats stream info)"
                }
                RetryReason::TooLarge => "the servers' max_payload is smaller than an event",
                _ => "is the stream full, or its configuration another one's? nats stream info says so",
            },
        }
    }

    /// What kind of trouble it is that nothing gets through for this reason, and what is said of it.
    pub(super) fn trouble(&self, reason: RetryReason) -> (TroubleKind, &'static str) {
        match self {
            Target::Plausible(endpoint) if endpoint.is_refused_by_proxy(reason) => (
                TroubleKind::PlausibleUnreachable,
                "the proxy lets no events through; they wait",
            ),
            Target::Plausible(_) => trouble_of_plausible(reason),
            Target::Stream(_) => match reason {
                RetryReason::StreamRefuses | RetryReason::TooLarge => (
                    TroubleKind::StreamRefuses,
                    "the stream refuses all events; they wait in this process's queue",
                ),
                _ => (
                    TroubleKind::StreamUnreachable,
                    "the stream can't be reached; events wait in this process's queue",
                ),
            },
        }
    }

    /// What is said once events get through again.
    pub(super) fn is_well_again(&self) -> &'static str {
        match self {
            Target::Plausible(_) => "Plausible takes events again",
            Target::Stream(_) => "the stream takes events again",
        }
    }
}

fn trouble_of_plausible(reason: RetryReason) -> (TroubleKind, &'static str) {
    match reason {
        RetryReason::Connect => (
            TroubleKind::PlausibleUnreachable,
            "Plausible can't be reached; events wait",
        ),
        RetryReason::Misconfigured(_) => (
            TroubleKind::PlausibleRefuses,
            "events cannot be delivered and wait: the address or the proxy looks wrong",
        ),
        RetryReason::Refused(_) | RetryReason::TooLarge | RetryReason::StreamRefuses => (
            TroubleKind::PlausibleRefuses,
            "Plausible, or what stands before it, refuses all events; they wait",
        ),
        RetryReason::Broken
        | RetryReason::Timeout
        | RetryReason::Unconfirmed
        | RetryReason::Throttled
        | RetryReason::ServerError(_) => (
            TroubleKind::PlausibleUnreachable,
            "Plausible takes no events; they wait",
        ),
    }
}

impl StreamTarget {
    async fn attempt(&self, stored: &[u8], publication: Publication) -> Outcome {
        let Publication { id, visitor, at } = publication;
        let Err(error) = self.publisher.publish(id, visitor, at, stored).await else {
            return Outcome::Published;
        };
        self.error.replace(error.error);
        let reason = match error.failure {
            PublishFailure::Unreachable => RetryReason::Connect,
            PublishFailure::TimedOut => RetryReason::Unconfirmed,
            PublishFailure::TooLarge => RetryReason::TooLarge,
            PublishFailure::Refused => RetryReason::StreamRefuses,
        };
        Outcome::Retry(reason, None)
    }
}
