//! Tells the other gateways what this one owns, hears them, and leaves partitions to them (see `shares`).

use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    handed::Signal,
    owned::OwnedPartitions,
    shares::{Notice, Shares},
};
use crate::clock::Clock;

/// How often a gateway has its turn.
const TURN: Duration = Duration::from_secs(1);
/// For how long a partition is left to others.
const LEFT: Duration = Duration::from_secs(5);

/// Says that this gateway is there, hears the others, and leaves partitions to them.
pub(super) async fn balance(
    client: Client,
    stream: String,
    clock: Clock,
    owned: OwnedPartitions,
    partitions: Vec<UnboundedSender<Signal>>,
) {
    let subject = format!("{stream}.gateways");
    let mut shares = Shares::new(fastrand::u64(..));
    let mut others_say = None;
    let mut turn = tokio::time::interval(TURN);
    let leave = |partition: usize| {
        if let Some(partition) = partitions.get(partition) {
            // Its task has gone if this fails.
            let _ = partition.send(Signal::Yield(Some(LEFT)));
        }
    };
    loop {
        if others_say.is_none() {
            others_say = client.subscribe(subject.clone()).await.ok();
        }
        let heard = async {
            match &mut others_say {
                Some(messages) => messages.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = heard => {
                let Some(message) = message else {
                    others_say = None;
                    continue;
                };
                let notice = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
                let away = notice.map(|notice: Notice| shares.hear(&notice, clock.millis()));
                let mine = owned.list();
                away.unwrap_or_default()
                    .into_iter()
                    .filter(|partition| !mine.contains(partition))
                    .for_each(leave);
            }
            _ = turn.tick() => {
                let turn = shares.turn(&owned.list(), clock.millis());
                // Unheard, this gateway is said to own nothing new.
                let _ = client.publish(subject.clone(), Bytes::from(turn.says.to_string())).await;
                turn.leaves.into_iter().for_each(leave);
            }
        }
    }
}
