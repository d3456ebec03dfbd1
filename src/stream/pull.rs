//! Asks the servers for a partition's messages, and hears whether they are still there.
//!
//! The client's own stream of messages does the same, but can't be left without losing what is on its way: a
//! gateway that leaves a partition has to return every message, or the next one waits until their time is up.

use std::time::{Duration, Instant};

use async_nats::{
    Client, Message as NatsMessage, StatusCode, Subject, Subscriber,
    jetstream::{Message, consumer::PullConsumer},
};
use futures_util::StreamExt as _;
use serde_json::json;

use super::connection::{Connection, GROUP};

/// How often the servers show that they are there while no message comes. Twice this and a little more without
/// a sign, and they count as gone.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long the servers keep one request. Less than the time after which they give the pin of a client that
/// asks for nothing to another one.
const EXPIRES: Duration = Duration::from_secs(3);
/// How many messages one request is for, at the most.
const BATCH: usize = 64;
/// How long the servers may take to confirm the end of a subscription.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

/// A subscription for one partition's messages.
pub(super) struct Pull {
    connection: Connection,
    subscriber: Subscriber,
    /// Where requests go.
    next: String,
    /// Where messages come.
    inbox: Subject,
    batch: usize,
    /// How many messages the servers may still send without another request.
    asked_for: usize,
    requested: Instant,
    heard: Instant,
    pin: Option<String>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Messages,
    /// To be the one whom the servers deliver to, and to get nothing for now: they give the partition to another
    /// gateway if this one asks for nothing for a while.
    ThePin,
}

/// Why no messages come any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stale {
    /// No message and no sign of life came in time.
    #[error("the servers are silent")]
    Silent,
    /// The servers ended it: the consumer has gone, or its leader.
    #[error("{0}")]
    Ended(String),
    /// The client has been closed.
    #[error("the connection is closed")]
    Closed,
}

impl Pull {
    /// Begins to ask, at an existing consumer. `at_once`: the most messages that may be out.
    pub(super) async fn begin(
        connection: Connection,
        consumer: &PullConsumer,
        at_once: usize,
    ) -> Result<Self, async_nats::Error> {
        let info = consumer.cached_info();
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", info.stream_name, info.name);
        let inbox = Subject::from(connection.client.new_inbox());
        let subscriber = connection.client.subscribe(inbox.clone()).await?;
        let mut pull = Pull {
            connection,
            subscriber,
            next,
            inbox,
            batch: at_once.min(BATCH),
            asked_for: 0,
            requested: Instant::now(),
            heard: Instant::now(),
            pin: None,
        };
        pull.request(Wanted::Messages).await?;
        Ok(pull)
    }

    /// The next message. It is safe to drop this and call it again. Without room for more, no more are asked for;
    /// those that were asked for before may still come.
    pub(super) async fn next(&mut self, has_room: bool) -> Result<Message, Stale> {
        loop {
            if self.requested.elapsed() > EXPIRES + HEARTBEAT {
                // What was asked for has expired, and the word of it was lost.
                self.asked_for = 0;
            }
            if has_room && self.asked_for <= self.batch / 2 {
                self.request(Wanted::Messages).await.map_err(|_| Stale::Closed)?;
            } else if !has_room && self.requested.elapsed() > HEARTBEAT {
                self.request(Wanted::ThePin).await.map_err(|_| Stale::Closed)?;
            }
            let patience = (HEARTBEAT * 5 / 2).saturating_sub(self.heard.elapsed());
            let heard = tokio::time::timeout(patience, self.subscriber.next()).await;
            let message = heard.map_err(|_| Stale::Silent)?.ok_or(Stale::Closed)?;
            self.heard = Instant::now();
            if let Some(message) = self.sort(message)? {
                return Ok(message);
            }
        }
    }

