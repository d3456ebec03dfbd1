//! Publishes events.

use std::error::Error as _;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;

use super::{
    connection::{Connection, FOR_NOW},
    health::StreamFault,
    metrics::StreamMetrics,
    partition::Partition,
};

/// The visitor's key, in hexadecimal digits.
pub(super) const VISITOR: &str = "Gatecount-Visitor";
/// When the page was shown, in milliseconds since 1970.
pub(super) const AT: &str = "Gatecount-At";

/// Publishes into the stream. Clones are the same publisher.
#[derive(Clone, Debug)]
pub struct Publisher {
    connection: Connection,
    metrics: StreamMetrics,
}

/// What identifies an event in all replays of the queue that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Random, and the same for all events of a file of the queue.
    pub file: u64,
    /// The event's place in that file.
    pub offset: u32,
}

/// What kind of failure it is that an event is not in the stream, or may not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishFailure {
    /// No server is connected.
    Unreachable,
    /// No answer came in time. The event may be in the stream.
    TimedOut,
    /// The event is larger than the servers take.
    TooLarge,
    /// The servers refused it: the stream is full, or is another one than it should be.
    Refused,
}

/// Why an event is not in the stream, or may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPublished {
    /// What kind of failure it is.
    pub failure: PublishFailure,
    /// What the servers or the client say.
    pub error: String,
}

impl Publisher {
    pub(super) fn new(connection: Connection, metrics: StreamMetrics) -> Self {
        Publisher { connection, metrics }
    }

    /// The servers, for who reads what went wrong.
    pub fn servers(&self) -> String {
        self.connection.settings.servers_in_words()
    }

    /// Publishes an event, and waits until as many servers have it as the stream asks for. An event that is in
    /// the stream already, by its id, is not there twice.
    ///
    /// # Errors
    /// [`NotPublished`]; the event may be published again.
    pub async fn publish(
        &self,
        id: EventId,
        visitor: u64,
        at: u64,
        record: &[u8],
    ) -> Result<(), NotPublished> {
        let published = self.try_publish(id, visitor, at, record).await;
        self.metrics.published(match published {
            Ok(false) => "accepted",
            Ok(true) => "duplicate",
            Err(_) => "failed",
        });
        published.map(drop)
    }

    /// Whether it was there already.
    async fn try_publish(
        &self,
        id: EventId,
        visitor: u64,
        at: u64,
        record: &[u8],
    ) -> Result<bool, NotPublished> {
        let settings = &self.connection.settings;
        if !self.connection.is_connected() {
            // Without this it would wait in the client, for as long as an answer may take.
            return Err(NotPublished {
                failure: PublishFailure::Unreachable,
                error: match self.connection.health.connection_error() {
                    Some(error) => format!("no server can be reached: {error}"),
                    None => "no server can be reached".to_owned(),
                },
            });
        }
        if let Some(fault) = self.connection.health.forbids() {
            return Err(NotPublished::refused(fault));
        }
        let partition = Partition::of(visitor, settings.partitions);
        let mut headers = HeaderMap::new();
        headers.insert(VISITOR, format!("{visitor:016x}"));
        headers.insert(AT, at.to_string());
        let message = PublishMessage::build()
            .payload(Bytes::copy_from_slice(record))
            .headers(headers)
            .message_id(format!("{:016x}-{}", id.file, id.offset))
            .expected_stream(&settings.name);
        let sent = self
            .connection
            .context
            .send_publish(partition.subject(&settings.name), message)
            .await
            .map_err(|error| not_published(&error))?;
        match sent.await {
            Ok(ack) => Ok(ack.duplicate),
            Err(error) => Err(match self.connection.health.fault() {
                // Nobody takes the event, for there is no stream, and why not is known.
                Some(fault) if fault.is_refusal && error.kind() == PublishErrorKind::StreamNotFound => {
                    NotPublished::refused(fault)
                }
                _ => match (not_published(&error), self.connection.health.connection_error()) {
                    // A server that forbids it says so, and then nobody answers.
                    (not, Some(said)) => NotPublished {
                        error: format!("{}; the server says: {said}", not.error),
                        ..not
                    },
                    (not, None) => not,
                },
            }),
        }
    }
}

impl NotPublished {
    fn refused(fault: StreamFault) -> Self {
        NotPublished {
            failure: PublishFailure::Refused,
            error: fault.error,
        }
    }
}

fn not_published(error: &PublishError) -> NotPublished {
    let answer = error
        .source()
        .and_then(|source| source.downcast_ref::<jetstream::Error>());
    let failure = match error.kind() {
        _ if answer.is_some_and(|answer| FOR_NOW.contains(&answer.error_code())) => PublishFailure::TimedOut,
        PublishErrorKind::BrokenPipe => PublishFailure::Unreachable,
        // Without a leader the stream has nobody who answers.
        PublishErrorKind::TimedOut | PublishErrorKind::StreamNotFound => PublishFailure::TimedOut,
        PublishErrorKind::MaxPayloadExceeded => PublishFailure::TooLarge,
        _ => PublishFailure::Refused,
    };
    NotPublished {
        failure,
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::ErrorCode;

    use super::*;

    #[test]
    fn a_stream_without_a_leader_is_no_stream_that_refuses() {
        for (kind, failure) in [
            (PublishErrorKind::StreamNotFound, PublishFailure::TimedOut),
            (PublishErrorKind::TimedOut, PublishFailure::TimedOut),
            (PublishErrorKind::BrokenPipe, PublishFailure::Unreachable),
            (PublishErrorKind::MaxPayloadExceeded, PublishFailure::TooLarge),
            (PublishErrorKind::WrongLastSequence, PublishFailure::Refused),
        ] {
            let not = not_published(&PublishError::new(kind));
            assert_eq!(not.failure, failure, "{}", not.error);
            assert!(!not.error.is_empty());
        }
    }

    #[test]
    fn what_the_servers_cannot_do_for_now_is_no_refusal() {
        let answered = |code: ErrorCode| {
            let answer = serde_json::json!({"code": 503, "err_code": code.0, "description": "said"});
            let answer: jetstream::Error = serde_json::from_value(answer).unwrap();
            not_published(&PublishError::with_source(PublishErrorKind::Other, answer))
        };
        for code in FOR_NOW {
            assert_eq!(answered(code).failure, PublishFailure::TimedOut, "{code:?}");
        }
        let full = answered(ErrorCode::STREAM_STORE_FAILED);
        assert_eq!(full.failure, PublishFailure::Refused);
        assert!(full.error.contains("said"), "{}", full.error);
    }
}
