//! The connection to the servers, the stream, and its consumers.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event,
    connection::State,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, PriorityPolicy, PullConsumer, pull},
        context::CreateStreamErrorKind,
        stream::{DiscardPolicy, RetentionPolicy, StorageType},
    },
};

use super::{
    health::{StreamFault, StreamHealth},
    ownership::Outstanding,
    partition::{Partition, wildcard},
    settings::{Login, Settings, TERM},
    trust,
};

/// The one group of clients that a consumer delivers to.
pub(super) const GROUP: &str = "gatecount";
/// How long an answer of the servers may take. They choose a new leader within a few seconds; until then nobody
/// answers, and asking again is how one learns that there is one.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Publishes whose answer may be outstanding: more than any `concurrency`.
const IN_FLIGHT: usize = 100_000;
/// What the servers answer while they have no leader, or while an event that is published again has yet to be
/// agreed on: asking again helps.
pub(super) const FOR_NOW: [ErrorCode; 3] = [
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
];
/// What the stream says of itself, so that nobody divides its visitors in another way.
const PARTITIONS: &str = "gatecount-partitions";

/// Into how many partitions visitors are divided in a stream, where it says so.
pub(super) fn partitions_of(stream: &jetstream::stream::Config) -> Option<u16> {
    stream.metadata.get(PARTITIONS)?.parse().ok()
}

/// The servers can't be used as they are configured.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The credentials can't be read.
    #[error("[stream] credentials cannot be read")]
    Credentials(#[source] std::io::Error),
    /// An address is none, or the client can't be made.
    #[error("[stream] url cannot be used")]
    Connect(#[source] async_nats::ConnectError),
    /// No runtime, or no thread.
    #[error("the stream's thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A metric of the same name is registered already.
    #[error("the stream's metrics cannot be registered")]
    Registry(#[from] prometheus::Error),
}

/// The way to the servers. It is there before any of them is.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) settings: Arc<Settings>,
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) health: Arc<StreamHealth>,
}

/// How any connection to the servers is made: who we are, whom we believe, and for how long we wait.
pub(super) async fn options(settings: &Settings) -> Result<ConnectOptions, StreamError> {
    let mut options = ConnectOptions::new()
        .name("gatecount")
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE));
    if let Some(Login { user, password }) = &settings.login {
        options = options.user_and_password(user.clone(), password.clone());
    }
    if let Some(file) = &settings.credentials {
        options = options
            .credentials_file(file)
            .await
            .map_err(StreamError::Credentials)?;
    }
    if let Some(file) = &settings.ca_file {
        options = match trust::system_and(file) {
            Some(config) => options.tls_client_config(config),
            None => options.add_root_certificates(file.clone()),
        };
    }
    Ok(options)
}

/// Finds out why no server can be connected to, by trying each once more: the client's own word of it is what kind of
/// failure it was, such as an IO error, without the cause.
async fn find_cause(settings: Arc<Settings>, health: Arc<StreamHealth>) {
    let Ok(options) = options(&settings).await else {
        return;
    };
    let servers = &settings.servers;
    let tried = options.max_reconnects(servers.len()).connect(&servers[..]).await;
    if let Err(error) = tried {
        health.set_cause(error.to_string());
    }
}

/// To whom a partition's messages are delivered, and how many there are.
#[derive(Debug)]
pub(super) struct Standing {
    /// What the servers call that client.
    pub(super) pin: Option<String>,
    /// The messages that are out.
    pub(super) out: Outstanding,
    /// How many wait in the stream.
    pub(super) pending: u64,
}

