//! What the servers say of themselves and of the stream, for the doctor. Changes nothing.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{
    Client, ServerInfo,
    jetstream::{
        self,
        consumer::{self, PriorityPolicy},
        context::{GetStreamError, GetStreamErrorKind},
        stream::{DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use futures_util::TryStreamExt as _;

use super::{
    connection::{PATIENCE, StreamError, options, partitions_of},
    partition::{Partition, wildcard},
    settings::Settings,
};

/// One server, asked alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its own name.
    pub name: String,
    /// Its version, such as `2.14.0`.
    pub version: String,
    /// Whether it can deliver a partition to one gateway at a time, which 2.11 and later can.
    pub pins: bool,
    /// Whether JetStream is on, in this server and for this account.
    pub jetstream: Result<(), String>,
    /// How many servers the cluster has; nothing where it does not say.
    pub servers: Option<usize>,
}

/// What of a stream is not as gatecount makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFlaw {
    /// The partitions' subjects do not lead to it.
    OtherSubjects,
    /// It keeps an event longer than until a gateway has delivered it, or less long.
    NoWorkQueue,
    /// It is not on disk.
    InMemory,
    /// When it is full, the oldest events go.
    DropsOldest,
}

/// The stream as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    /// How many events are in it.
    pub events: u64,
    /// On how many servers each event is kept.
    pub replicas: usize,
    /// What is not as gatecount makes it.
    pub flaws: Vec<StreamFlaw>,
    /// For how long the servers remember an event's id.
    pub remembered: Duration,
    /// The least that [`remembered`](StreamFacts::remembered) should be.
    pub should_remember: Duration,
    /// Servers that are not there, or do not have all of it.
    pub behind: Vec<String>,
    /// Whether one of the servers leads it.
    pub is_led: bool,
    /// Into how many partitions it was divided when it was made, where that is not as the configuration has it.
    pub divided_otherwise: Option<u16>,
    /// Its consumers.
    pub consumers: ConsumerFacts,
}

/// The consumers of the partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerFacts {
    /// Partitions that have one.
    pub partitions: usize,
    /// Those of them that a gateway owns.
    pub owned: usize,
    /// Consumers that are none of a partition's, and take its events away.
    pub foreign: Vec<String>,
    /// Those that do not deliver to one gateway at a time.
    pub unpinned: Vec<String>,
}

/// The stream can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StreamInspectError {
    /// No server can be reached, or none lets us in, or the credentials can't be read.
    #[error(transparent)]
    Connect(#[from] StreamError),
    /// What a server answered, or that it did not.
    #[error("{0}")]
    Answer(String),
}

/// Asks one server, and no other one.
///
/// # Errors
/// [`StreamError`]
pub async fn server(settings: &Settings, server: &str) -> Result<ServerFacts, StreamError> {
    let client = connect(settings, &[server.to_owned()]).await?;
    let info = client.server_info();
    let pins = client.is_server_compatible(2, 11, 0);
    // One that is too old need not be asked for more.
    let jetstream = if pins {
        let account = jetstream::new(client).query_account().await;
        account.map(drop).map_err(|error| error.to_string())
    } else {
        Ok(())
    };
    Ok(ServerFacts {
        pins,
        jetstream,
        servers: cluster_size(&info),
        name: info.server_name,
        version: info.version,
    })
}

fn cluster_size(info: &ServerInfo) -> Option<usize> {
    if info.cluster.is_none() {
        return Some(1);
    }
    // Each server is there by every address of its own, and not at all where it does not advertise itself.
    let hosts: BTreeSet<&str> = info.connect_urls.iter().map(String::as_str).collect();
    (!hosts.is_empty()).then_some(hosts.len())
}

/// Asks whichever server answers for the stream; nothing if it has not been made.
///
/// # Errors
/// [`StreamInspectError`]
pub async fn stream(settings: &Settings) -> Result<Option<StreamFacts>, StreamInspectError> {
    let client = connect(settings, &settings.servers).await?;
    let mut context = jetstream::new(client);
    context.set_timeout(PATIENCE);
    let stream = match context.get_stream(&settings.name).await {
        Ok(stream) => stream,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(StreamInspectError::Answer(error.to_string())),
    };
    let consumers: Vec<consumer::Info> = stream
        .consumers()
        .try_collect()
        .await
        .map_err(|error| StreamInspectError::Answer(error.to_string()))?;
    let info = stream.cached_info();
    let config = &info.config;
    let cluster = info.cluster.as_ref();
    let behind = cluster.into_iter().flat_map(|cluster| &cluster.replicas);
    Ok(Some(StreamFacts {
        events: info.state.messages,
        replicas: config.num_replicas,
        flaws: flaws(config, &settings.name),
        remembered: config.duplicate_window,
        should_remember: settings.duplicate_window,
        behind: behind
            .filter(|peer| peer.offline || !peer.current)
            .map(|peer| peer.name.clone())
            .collect(),
        is_led: cluster.is_none_or(|cluster| cluster.leader.is_some()),
        divided_otherwise: partitions_of(config).filter(|theirs| *theirs != settings.partitions),
        consumers: of_partitions(&consumers, settings.partitions),
    }))
}

fn flaws(config: &jetstream::stream::Config, stream: &str) -> Vec<StreamFlaw> {
    let is_there = |subject: &String| leads_here(subject, stream);
    [
        (!config.subjects.iter().any(is_there), StreamFlaw::OtherSubjects),
        (
            config.retention != RetentionPolicy::WorkQueue,
            StreamFlaw::NoWorkQueue,
        ),
        (config.storage != StorageType::File, StreamFlaw::InMemory),
        (config.discard != DiscardPolicy::New, StreamFlaw::DropsOldest),
    ]
    .into_iter()
    .filter_map(|(is_so, fault)| is_so.then_some(fault))
    .collect()
}

/// Whether all partitions' subjects are among these.
fn leads_here(subject: &str, stream: &str) -> bool {
    subject == wildcard(stream)
        || subject == ">"
        || subject == format!("{stream}.>")
        || subject == format!("{stream}.p.>")
}

fn is_missing(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    }
}

fn of_partitions(consumers: &[consumer::Info], partitions: u16) -> ConsumerFacts {
    let wanted: BTreeSet<String> = Partition::all(partitions).map(Partition::consumer).collect();
    let mut facts = ConsumerFacts::default();
    for consumer in consumers {
        let name = &consumer.name;
        if !wanted.contains(name) {
            facts.foreign.push(name.clone());
            continue;
        }
        facts.partitions += 1;
        let pinned = |group: &consumer::PriorityGroupState| group.pinned_client_id.is_some();
        facts.owned += usize::from(consumer.priority_groups.iter().any(pinned));
        if consumer.config.priority_policy != PriorityPolicy::PinnedClient {
            facts.unpinned.push(name.clone());
        }
    }
    facts
}

async fn connect(settings: &Settings, servers: &[String]) -> Result<Client, StreamError> {
    let options = options(settings).await?;
    options
        .ignore_discovered_servers()
        .retain_servers_order()
        .max_reconnects(1)
        .connect(servers)
        .await
        .map_err(StreamError::Connect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_of_the_stream_may_be_wider_than_its_partitions() {
        assert!(leads_here("gatecount.p.*", "gatecount") && leads_here("gatecount.>", "gatecount"));
        assert!(!leads_here("gatecount.p.1", "gatecount") && !leads_here("other.p.*", "gatecount"));
    }
}