    /// Ends the subscription. Returns the messages that came at the last moment.
    pub(super) async fn end(mut self) -> Vec<Message> {
        let mut last = Vec::new();
        if self.subscriber.drain().await.is_err() {
            return last;
        }
        let until = tokio::time::Instant::now() + LAST_MESSAGES;
        while let Ok(Some(message)) = tokio::time::timeout_at(until, self.subscriber.next()).await {
            if let Ok(Some(message)) = self.sort(message) {
                last.push(message);
            }
        }
        last
    }

    async fn request(&mut self, wanted: Wanted) -> Result<(), async_nats::PublishError> {
        let batch = match wanted {
            Wanted::Messages => self.batch,
            Wanted::ThePin => 1,
        };
        let mut request = json!({
            "batch": batch,
            "expires": EXPIRES.as_nanos() as u64,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
            "group": GROUP,
        });
        if let Some(pin) = &self.pin {
            request["id"] = json!(pin);
        }
        if wanted == Wanted::ThePin {
            // No message is as small as that.
            request["max_bytes"] = json!(1);
        }
        let payload = request.to_string().into();
        let client: &Client = &self.connection.client;
        client
            .publish_with_reply(self.next.clone(), self.inbox.clone(), payload)
            .await?;
        self.asked_for += batch;
        self.requested = Instant::now();
        Ok(())
    }

    /// Tells an event's message from what the servers say about requests.
    fn sort(&mut self, message: NatsMessage) -> Result<Option<Message>, Stale> {
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            headers.get_last(name).map(|value| value.as_str().to_owned())
        };
        let Some(status) = message.status else {
            self.asked_for = self.asked_for.saturating_sub(1);
            let pin = header("Nats-Pin-Id");
            if pin.is_some() {
                self.pin = pin;
            }
            let context = self.connection.context.clone();
            return Ok(Some(Message { message, context }));
        };
        match says(status, message.description.as_deref().unwrap_or_default()) {
            Says::Alive => {}
            Says::RequestOver { pinned_elsewhere } => {
                let left = header("Nats-Pending-Messages").and_then(|left| left.parse().ok());
                self.asked_for = self.asked_for.saturating_sub(left.unwrap_or(self.batch));
                if pinned_elsewhere {
                    self.pin = None;
                }
            }
            Says::ConsumerOver(why) => return Err(Stale::Ended(why)),
        }
        Ok(None)
    }
}

/// What a status of the servers' says.
#[derive(Debug, PartialEq, Eq)]
enum Says {
    Alive,
    /// One request has been answered, or has expired.
    RequestOver {
        pinned_elsewhere: bool,
    },
    ConsumerOver(String),
}

/// The wording is the servers': a 409 is the end of a request or of the consumer.
fn says(status: StatusCode, description: &str) -> Says {
    let over = |pinned_elsewhere| Says::RequestOver { pinned_elsewhere };
    match status.as_u16() {
        100 => Says::Alive,
        404 | 408 => over(false),
        423 => over(true),
        409 if description.starts_with("Batch Completed") || description.starts_with("Message Size") => {
            over(false)
        }
        status => Says::ConsumerOver(format!("{status} {description}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_request_is_told_from_the_end_of_the_consumer() {
        let said = |code: u16, words: &str| says(StatusCode::try_from(code).unwrap(), words);
        let over = |pinned_elsewhere| Says::RequestOver { pinned_elsewhere };
        assert_eq!(said(100, "Idle Heartbeat"), Says::Alive);
        assert_eq!(said(408, "Request Timeout"), over(false));
        assert_eq!(said(404, "No Messages"), over(false));
        assert_eq!(said(409, "Batch Completed"), over(false));
        assert_eq!(said(423, "Nats-Wrong-Pin-Id"), over(true));
        for words in ["Consumer Deleted", "Leadership Change", "Server Shutdown"] {
            assert_eq!(said(409, words), Says::ConsumerOver(format!("409 {words}")));
        }
        assert!(matches!(said(503, ""), Says::ConsumerOver(_)));
    }
}