impl Connection {
    /// Begins to connect; goes on until it succeeds, and again whenever the connection is lost.
    pub(super) async fn begin(settings: Settings) -> Result<Self, StreamError> {
        let (health, settings): (Arc<StreamHealth>, _) = (Arc::default(), Arc::new(settings));
        let (noted, asked) = (health.clone(), settings.clone());
        let options = options(&settings)
            .await?
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PATIENCE)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(100).saturating_mul(u32::try_from(attempts.min(10)).unwrap_or(10))
            })
            .event_callback(move |event| {
                note(&event, &noted);
                if matches!(event, Event::ClientError(_)) && noted.wants_cause() {
                    tokio::spawn(find_cause(asked.clone(), noted.clone()));
                }
                std::future::ready(())
            });
        let client = options
            .connect(&settings.servers[..])
            .await
            .map_err(StreamError::Connect)?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(PATIENCE)
            .ack_timeout(PATIENCE)
            .max_ack_inflight(IN_FLIGHT)
            .build(client.clone());
        Ok(Connection {
            settings,
            client,
            context,
            health,
        })
    }

    /// Whether a server is connected.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often the client has connected so far.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Makes the stream if it is missing. One that is there stays as it is.
    ///
    /// # Errors
    /// Why it can't be used.
    pub(super) async fn make_stream(&self) -> Result<(), StreamFault> {
        let settings = &self.settings;
        let config = jetstream::stream::Config {
            name: settings.name.clone(),
            subjects: vec![wildcard(&settings.name)],
            description: Some("Events of gatecount that have yet to reach Plausible".to_owned()),
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            num_replicas: settings.replicas,
            // Full, it refuses events, which then stay with their sidecars.
            discard: DiscardPolicy::New,
            duplicate_window: settings.duplicate_window,
            metadata: HashMap::from([(PARTITIONS.to_owned(), settings.partitions.to_string())]),
            ..Default::default()
        };
        let made = self.context.get_or_create_stream(config).await;
        let stream = made.map_err(|error| StreamFault {
            is_refusal: is_refusal(&error.kind()),
            error: error.to_string(),
        })?;
        let theirs = partitions_of(&stream.cached_info().config);
        self.health
            .set_divided_otherwise(theirs.filter(|theirs| *theirs != settings.partitions));
        Ok(())
    }

    /// A partition's consumer, which is made if it is missing, and changed if it is another one.
    pub(super) async fn consumer(&self, partition: Partition) -> Result<PullConsumer, async_nats::Error> {
        let settings = &self.settings;
        let config = pull::Config {
            durable_name: Some(partition.consumer()),
            filter_subject: partition.subject(&settings.name),
            ack_policy: AckPolicy::Explicit,
            deliver_policy: DeliverPolicy::All,
            ack_wait: settings.ack_wait(),
            max_deliver: -1,
            max_ack_pending: settings.out_at_once().into(),
            priority_policy: PriorityPolicy::PinnedClient,
            priority_groups: vec![GROUP.to_owned()],
            priority_timeout: TERM,
            ..Default::default()
        };
        let consumer = self
            .context
            .create_consumer_on_stream(config, settings.name.as_str())
            .await?;
        Ok(consumer)
    }

    /// Asks to whom the servers deliver a partition's messages.
    pub(super) async fn standing(&self, partition: Partition) -> Result<Standing, async_nats::Error> {
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(partition.consumer(), &self.settings.name)
            .await?;
        let info = consumer.cached_info();
        let group = info.priority_groups.first();
        Ok(Standing {
            pin: group.and_then(|group| group.pinned_client_id.clone()),
            out: Outstanding {
                all: info.num_ack_pending,
                again: info.num_redelivered,
            },
            pending: info.num_pending,
        })
    }

    /// Lets the servers deliver a partition to another gateway at once.
    pub(super) async fn unpin(&self, partition: Partition) {
        let subject = format!("CONSUMER.UNPIN.{}.{}", self.settings.name, partition.consumer());
        let request = serde_json::json!({ "group": GROUP });
        // Where it fails, the pin runs out.
        let unpinned: Result<serde_json::Value, _> = self.context.request(subject, &request).await;
        drop(unpinned);
    }
}

/// Whether the servers refused to make the stream, and not only for now.
fn is_refusal(kind: &CreateStreamErrorKind) -> bool {
    match kind {
        CreateStreamErrorKind::JetStream(answer) => !FOR_NOW.contains(&answer.error_code()),
        CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::Response => false,
        _ => true,
    }
}

/// Notes and says what becomes of the connection. Whether it is trouble is said by whoever has events for it.
fn note(event: &Event, health: &StreamHealth) {
    match event {
        Event::Connected => {
            health.connected();
            tracing::info!("stream: connected");
        }
        Event::Disconnected => tracing::info!("stream: the connection is lost; it is made again"),
        Event::LameDuckMode => tracing::info!("stream: the server is about to stop; another one is sought"),
        Event::ClientError(error) => health.connection_failed(error.to_string()),
        Event::ServerError(error) => health.connection_failed(error.to_string()),
        other => tracing::debug!("stream: {other}"),
    }
}
